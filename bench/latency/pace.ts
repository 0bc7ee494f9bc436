/**
 * When messages are to leave: at a fixed rate, whatever has come of those before. A time is counted from here, not from
 * when a message left: a side that was held up would have sent, and measured, none of those that a user would have
 * had wait meanwhile (coordinated omission).
 */
export class Pace {
  readonly #startMs: number;
  readonly #perMs: number;
  readonly #count: number;

  /** `count` messages from `startMs` on. */
  constructor(startMs: number, perSecond: number, count: number) {
    this.#startMs = startMs;
    this.#perMs = perSecond / 1000;
    this.#count = count;
  }

  /** When message `index` is to leave. */
  dueMs(index: number): number {
    return this.#startMs + index / this.#perMs;
  }

  /** How many are to have left by now. */
  due(nowMs: number): number {
    const elapsedMs = nowMs - this.#startMs;
    return elapsedMs < 0 ? 0 : Math.min(this.#count, Math.floor(elapsedMs * this.#perMs) + 1);
  }
}

/** What became of a rate that was aimed at. */
export interface Kept {
  /** Messages per second that were to leave. */
  readonly wanted: number;
  /** Those that came back. */
  readonly achieved: number;
  readonly held: boolean;
}

/** A pause of some milliseconds at the end of a run is not yet a rate that cannot be held. */
const HELD = 0.95;

export function keptOf(wanted: number, achieved: number): Kept {
  return { wanted, achieved: Math.round(achieved), held: achieved >= HELD * wanted };
}
