import { TcpshmError } from '../../../lib/errors.js';
import { type Messenger, messenger } from '../../../lib/index.js';
import type { Shape } from '../../../lib/messaging/call.js';
import type { OwnRequest } from '../../../lib/messaging/ownRequest.js';
import { LEAST_REQUESTS, LEAST_WINDOW_BYTES } from '../../../lib/messaging/packet.js';
import type { IncomingParts } from '../../../lib/messaging/parts.js';
import type { Served } from '../../../lib/messaging/served.js';
import type { Random } from '../../support/random.js';
import { latin1, repeating } from '../messaging/codec.js';
import type { ToldFlow } from '../messaging/flows.js';
import { HostilePeer } from '../messaging/hostilePeer.js';
import { Line } from '../messaging/line.js';
import { require, type Surface } from '../surface.js';

/** What a request may end with that was not answered. */
const ENDS = ['ERR_ANSWER', 'ERR_PROTOCOL', 'ERR_LIMIT', 'ERR_CODEC', 'ERR_UNANSWERED', 'ERR_NOT_SENT'];
/** Visits after which all that can move has moved. */
const MOST_VISITS = 400;

/** Promises that are never read: a case ends before they could be. */
const NEVER: PromiseLike<unknown> = {
  // biome-ignore lint/suspicious/noThenProperty: it is to be taken for a promise.
  then: () => NEVER as never,
};

