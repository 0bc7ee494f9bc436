/** What has a deadline: linked with others by its own fields, so that none costs an allocation. */
export interface Timed {
  deadlineMs: number;
  /** Its slot, -1 without a deadline. */
  slot: number;
  earlier: Timed | null;
  later: Timed | null;
}

/** How late a deadline is noticed at the most, if it is looked often enough. */
export const TICK_MS = 8;
const SLOTS = 256;

/** Deadlines of many, of which most are met: a wheel, to which adding and removing costs the same however many there are. */
export class Deadlines {
  readonly #heads: (Timed | null)[] = new Array(SLOTS).fill(null);
  #tick: number;
  #size = 0;

  constructor(nowMs: number) {
    this.#tick = Math.floor(nowMs / TICK_MS);
  }

  get size(): number {
    return this.#size;
  }

  add(timed: Timed, deadlineMs: number): void {
    // One that is over already is told with the next look.
    const tick = Math.max(Math.ceil(deadlineMs / TICK_MS), this.#tick + 1);
    timed.deadlineMs = deadlineMs;
    timed.slot = tick % SLOTS;
    timed.earlier = null;
    timed.later = this.#heads[timed.slot] as Timed | null;
    if (timed.later !== null) timed.later.earlier = timed;
    this.#heads[timed.slot] = timed;
    this.#size++;
  }

  remove(timed: Timed): void {
    if (timed.slot < 0) return;
    if (timed.earlier !== null) timed.earlier.later = timed.later;
    else this.#heads[timed.slot] = timed.later;
    if (timed.later !== null) timed.later.earlier = timed.earlier;
    timed.slot = -1;
    timed.earlier = null;
    timed.later = null;
    this.#size--;
  }

  /** Removes those whose time has come, and gives them, in no order. */
  expire(nowMs: number): Timed[] {
    const tick = Math.floor(nowMs / TICK_MS);
    const turns = Math.min(tick - this.#tick, SLOTS);
    const expired: Timed[] = [];
    for (let i = 1; i <= turns && this.#size > 0; i++) {
      let timed = this.#heads[(tick - turns + i) % SLOTS] as Timed | null;
      while (timed !== null) {
        const { later } = timed;
        // Others of this slot are for a later round.
        if (timed.deadlineMs <= nowMs) {
          this.remove(timed);
          expired.push(timed);
        }
        timed = later;
      }
    }
    if (turns > 0) this.#tick = tick;
    return expired;
  }
}
