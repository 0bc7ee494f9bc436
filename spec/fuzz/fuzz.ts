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

/** Runs so many cases, each from a seed of its own: this one and the next ones. Throws {@link Find}. */
export function fuzz(name: string, surface: Surface, seed: number, cases: number): void {
  for (let i = 0; i < cases; i++) {
    const at = (seed + i) >>> 0;
    try {
      surface.run(new Random(at));
    } catch (error) {
      throw new Find(name, at, error);
    }
  }
}
