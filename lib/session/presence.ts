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
} as const;

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
