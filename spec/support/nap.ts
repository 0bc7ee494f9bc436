/** How long a thread sleeps that leaves its processor to another one. */
const NAP_MS = 0.1;
/** Turns in vain before it does: both threads are to be at the ring at once, as long as both have a processor. */
const VAIN_TURNS = 100;

const NOBODY = new Int32Array(new SharedArrayBuffer(4));

/** The rest of a thread that spins: whoever it waits for may need this processor. */
export class Naps {
  #vain = 0;

  /** After each turn: `moved` tells whether it did anything. */
  turned(moved: boolean): void {
    if (moved) this.#vain = 0;
    else if (++this.#vain % VAIN_TURNS === 0) Atomics.wait(NOBODY, 0, 0, NAP_MS);
  }
}
