/** A promise for somebody who waits: settled once, by its signal if by nobody else before. */
export class Waiter<T> {
  readonly promise: Promise<T>;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #resolve!: (value: T) => void;
  #reject!: (reason: unknown) => void;

  /** `left` is called when the signal aborts: the promise is rejected with its reason then. */
  constructor(signal: AbortSignal | undefined, left: (waiter: Waiter<T>) => void) {
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#signal = signal;
    this.#onAbort = () => {
      this.reject(signal?.reason);
      left(this);
    };
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  resolve(value: T): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#resolve(value);
  }

  reject(reason: unknown): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#reject(reason);
  }
}