/** A messenger with a peer that says what it likes, and what has come out of that. */
class Case {
  readonly #random: Random;
  readonly #line = new Line();
  readonly #peer: HostilePeer;
  readonly #messenger: Messenger;
  readonly #mostValueBytes: number;
  readonly #own: OwnRequest[] = [];
  readonly #parts: { readonly from: IncomingParts; readonly costs: number[] }[] = [];
  readonly #later: ((answer: unknown) => void)[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#peer = new HostilePeer(this.#line, random);
    this.#mostValueBytes = random.pick([500, 5000]);
    this.#messenger = messenger(this.#line.connection, {
      codec: latin1,
      fragmentBytes: random.between(64, 500),
      windowBytes: LEAST_WINDOW_BYTES,
      maxValueBytes: this.#mostValueBytes,
      maxRequests: LEAST_REQUESTS,
      maxInterleaved: random.between(1, 4),
      compression: repeating,
      ...(random.once(4) && { onRaw: () => {} }),
    });
    const answers: Record<string, (value: unknown) => unknown> = {
      echo: (value) => value,
      hang: () => NEVER,
      later: () => ({
        // biome-ignore lint/suspicious/noThenProperty: one that is settled when the case wants it.
        then: (answered: (answer: unknown) => void) => {
          this.#later.push(answered);
        },
      }),
      fail: () => {
        throw Object.assign(new Error('as asked for'), { code: 'AS_ASKED' });
      },
    };
    for (const [method, answer] of Object.entries(answers)) {
      this.#messenger.handle(method, (value: unknown, context) => {
        const { id } = context as Served;
        this.#delivered(this.#peer.requests.get(id), value, () => `request ${id}`);
        const { parts } = context as Served;
        if (parts !== null) this.#watch(parts, () => this.#peer.requests.get(id), `request ${id}`);
        return answer(value);
      });
    }
  }

  run(): void {
    const random = this.#random;
    this.#peer.read();
    if (!random.once(4)) this.#peer.hello(false);
    for (let n = random.below(4); n > 0; n--) this.#ask();
    for (let step = random.between(2, 12); step > 0 && this.#line.side.ends.violation === null; step--) {
      this.#step();
      if (!random.once(3)) this.#visit(random.once(3) ? 1 : 64);
      if (!random.once(3)) this.#peer.read();
    }
    this.#settle();
    const { violation } = this.#line.side.ends;
    if (violation === null) this.#goesOn();
    else require(violation.code === 'ERR_PROTOCOL', () => `ended with ${violation.stack}`);
    this.#messenger.close();
    for (const request of this.#own) require(request.stage === 'settled', () => `${request.name} has no end`);
  }

  #step(): void {
    const random = this.#random;
    const own = this.#own.filter(({ stage }) => stage === 'open').map(({ id }) => id);
    const act = random.below(256);
    if (act < 76) this.#peer.open();
    else if (act < 180) this.#peer.data(own);
    else if (act < 208) this.#peer.other(own);
    else if (act < 224) this.#ask();
    else if (act < 236) this.#later.splice(0, 1)[0]?.('later'.repeat(random.below(200)));
    else if (act < 253) this.#take();
    else if (act === 253 && random.once(3)) this.#peer.flood(random.between(1, 3000), () => this.#visit(256));
    else if (act === 254 && random.once(6)) this.#neglect();
  }

  /** A request of the messenger's own. */
  #ask(): void {
    const random = this.#random;
    const shape: Shape = random.pick(['one', 'one', 'many', 'nothing']);
    const value = 'v'.repeat(random.once(4) ? random.below(3000) : random.below(60));
    const request = this.#messenger.start(shape, 'asked', value, {
      ...(shape !== 'many' && { idempotent: random.once(3) }),
      synchronous: random.once(8),
      priority: random.pick(['high', 'normal', 'low']),
    }) as OwnRequest;
    if (request.stage === 'settled') return;
    this.#own.push(request);
    let ends = 0;
    request.resolve = (value: unknown) => {
      require(ends++ === 0, () => `${shape} ${request.id} has ended twice`);
      if (shape === 'one')
        this.#delivered(this.#peer.answers.get(request.id), value, () => `answer ${request.id}`);
    };
    request.reject = (error: unknown) => {
      require(ends++ === 0, () => `${shape} ${request.id} has ended twice`);
      if (error instanceof TcpshmError && ENDS.includes(error.code)) return;
      throw error;
    };
    if (request.parts !== null)
      this.#watch(request.parts, () => this.#peer.answers.get(request.id), `answer ${request.id}`);
  }

  /** Looks at what comes in parts before the program does, and takes it for that. */
  #watch(parts: IncomingParts, told: () => ToldFlow | undefined, whose: string): void {
    const costs: number[] = [];
    const { add, end } = parts;
    parts.add = (value: unknown, cost: number) => {
      this.#delivered(told(), value, () => whose);
      costs.push(cost);
      const waiting = costs.reduce((sum, one) => sum + one, 0);
      require(waiting <= LEAST_WINDOW_BYTES + this.#mostKept, () => `${whose}: ${waiting} bytes wait`);
      add.call(parts, value, cost);
    };
    parts.end = (error: unknown = null) => {
      if (error !== null) costs.length = 0;
      end.call(parts, error);
    };
    this.#parts.push({ from: parts, costs });
  }

  /** The program takes a part that has come. */
  #take(): void {
    const waiting = this.#parts.filter(({ costs }) => costs.length > 0);
    if (waiting.length === 0) return;
    const { from, costs } = this.#random.pick(waiting);
    costs.shift();
    from.next();
  }

  #delivered(told: ToldFlow | undefined, value: unknown, whose: () => string): void {
    if (told === undefined) throw new Error(`${whose()}: a value of nobody`);
    told.delivered(value, this.#mostValueBytes, whose);
  }

  /** What of a value may be kept that is not whole, costs of fragments included. */
  get #mostKept(): number {
    return 3 * this.#mostValueBytes + LEAST_WINDOW_BYTES;
  }

  #visit(limit: number): void {
    this.#line.visit(limit);
    const { underWay } = this.#messenger.counters;
    require(underWay <= LEAST_REQUESTS, () => `${underWay} requests are under way`);
  }

  /** The peer asks, and does not read the answers: so it is read no more. */
  #neglect(): void {
    this.#settle();
    const before = this.#line.popped;
    this.#peer.ask(600, () => this.#visit(16));
    const taken = this.#line.popped - before;
    // A failure of a method that there is not has more than 64 bytes.
    require(taken <= 4096 / 64 + 2 * LEAST_REQUESTS + 16, () =>
      `${taken} were read of one who does not read`);
  }

  /** All that can move has moved. */
  #settle(): void {
    const { side } = this.#line;
    for (let visits = 0; side.ends.violation === null; visits++) {
      const before = this.#line.moved;
      this.#visit(64);
      this.#peer.read();
      if (this.#line.moved === before) break;
      require(visits < MOST_VISITS, () => 'it comes to no end');
    }
    // What was to be told after a violation is not told any more.
    if (side.ends.violation !== null) return;
    for (const { id, assembler } of this.#own) {
      this.#kept(assembler?.flow.inValue === true ? assembler.flow.completedCost : 0, id);
    }
    // What was dropped as late is not kept, and how much of which request that was is not known here.
    if (this.#messenger.counters.lateRequests > 0) return;
    for (const [id, { keptCost, broken }] of this.#peer.requests) {
      if (!broken && !this.#peer.over.has(id)) this.#kept(keptCost, id);
    }
  }

  #kept(cost: number, id: number): void {
    require(cost <= this.#mostKept, () =>
      `${cost} bytes are kept of a value of ${id}, at most ${this.#mostKept} may be`);
  }

  /** Whatever was said, one who asks what is right is answered. */
  #goesOn(): void {
    if (this.#messenger.counters.underWay >= LEAST_REQUESTS) return;
    const asked = this.#peer.honest();
    if (asked === null) throw new Error('no room in a ring that was read');
    let answer: string | null = null;
    for (let n = 0; n < 20 && answer === null && this.#line.side.ends.violation === null; n++) {
      this.#visit(64);
      answer = this.#peer.read(asked.id);
    }
    require(answer === asked.text, () => `the request ${asked.id} was answered with ${answer}`);
  }
}

/** What a peer that was let in sends to a messenger. */
export const fragments: Surface = {
  what: 'packets of requests and answers: fragments out of turn, ids, credits, hellos, floods of little, bombs',
  run(random) {
    new Case(random).run();
  },
};
