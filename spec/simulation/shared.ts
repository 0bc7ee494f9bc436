import type { Segment } from '../../lib/session/segment.js';
import type { Random } from '../support/random.js';
import { NOT, runUntil } from './crash.js';
import { Endpoint, type Trace } from './endpoint.js';
import type { Lib } from './instrumented.js';
import { isClear, judgeShared, newSegment, openShared } from './memory.js';
import { Direction, must } from './model.js';

const CAPACITIES = [4096, 4096, 4096, 4096, 4096, 8192];

/** What a side does, how often at most against the rest. */
const STEPS = { push: 12, flood: 2, batch: 8, publish: 4, pop: 16, die: 2, leave: 1 } as const;
type Step = keyof typeof STEPS;

/** Two sides that share one memory. Either can die, or be held up while the other goes on, between any two stores. */
export class SharedSchedule {
  readonly #lib: Lib;
  readonly #random: Random;
  readonly #trace: Trace;
  readonly #segment: Segment;
  readonly #toServer: Direction;
  readonly #toClient: Direction;
  readonly #sides: readonly [Endpoint, Endpoint];
  /** One in so many steps may be the last of a side, and one in so many is held up; 0 for none. */
  readonly #mortality: number;
  readonly #pauses: number;
  /** Of so many large records none is cleared, but handed back as it is; 0 where all are cleared. */
  readonly #left: number;
  #steps: readonly Step[] = [];

  constructor(lib: Lib, random: Random, trace: Trace) {
    this.#lib = lib;
    this.#random = random;
    this.#trace = trace;
    const start = (random.once(2) ? -random.below(16384) : random.below(16384)) & -8;
    this.#segment = newSegment(
      lib,
      {
        sessionId: '0123456789abcdef',
        clientToServer: random.pick(CAPACITIES),
        serverToClient: random.pick(CAPACITIES),
      },
      start,
    );
    this.#toServer = new Direction('client to server', random.next());
    this.#toClient = new Direction('server to client', random.next());
    this.#sides = [
      new Endpoint('client', this.#toServer, this.#toClient, random, trace),
      new Endpoint('server', this.#toClient, this.#toServer, random, trace),
    ];
    this.#mortality = random.pick([0, 4, 12, 40]);
    this.#pauses = random.pick([0, 2, 4]);
    this.#left = random.pick([0, 1, 2]);
  }

  run(): void {
    const random = this.#random;
    const steps: Step[] = ['pop'];
    for (const step of Object.keys(STEPS) as Step[]) {
      for (let i = random.below(STEPS[step] + 1); i > 0; i--) steps.push(step);
    }
    this.#steps = steps;
    for (let left = random.between(30, 150); left > 0; left--) {
      this.#turn(random.pick(this.#sides), true);
      this.#judge();
    }
    this.#heal();
  }

  /** A side does one thing, during which it may die, or the other side may do some. */
  #turn(side: Endpoint, mayPause: boolean): void {
    const random = this.#random;
    const step = random.pick(this.#steps);
    this.#trace?.(`-- ${side.name}: ${step}`);
    const dies = this.#mortality !== 0 && random.once(this.#mortality);
    const pauses = mayPause && this.#pauses !== 0 && random.once(this.#pauses);
    const reach = random.pick([8, 64, 512]);
    const dieAt = dies ? random.below(reach) : NOT;
    const pauseAt = pauses ? random.below(reach) : NOT;
    const act = (): void => this.#do(side, step);
    if (runUntil(dieAt, pauseAt, () => this.#meanwhile(side), act)) {
      this.#trace?.(`${side.name} dies`);
      side.gone();
    }
    side.check();
  }

  /** While one side is held up, the other goes on. */
  #meanwhile(heldUp: Endpoint): void {
    const [client, server] = this.#sides;
    const other = heldUp === client ? server : client;
    this.#trace?.(`   ${heldUp.name} is held up`);
    this.#judge();
    for (let i = this.#random.between(1, 4); i > 0; i--) {
      this.#turn(other, false);
      this.#judge();
    }
    this.#trace?.(`   ${heldUp.name} goes on`);
  }

  #do(side: Endpoint, step: Step): void {
    const random = this.#random;
    if (side.connection === null) this.#open(side);
    switch (step) {
      case 'push':
        for (let i = random.between(1, 6); i > 0 && side.push(); i--);
        break;
      case 'flood':
        while (side.push(random.below(64)));
        break;
      case 'batch':
        side.batch(random.between(1, 6));
        break;
      case 'publish':
        side.publish();
        break;
      case 'pop':
        side.pop(random.between(1, 12));
        break;
      case 'die':
        side.gone();
        break;
      case 'leave':
        side.connection?.close();
    }
  }

  #open(side: Endpoint): void {
    const role = side.name === 'client' ? 'client' : 'server';
    const open = openShared(this.#segment, role);
    const connection = new this.#lib.Connection(open, 'shm', () => side.gone());
    // Lib goes by the time.
    connection.side.ends.consumer.clearing = {
      leaves: () => this.#left !== 0 && this.#random.once(this.#left),
    };
    side.opened(connection);
    side.given();
  }

  #judge(): void {
    judgeShared(this.#segment, this.#toServer, this.#toClient);
  }

  /** Nobody dies any more: all messages arrive, and nothing is left of them. */
  #heal(): void {
    this.#trace?.('-- heal');
    const [client, server] = this.#sides;
    for (const side of this.#sides) {
      if (side.connection === null) this.#open(side);
      side.publish();
    }
    for (const side of this.#sides) side.pop(1000, true);
    for (const side of this.#sides) {
      const size = side.connection?.maxMessageBytes ?? 0;
      must(side.push(size, true), () => 'there is no room for the largest message in an empty queue');
    }
    for (const side of [client, server]) {
      side.pop(1000, true);
      side.check();
    }
    must(this.#toServer.waiting + this.#toClient.waiting === 0, () => 'not all has arrived');
    this.#judge();
    must(
      this.#left !== 0 || isClear(this.#segment),
      () => 'something is left in the rings after all was consumed',
    );
  }
}
