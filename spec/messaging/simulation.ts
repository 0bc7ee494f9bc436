/**
 * Two messengers over a ring of shared memory, whose processes die and begin anew, as a seed says: a death is an end of
 * the connection of which nobody is told, with whatever was in the ring, and another messenger over the same memory.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createChannel, openEnd } from '../../lib/channel/ringChannel.js';
import { type Call, type Connection, type Messenger, messenger, TcpshmError } from '../../lib/index.js';
import { Random } from '../support/random.js';

const CAPACITIES = [4096, 8192, 65_536] as const;
const ROLES = ['server', 'client'] as const;
/** Turns that all must be settled in, once nothing fails any more. */
const MOST_TURNS = 20_000;

interface Asked {
  readonly key: string;
  readonly what: 'echo' | 'later' | 'fail' | 'up' | 'down';
  readonly mode: 'default' | 'idempotent' | 'synchronous' | 'both';
  readonly call: Call | null;
  readonly value: unknown;
  cancelled: boolean;
  withdrawn: boolean;
  outcome: { readonly value: unknown } | { readonly error: unknown } | null;
  /** Deaths of the peer when it was asked. */
  readonly deaths: number;
}

interface Side {
  connection: Connection;
  messenger: Messenger;
  incarnation: number;
  asked: Asked[];
  deaths: number;
}

export interface Figures {
  asked: number;
  answered: number;
  unanswered: number;
  again: number;
  deaths: number;
  late: number;
}

