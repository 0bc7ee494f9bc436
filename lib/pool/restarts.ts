import { type BackoffSettings, delayBefore } from '../session/backoff.js';

/** When threads may be started again after one that has failed before it did anything: ever later while that goes on. */
const RESTART: BackoffSettings = {
  initialDelayMs: 50,
  maxDelayMs: 10_000,
  factor: 2,
  jitter: 0.5,
  maxAttempts: Number.POSITIVE_INFINITY,
};
/** A failure so long ago does not count any more. */
const FORGOTTEN_MS = 30_000;

/** Keeps a pool from starting threads one after the other when its module ends them as soon as they are there. */
export class Restarts {
  readonly #due: () => void;
  #failures = 0;
  #failedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  /** `due` is called when a wait is over. */
  constructor(due: () => void) {
    this.#due = due;
  }

  /** Whether no thread is to be started now. */
  get waiting(): boolean {
    return this.#timer !== null;
  }

  /** A thread has ended that had run nothing. `awaited` as of `keep`. */
  failed(awaited: boolean): void {
    const now = performance.now();
    if (now - this.#failedAt > FORGOTTEN_MS) this.#failures = 0;
    this.#failedAt = now;
    this.#failures++;
    this.stop();
    const delayMs = delayBefore(this.#failures, RESTART, Math.random());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#due();
    }, delayMs);
    this.keep(awaited);
  }

  /** Whether a wait keeps the process, as it does while there are tasks. */
  keep(awaited: boolean): void {
    if (awaited) this.#timer?.ref();
    else this.#timer?.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
