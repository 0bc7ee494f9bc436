/**
 * Tasks that are next to no work, in one thread: by RingPool, and by piscina with the same options. One awaited at a time,
 * and many under way.
 */
import { measureBatches, type Timed } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { Measurable, RoundTrip, Subject } from '../subject.js';

const AWAITED_BATCH = 100;
const BATCH = 5000;
export const WINDOW = 256;
/** What a task is given and gives, as a number. */
const BYTES = 8;

/** Both kinds have these. */
interface Pool {
  run(value: number): Promise<number>;
  destroy(): Promise<void>;
}
type Start = (cpu: number) => Promise<Pool>;

const optionsOf = (cpu: number) => ({
  filename: new URL('./task.js', import.meta.url).href,
  minThreads: 1,
  maxThreads: 1,
  workerData: cpu,
});

const ringPool: Start = async (cpu) => new (await import('../../lib/index.js')).RingPool(optionsOf(cpu));
const piscina: Start = async (cpu) => new (await import('piscina')).Piscina<number, number>(optionsOf(cpu));
/** Given so many tasks at a time as are under way: what helps piscina, and is not needed by ours. */
const wide: Start = async (cpu) =>
  new (await import('piscina')).Piscina<number, number>({
    ...optionsOf(cpu),
    concurrentTasksPerWorker: WINDOW,
  });

function check(result: number, value: number): void {
  if (result !== value + 1) throw new Error(`task ${value} gave ${result}`);
}

function awaited(name: string, busyThreads: number, start: Start): Subject {
  return {
    name,
    limit: 'core-to-core',
    floor: null,
    busyThreads,
    batch: AWAITED_BATCH,
    async start([, far]): Promise<RoundTrip> {
      const pool = await start(far);
      let next = 0;
      return {
        asynchronous: true,
        async roundTrips(count) {
          for (let i = 0; i < count; i++, next++) check(await pool.run(next), next);
        },
        stop: () => pool.destroy(),
      };
    },
  };
}

function inFlight(name: string, busyThreads: number, start: Start): Measurable {
  return {
    name,
    limit: 'core-to-core',
    floor: null,
    busyThreads,
    batch: BATCH,
    rate: { unit: '/s', bytes: BYTES },
    async measure(cpus, batch, effort) {
      const pool = await start(cpus[1]);
      return pinnedWhile(cpus, { stop: () => pool.destroy() }, async () => {
        // It may be started with the first task.
        check(await pool.run(0), 0);
        const timed: Timed = { asynchronous: true, run: (count) => runMany(pool, count) };
        return measureBatches(name, timed, batch, effort);
      });
    },
  };
}

/** Keeps a window of tasks under way, until `count` are done. */
export async function runMany(pool: Pick<Pool, 'run'>, count: number): Promise<void> {
  let next = 0;
  let done = 0;
  const runSome = async (): Promise<void> => {
    while (next < count) {
      const value = next++;
      check(await pool.run(value), value);
      done++;
    }
  };
  await Promise.all(Array.from({ length: WINDOW }, runSome));
  if (done !== count) throw new Error(`${done} tasks were done rather than ${count}`);
}

export const ring = inFlight('everyday/pool', 2, ringPool);
export const ringAwaited = awaited('everyday/pool/awaited', 2, ringPool);
export const peer = inFlight('peer/piscina', 0, piscina);
export const peerWide = inFlight('peer/piscina/wide', 0, wide);
export const peerAwaited = awaited('peer/piscina/awaited', 0, piscina);
