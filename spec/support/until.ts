import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

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

/** So long a loop that waits in vain has the processor, in milliseconds: most of what is waited for takes less. */
const SPIN_MS = 2;
/** After that it lets whoever it waits for have it, so long each time. */
const NAP_MS = 1;

/**
 * Lets `turn` work until the condition holds. After some turns in vain it leaves the processor to others between two of
 * them; a turn that resolves to true was not in vain.
 */
export async function until(
  condition: () => boolean,
  what: string,
  turn: () => Promise<unknown> = nextTurn,
): Promise<void> {
  const watchdog = new Watchdog(what);
  let movedAt = performance.now();
  while (!condition()) {
    watchdog.check();
    if ((await turn()) === true) movedAt = performance.now();
    else if (performance.now() - movedAt > SPIN_MS) await sleep(NAP_MS);
  }
}
