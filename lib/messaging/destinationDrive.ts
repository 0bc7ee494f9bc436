import { setTimeout as sleep } from 'node:timers/promises';
import type { RunOptions } from '../poll/drive.js';

/** A timer cannot wait for longer. */
const LONGEST_MS = 0x7fffffff;

/** What runs along. */
interface Runner {
  run(options: RunOptions): Promise<void>;
}

/** How a destination is driven: by its user's polls, at the times that he gives, or by itself, by the clock. */
export class DestinationDrive {
  /** What `polled` was last given; while it runs, the clock. */
  #now = 0;
  #run: { readonly options: RunOptions; readonly failed: (error: unknown) => void } | null = null;
  #onWake: (() => void) | null = null;
  /** What the user's handler threw, for his next polls. */
  readonly #thrown: unknown[] = [];

  get running(): boolean {
    return this.#run !== null;
  }

  /** The time, in milliseconds. */
  get now(): number {
    if (this.#run !== null) this.#now = performance.now();
    return this.#now;
  }

  /** The user polls, at this time. */
  polled(now: number): void {
    this.#now = now;
  }

  /** Throws what a handler has thrown that nobody was told of. */
  throwLeft(): void {
    if (this.#thrown.length > 0) throw this.#thrown.shift();
  }

  /** A handler of the user has thrown: a run ends with it, else it is for his polls. */
  threw(error: unknown): void {
    if (this.#run === null) this.#thrown.push(error);
    else this.#run.failed(error);
  }

  /** What only a run tells of: it ends with it. */
  failed(error: unknown): void {
    this.#run?.failed(error);
  }

  /** While it runs, this does too. */
  along(runner: Runner): void {
    if (this.#run === null) return;
    const { options, failed } = this.#run;
    runner.run(options).catch(failed);
  }

  /**
   * Takes turns until the signal aborts. A turn does what there is to do, and gives for how many milliseconds there is
   * nothing more, unless it is woken; null when there never is. Rejects with what failed meanwhile.
   */
  async run(options: RunOptions, runners: Iterable<Runner>, turn: () => number | null): Promise<void> {
    const { signal } = options;
    const failure = new Promise<never>((_, reject) => {
      this.#run = { options, failed: reject };
    });
    failure.catch(() => {});
    const wake = (): void => this.wake();
    signal?.addEventListener('abort', wake);
    try {
      for (const runner of runners) this.along(runner);
      while (!signal?.aborted) {
        const restMs = turn();
        if (restMs === null) break;
        await Promise.race([failure, this.#rest(restMs)]);
      }
    } finally {
      signal?.removeEventListener('abort', wake);
      this.#run = null;
    }
  }

  /** There is something to do. */
  wake(): void {
    this.#onWake?.();
    this.#onWake = null;
  }

  async #rest(restMs: number): Promise<void> {
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#onWake = resolve;
    });
    const ms = Math.min(restMs, LONGEST_MS);
    await Promise.race([woken, sleep(ms, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
  }
}
