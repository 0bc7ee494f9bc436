import { Random } from '../support/random.js';
import type { Trace } from './endpoint.js';
import type { Lib } from './instrumented.js';
import { ReplicatedSchedule } from './replicated.js';
import { SharedSchedule } from './shared.js';

/** A schedule that came out wrong. The message says how to see it again. */
export class SimulationFailure extends Error {
  readonly seed: number;

  constructor(seed: number, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`schedule ${seed}: ${why}\nReplay it with: npm run simulate -- --seed ${seed} --trace`, { cause });
    this.seed = seed;
  }
}

/** Runs the schedule of one seed, the same each time. Rejects with {@link SimulationFailure}. */
export async function simulateOne(lib: Lib, seed: number, trace: Trace = null): Promise<void> {
  try {
    const random = new Random(seed);
    const shared = random.once(3);
    const schedule = shared
      ? new SharedSchedule(lib, random, trace)
      : new ReplicatedSchedule(lib, random, trace);
    await schedule.run();
  } catch (cause) {
    throw new SimulationFailure(seed, cause);
  }
}

/** Runs `count` schedules, of the seeds from `base` on. `progress` is told the number of those that are done. */
export async function simulate(
  lib: Lib,
  base: number,
  count: number,
  progress?: (done: number) => void,
): Promise<void> {
  // Thousands of errors are thrown and caught: their stacks would take a tenth of the time. A replay has them.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    for (let i = 0; i < count; i++) {
      await simulateOne(lib, (base + i) >>> 0);
      if (progress !== undefined && (i + 1) % 1000 === 0) progress(i + 1);
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