export class Simulation {
  readonly #random: Random;
  readonly #memory: SharedArrayBuffer;
  readonly #sides: [Side, Side];
  readonly #runs = new Map<string, number>();
  /** Synchronous requests in the order in which they ran. */
  readonly #inOrder = new Map<string, number>();
  #pending: (() => void)[] = [];
  readonly figures: Figures = { asked: 0, answered: 0, unanswered: 0, again: 0, deaths: 0, late: 0 };

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#memory = createChannel({ capacityBytes: this.#random.pick(CAPACITIES) });
    this.#sides = [this.#begin(0, 0), this.#begin(1, 0)];
  }

  async run(): Promise<void> {
    const random = this.#random;
    const steps = random.between(30, 150);
    // Some schedules know no deaths.
    const mortal = !random.once(4);
    for (let i = 0; i < steps; i++) {
      const at = random.below(2) as 0 | 1;
      const act = random.weighted([
        ['ask', 6],
        ['poll', 8],
        ['settle', 4],
        ['cancel', 1],
        ['die', mortal ? 0.4 : 0],
      ] as const);
      if (act === 'ask') this.#ask(at);
      else if (act === 'poll') this.#poll(at);
      else if (act === 'settle') this.#settleOne();
      else if (act === 'cancel') this.#cancel(at);
      else this.#die(at);
      if (random.once(2)) await nextTurn();
    }
    await this.#calm();
    for (const side of this.#sides) for (const asked of side.asked) this.#check(side, asked);
    for (const { messenger: one, connection } of this.#sides) {
      const { underWay, lateAnswers } = one.counters;
      this.figures.late += lateAnswers;
      expectThat(underWay === 0, `${underWay} handlers are under way at the end`);
      expectThat(connection.side.ends.violation === null, `a violation: ${connection.side.ends.violation}`);
      expectThat(one.load.open + one.load.waiting === 0, 'nothing is under way at the end');
      one.close();
      connection.close();
    }
  }

  #begin(at: 0 | 1, incarnation: number): Side {
    const connection = openEnd(this.#memory, ROLES[at] as 'server' | 'client');
    const one = messenger(connection, {
      fragmentBytes: this.#random.between(64, 4000),
      maxInterleaved: this.#random.between(1, 8),
    });
    one
      .handle('echo', (value) => this.#ran(value, value))
      .handle('fail', (value) => {
        this.#ran(value, null);
        throw new RangeError('as asked for');
      })
      .handle('later', async (value) => {
        this.#ran(value, null);
        await new Promise<void>((resolve) => this.#pending.push(resolve));
        return value;
      })
      .handle('up', async (value, { body }) => {
        this.#ran(value, null);
        let sum = 0;
        for await (const part of body) for (const byte of part as Uint8Array) sum = (sum * 31 + byte) | 0;
        return sum;
      })
      .handle('down', async function* ({ parts }: { parts: number }) {
        for (let i = 0; i < parts; i++) yield { i, fill: 'x'.repeat((i * 37) % 900) };
      });
    return { connection, messenger: one, incarnation, asked: [], deaths: 0 };
  }

  #ran<R>({ key, order }: { key: string; order: number }, answer: R): R {
    this.#runs.set(key, (this.#runs.get(key) ?? 0) + 1);
    if (order > 0) {
      const who = key.slice(0, key.lastIndexOf('.'));
      const last = this.#inOrder.get(who) ?? 0;
      expectThat(order >= last, `the synchronous ${order} of ${who} ran behind ${last}`);
      this.#inOrder.set(who, order);
    }
    return answer;
  }

  #ask(at: 0 | 1): void {
    const random = this.#random;
    const side = this.#sides[at];
    const n = ++this.figures.asked;
    const key = `${at}.${side.incarnation}.${n}`;
    const what = random.pick(['echo', 'echo', 'echo', 'later', 'fail', 'up', 'down'] as const);
    const mode =
      what === 'down' ? 'default' : random.pick(['default', 'idempotent', 'synchronous', 'both'] as const);
    const synchronous = mode === 'synchronous' || mode === 'both';
    const idempotent = mode === 'idempotent' || mode === 'both';
    const size = random.weighted([
      [random.below(200), 5],
      [random.below(5000), 2],
      [random.below(300_000), 0.3],
    ]);
    const parts = random.below(30);
    const value = { key, order: synchronous ? n : 0, parts, fill: 'f'.repeat(size) };
    const bytes = Array.from({ length: what === 'up' ? random.below(6) : 0 }, () =>
      Buffer.alloc(random.below(60_000), random.below(256)),
    );
    const options = {
      synchronous,
      idempotent,
      priority: random.pick(['high', 'normal', 'low'] as const),
      ...(what === 'up' && { body: () => bytes }),
    };
    let sum = 0;
    for (const part of bytes) for (const byte of part) sum = (sum * 31 + byte) | 0;
    const expected = what === 'up' ? sum : what === 'down' ? parts : value;
    const call = what === 'down' ? null : side.messenger.call(what, value, options);
    const asked: Asked = {
      key,
      what,
      mode,
      call,
      value: expected,
      cancelled: false,
      withdrawn: false,
      outcome: null,
      deaths: (this.#sides[1 - at] as Side).deaths,
    };
    side.asked.push(asked);
    const response =
      call === null ? readAll(side.messenger.stream<{ i: number }>('down', value)) : call.response;
    response.then(
      (answer: unknown) => {
        asked.outcome = { value: answer };
      },
      (error: unknown) => {
        asked.outcome = { error };
      },
    );
  }

  #poll(at: 0 | 1): void {
    this.#sides[at].connection.poll({});
  }

  #settleOne(): void {
    if (this.#pending.length === 0) return;
    this.#pending.splice(this.#random.below(this.#pending.length), 1)[0]?.();
  }

  #cancel(at: 0 | 1): void {
    const open = this.#sides[at].asked.filter(({ outcome, call }) => outcome === null && call !== null);
    if (open.length === 0) return;
    const asked = this.#random.pick(open);
    if (this.#random.once(2)) {
      asked.cancelled = true;
      asked.call?.cancel(new Error('given up'));
    } else if (asked.call?.withdraw()) {
      asked.withdrawn = true;
    }
  }

  #die(at: 0 | 1): void {
    const side = this.#sides[at];
    const other = this.#sides[1 - at] as Side;
    this.figures.deaths++;
    side.connection.close();
    const next = this.#begin(at, side.incarnation + 1);
    next.deaths = side.deaths + 1;
    this.#sides[at] = next;
    expectThat(other.connection.state !== 'closed', 'the other one lives');
  }

  /** Nothing fails any more: all must be settled. */
  async #calm(): Promise<void> {
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      this.#poll(0);
      this.#poll(1);
      for (const resolve of this.#pending.splice(0)) resolve();
      await nextTurn();
      const open = this.#sides.some(
        ({ asked, messenger: { counters } }) =>
          counters.underWay > 0 || asked.some(({ outcome }) => outcome === null),
      );
      if (!open && turn > 5) return;
    }
    const open = this.#sides.flatMap(({ asked }) => asked.filter(({ outcome }) => outcome === null));
    const handlers = this.#sides.map(({ messenger: { counters } }) => counters.underWay);
    const names = open.map(({ key, what, mode, call }) => `${key} ${what} ${mode} left: ${call?.left}`);
    throw new Error(`not settled: ${names.join(', ')}; handlers under way: ${handlers}`);
  }

  #check(side: Side, asked: Asked): void {
    const { key, what, outcome, mode } = asked;
    const runs = this.#runs.get(key) ?? 0;
    const idempotent = mode === 'idempotent' || mode === 'both';
    const died = (this.#sides.find((one) => one !== side) as Side).deaths > asked.deaths;
    if (runs > 1) {
      this.figures.again++;
      expectThat(idempotent && died, `${key} ${mode} ran ${runs} times`);
    }
    if (outcome === null) return;
    if ('value' in outcome) {
      this.figures.answered++;
      expectThat(what === 'down' || runs > 0, `${key} was answered and has not run`);
      expectThat(what !== 'fail', `${key} was to fail`);
      const same = JSON.stringify(outcome.value) === JSON.stringify(asked.value);
      expectThat(same, `${key} ${what} was answered with another value`);
      return;
    }
    const { error } = outcome;
    if (asked.cancelled && String(error).includes('given up')) return;
    expectThat(error instanceof TcpshmError, `${key} ${what} was rejected with ${String(error)}`);
    const { code } = error as TcpshmError;
    if (code === 'ERR_NOT_SENT')
      expectThat(runs === 0 && asked.withdrawn, `${key} was not sent, and ran ${runs} times`);
    else if (code === 'ERR_UNANSWERED') {
      this.figures.unanswered++;
      expectThat(died && !idempotent, `${key} ${mode} is unanswered, the peer has ${died ? '' : 'not '}died`);
    } else
      expectThat(
        code === 'ERR_ANSWER' && what === 'fail',
        `${key} ${what} was rejected with ${String(error)}`,
      );
  }
}

async function readAll(parts: AsyncIterable<{ i: number }>): Promise<number> {
  let next = 0;
  for await (const { i } of parts) expectThat(i === next++, `part ${i} is not the next one`);
  return next;
}

function expectThat(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}
