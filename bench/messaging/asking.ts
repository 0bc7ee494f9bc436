/** Requests and their answers, one at a time or many under way, of whatever carries them. */
import { measureBatches, type Timed } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { Limit, Measurable, RoundTrip, Subject } from '../subject.js';
import { checkAnswer, questionOf } from './questions.js';

/** The near side of what answers requests. Belongs to the thread that started it. */
export interface Asker {
  /** Gives the answer to a question of `questions.ts`. Rejects when the far side is gone. */
  ask(question: unknown): Promise<unknown>;
  /** Ends both sides and leaves nothing behind. Twice is harmless. */
  stop(): Promise<void>;
}

/** What is measured of an asker. */
export interface Asked {
  /** As in the report. */
  readonly name: string;
  readonly limit: Limit;
  /** Threads that never sleep meanwhile. */
  readonly busyThreads: number;
  /** Starts the far side, pinned to this processor. */
  start(far: number): Promise<Asker>;
}

const ONE_BATCH = 100;
const FLIGHT_BATCH = 20_000;
export const IN_FLIGHT = 64;
/** More than those of a question and its answer cannot be told apart by their size. */
const NO_BYTES = 0;

/** Each request when the answer to the one before it has come. */
export function oneAtATime({ name, limit, busyThreads, start }: Asked): Subject {
  return {
    name,
    limit,
    busyThreads,
    batch: ONE_BATCH,
    async start([, far]) {
      return new Asking(await start(far));
    },
  };
}

/** So many loops, each of which makes a request when the answer to its last one has come. */
export function inFlight({ name, limit, busyThreads, start }: Asked): Measurable {
  return {
    name,
    limit,
    busyThreads,
    batch: FLIGHT_BATCH,
    rate: { unit: '/s', bytes: NO_BYTES },
    async measure(cpus, batch, effort) {
      const asking = new Asking(await start(cpus[1]));
      const timed: Timed = { asynchronous: true, run: (count) => asking.together(count, IN_FLIGHT) };
      return pinnedWhile(cpus, asking, () => measureBatches(name, timed, batch, effort));
    },
  };
}

/** Asks, and verifies each answer. */
export class Asking implements RoundTrip {
  readonly asynchronous = true;
  readonly #asker: Asker;
  #n = 0;

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  async roundTrips(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const n = this.#n++;
      checkAnswer(n, await this.#asker.ask(questionOf(n)));
    }
  }

  /** `count` requests in `loops` at a time. */
  async together(count: number, loops: number): Promise<void> {
    let left = count;
    const loop = async (): Promise<void> => {
      while (left > 0) {
        left--;
        await this.roundTrips(1);
      }
    };
    await Promise.all(Array.from({ length: loops }, loop));
  }

  stop(): Promise<void> {
    return this.#asker.stop();
  }
}
