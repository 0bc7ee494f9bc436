/**
 * Peer: tasks of piscina, with one worker that gives back what it is given. A message is a task, and its result the
 * answer: one awaited at a time, and many of them under way.
 *
 *   main thread  ── run(message) ──►  worker thread
 *                ◄── result ──
 */
import type { Piscina } from 'piscina';
import { measureBatches, type Timed } from '../measure.js';
import { HEADER_BYTES, MESSAGE_BYTES, payloadBytes, stamp, verify } from '../mix.js';
import { pinnedWhile } from '../pinning.js';
import type { Measurable, RoundTrip, Subject } from '../subject.js';
import { PAYLOAD_BYTES, Tally } from '../tally.js';
import { viewOf } from './link.js';

const NAME = 'peer/piscina';
const TRIP_BATCH = 100;
const BATCH = 2000;
const WINDOW = 256;

export const subject: Subject = {
  name: NAME,
  limit: 'core-to-core',
  busyThreads: 0,
  batch: TRIP_BATCH,
  async start([, far]) {
    return new TaskRoundTrip(await startPool(far));
  },
};

/** Many under way: tasks in a second, each with its answer. */
export const inFlight: Measurable = {
  name: `${NAME}/${PAYLOAD_BYTES}`,
  limit: 'core-to-core',
  floor: 'ring-64',
  busyThreads: 0,
  batch: BATCH,
  rate: { unit: '/s', bytes: PAYLOAD_BYTES },
  async measure(cpus, batch, effort) {
    const pool = await startPool(cpus[1]);
    const tasks = new Tasks(pool);
    const timed: Timed = { asynchronous: true, run: (count) => tasks.run(count) };
    const stop = (): Promise<void> => pool.destroy();
    return pinnedWhile(cpus, { stop }, () => measureBatches(this.name, timed, batch, effort));
  },
};

async function startPool(cpu: number): Promise<Piscina<Uint8Array, Uint8Array>> {
  const { Piscina } = await import('piscina');
  return new Piscina<Uint8Array, Uint8Array>({
    filename: new URL('./piscinaTask.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: WINDOW,
    workerData: cpu,
  });
}

class TaskRoundTrip implements RoundTrip {
  readonly asynchronous = true;
  readonly #pool: Piscina<Uint8Array, Uint8Array>;
  readonly #messages = MESSAGE_BYTES.map((bytes) => new Uint8Array(bytes));
  readonly #views = this.#messages.map(viewOf);
  #sequence = 0;

  constructor(pool: Piscina<Uint8Array, Uint8Array>) {
    this.#pool = pool;
  }

  async roundTrips(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const [sequence, index] = [this.#sequence, this.#sequence & 3];
      stamp(this.#views[index] as DataView, HEADER_BYTES, payloadBytes(sequence), sequence);
      const answer = await this.#pool.run(this.#messages[index] as Uint8Array);
      verify(viewOf(answer), HEADER_BYTES, answer.byteLength - HEADER_BYTES, sequence);
      this.#sequence++;
    }
  }

  stop(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** Keeps a window of tasks under way. */
class Tasks {
  readonly #pool: Piscina<Uint8Array, Uint8Array>;
  readonly #sent = new Tally();
  readonly #back = new Tally();

  constructor(pool: Piscina<Uint8Array, Uint8Array>) {
    this.#pool = pool;
  }

  async run(count: number): Promise<void> {
    let left = count;
    const runSome = async (): Promise<void> => {
      while (left-- > 0) {
        const message = new Uint8Array(PAYLOAD_BYTES);
        this.#sent.write({ view: viewOf(message), offset: 0 });
        const answer = await this.#pool.run(message);
        this.#back.read({ view: viewOf(answer), offset: 0, size: answer.byteLength });
      }
    };
    await Promise.all(Array.from({ length: WINDOW }, runSome));
    this.#sent.compare(this.#back);
  }
}
