import { abortSignal } from '../options.js';

/** What a call gives that is not to wait at all: its signal has aborted already, or is none. Null if it may wait. */
export function refusedBy(signal: AbortSignal | undefined): Promise<never> | null {
  if (signal === undefined) return null;
  try {
    abortSignal(signal)?.throwIfAborted();
    return null;
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * The same promise, but that a signal ends the waiting for it. What it stands for goes on then, and whatever becomes of that
 * is nobody's.
 */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const waiter = new Waiter<T>(signal, () => {});
  if (signal.aborted) waiter.reject(signal.reason);
  promise.then(
    (value) => waiter.resolve(value),
    (error: unknown) => waiter.reject(error),
  );
  return waiter.promise;
}

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
