/**
 * Calls of handlers that logins have brought about: made outside of the logins, so that what a handler throws reaches
 * the caller of `poll` and no login.
 */
export class Tidings {
  #calls: (() => void)[] = [];

  get waiting(): boolean {
    return this.#calls.length > 0;
  }

  add(call: () => void): void {
    this.#calls.push(call);
  }

  /** The next poll throws it. */
  addThrown(thrown: unknown): void {
    this.add(() => {
      throw thrown;
    });
  }

  /** Makes the calls while `goOn`. If one throws, the others are made by the next `tell`. */
  tell(goOn: () => boolean): void {
    while (goOn()) {
      const call = this.#calls.shift();
      if (call === undefined) return;
      call();
    }
  }

  clear(): void {
    this.#calls = [];
  }
}
