import { expect } from 'chai';
import { RingPool, type RingPoolOptions } from '../../lib/index.js';
import { FIRST } from './tasks.js';

export const TASKS = new URL('./tasks.js', import.meta.url);
export const FAILING = new URL('./failing.js', import.meta.url);
export const DOOMED = new URL('./doomed.js', import.meta.url);
/** Room for the counts of so many tasks. */
export const NUMBERS = 5000;

export interface PoolScene {
  readonly words: Int32Array;
  pool(options?: RingPoolOptions): RingPool;
  openGate(): void;
  end(): Promise<void>;
}

/** Pools of one test, with the words that its tasks share. */
export function poolScene(): PoolScene {
  const words = new Int32Array(new SharedArrayBuffer(4 * (FIRST + NUMBERS)));
  const pools: RingPool[] = [];
  return {
    words,
    pool(options = {}) {
      const made = new RingPool({
        filename: TASKS,
        minThreads: 1,
        maxThreads: 1,
        workerData: words,
        ...options,
      });
      pools.push(made);
      return made;
    },
    openGate() {
      Atomics.store(words, 3, 1);
      Atomics.notify(words, 3);
    },
    async end() {
      this.openGate();
      await Promise.all(pools.map((pool) => pool.destroy()));
    },
  };
}

/** What a promise rejects with; fails if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { readonly code?: unknown }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a rejection, and there was none');
}

export async function expectRejection(promise: Promise<unknown>, code: string): Promise<Error> {
  const error = await rejection(promise);
  expect(error).to.have.property('code', code);
  return error;
}
