/**
 * How much may be done at once for who awaits one thing after the other: promises that are settled at once would else go on
 * for ever, and no poll and nothing of the event loop would have its turn.
 */
export class Turn {
  readonly #most: number;
  readonly #goOn: () => void;
  #left: number;
  #waits = false;

  /** `goOn` is called in the next turn of the event loop where `take` has refused: nobody may poll meanwhile. */
  constructor(most: number, goOn: () => void) {
    this.#most = most;
    this.#goOn = goOn;
    this.#left = most;
  }

  /** Whether one more may be done now. */
  take(): boolean {
    if (this.#left > 0) {
      this.#left--;
      return true;
    }
    this.#wait();
    return false;
  }

  /** A poll has its turn: as much may be done again. */
  renew(): void {
    this.#left = this.#most;
  }

  #wait(): void {
    if (this.#waits) return;
    this.#waits = true;
    setImmediate(() => {
      this.#waits = false;
      this.renew();
      this.#goOn();
    });
  }
}
