/**
 * Who is there, for sides that share memory within one process: each has a word that says whether it has its end
 * open. The word of a thread that ends without closing is set by a hook that the native module runs, whatever way
 * the thread ends.
 */
export const Presence = {
  /** Never opened. */
  none: 0,
  open: 1,
  /** Closed by its owner. */
  closed: 2,
  /** The thread ended without closing it. */
  ended: 3,
  /** On its way to another thread, which opens it: to the other side it is open all the time. */
  passed: 4,
} as const;

/** Whether somebody has the side open, or is about to. */
export function isPresent(word: Int32Array): boolean {
  const seen = Atomics.load(word, 0);
  return seen === Presence.open || seen === Presence.passed;
}

/** Takes the side: false when it is open elsewhere. */
export function takeSide(word: Int32Array): boolean {
  for (;;) {
    const seen = Atomics.load(word, 0);
    if (seen === Presence.open) return false;
    if (Atomics.compareExchange(word, 0, seen, Presence.open) === seen) return true;
  }
}

export function leaveSide(word: Int32Array): void {
  Atomics.store(word, 0, Presence.closed);
}

/** Leaves it to another thread, which is to take it. */
export function passSide(word: Int32Array): void {
  Atomics.store(word, 0, Presence.passed);
}

/** Nobody is going to take it. One that was taken stays so. */
export function dropSide(word: Int32Array): void {
  Atomics.compareExchange(word, 0, Presence.passed, Presence.ended);
}

/** For a thread that has ended, or does not take the side that was left to it: the other side is told that. */
export function forsakeSide(word: Int32Array): void {
  for (const state of [Presence.passed, Presence.open])
    Atomics.compareExchange(word, 0, state, Presence.ended);
}
