/** The command line of the simulation. */
import { parseArgs } from 'node:util';
import { randomSeed } from '../support/random.js';

export interface SimulationArguments {
  readonly seed: number;
  readonly schedules: number;
  readonly trace: boolean;
}

export const HELP = `node dist/spec/simulation/main.js [options]

Runs the core of both sides under a simulated network, clock and memory, and checks that nothing is lost.

  --seed SEED      of the first schedule, from 0 to 4294967295 (a random one; it is printed)
  --schedules N    how many, of that seed and the next ones (1 with a seed, else 100000)
  --trace          runs one schedule, and prints its steps
  --help

Exit code 0 when all was well, else 1; 2 for a command line that is not usable.
`;

/** The command line is not usable. */
export class UsageError extends Error {}

/** Null when help is wanted. Throws {@link UsageError}. */
export function simulationArguments(args: readonly string[]): SimulationArguments | null {
  const { values } = parsed(args);
  if (values.help) return null;
  const { seed, schedules, trace } = values;
  if (trace && schedules !== undefined) throw new UsageError('--trace is for one schedule');
  const byDefault = seed === undefined && !trace ? 100_000 : 1;
  return {
    seed: seed === undefined ? randomSeed() : integer('seed', seed, 0, 2 ** 32 - 1),
    schedules: schedules === undefined ? byDefault : integer('schedules', schedules, 1, 2 ** 32),
    trace,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seed: { type: 'string' },
        schedules: { type: 'string' },
        trace: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function integer(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${option} must be an integer from ${least} to ${most}, got '${text}'`);
}
