import { type ErrorCode, TcpshmError } from '../../lib/errors.js';
import type { Random } from '../support/random.js';

/** Somewhere that bytes of others come in. */
export interface Surface {
  /** What is done to it. */
  readonly what: string;
  /** One case, which follows from the random numbers alone. Throws when something is wrong: a find. */
  run(random: Random): void;
}

/** What a surface does with bytes that are not right: takes them all the same, or throws one of these. */
export function refusesAtMost(codes: readonly ErrorCode[], act: () => void): void {
  try {
    act();
  } catch (error) {
    if (error instanceof TcpshmError && codes.includes(error.code)) return;
    throw error;
  }
}

/** What must hold. */
export function require(condition: boolean, what: () => string): void {
  if (!condition) throw new Error(what());
}
