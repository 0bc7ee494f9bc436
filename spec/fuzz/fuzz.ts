import { Random } from '../support/random.js';
import type { Surface } from './surface.js';

/** A case that has found something: `seed` alone repeats it. */
export class Find extends Error {
  readonly seed: number;

  constructor(name: string, seed: number, cause: unknown) {
    super(`${name}, seed ${seed}: ${(cause as Error).stack ?? String(cause)}`, { cause });
    this.seed = seed;
  }
}

/**
 * Runs so many cases, each from a seed of its own: this one and the next ones. Throws {@link Find}. Errors have no stacks
 * meanwhile, which cost more than most of what throws them; a case that finds something runs again to have one.
 */
export function fuzz(name: string, surface: Surface, seed: number, cases: number): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  let at = seed >>> 0;
  try {
    for (let i = 0; i < cases; i++) {
      at = (seed + i) >>> 0;
      surface.run(new Random(at));
    }
  } catch (error) {
    Error.stackTraceLimit = stackTraceLimit;
    throw new Find(name, at, thrownAgain(surface, at) ?? error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function thrownAgain(surface: Surface, seed: number): unknown {
  try {
    surface.run(new Random(seed));
    return null;
  } catch (error) {
    return error;
  }
}
