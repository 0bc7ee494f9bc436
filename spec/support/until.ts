import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long a condition may take to come true. Only a hang gets there: nothing is measured by it. */
export const WATCHDOG_MS = 30_000;

/** A deadline for loops that wait: `check` throws, naming what was waited for, once the watchdog's time is up. */
export class Watchdog {
  readonly #what: string;
  readonly #end = performance.now() + WATCHDOG_MS;

  constructor(what: string) {
    this.#what = what;
  }

  check(): void {
    if (performance.now() > this.#end) throw new Error(`waited in vain for ${this.#what}`);
  }
}

/** Lets `turn` work until the condition holds. */
export async function until(
  condition: () => boolean,
  what: string,
  turn: () => Promise<unknown> = nextTurn,
): Promise<void> {
  const watchdog = new Watchdog(what);
  while (!condition()) {
    watchdog.check();
    await turn();
  }
}
