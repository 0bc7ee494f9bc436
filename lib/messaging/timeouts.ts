import { Deadlines, TICK_MS, type Timed } from './deadlines.js';

/** Visits of polls between two looks at the clock, which costs more than they: timers look too, where they have a turn. */
const VISITS_PER_CLOCK = 64;

/** Looks at the clock for the deadlines of a messenger, by a timer and by polls, while there are any. */
export class Timeouts<T extends Timed> {
  readonly deadlines = new Deadlines(performance.now());
  readonly #expire: (timed: T) => void;
  #timer: NodeJS.Timeout | null = null;
  #visits = 0;

  /** `expire` is told of each that has no time left. */
  constructor(expire: (timed: T) => void) {
    this.#expire = expire;
  }

  /** This one may take so long. */
  limit(timed: T, timeoutMs: number): void {
    this.deadlines.add(timed, performance.now() + timeoutMs);
    this.#timer ??= setInterval(() => this.#look(), TICK_MS).unref();
  }

  /** A poll has visited. */
  visit(): void {
    if (this.deadlines.size > 0 && ++this.#visits % VISITS_PER_CLOCK === 0) this.#look();
  }

  /** The timer ends. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #look(): void {
    for (const timed of this.deadlines.expire(performance.now())) this.#expire(timed as T);
    if (this.deadlines.size === 0) this.stop();
  }
}
