import { TcpshmError } from '../errors.js';

/** What may abort a task: an AbortSignal, or an emitter of 'abort', as piscina takes them. */
export type AbortSource =
  | AbortSignal
  | {
      /** Hears of the abortion, which may come at any time after the task was given to the pool. */
      once(event: 'abort', listener: () => void): unknown;
      /** Called with the same listener when the task is settled. */
      removeListener(event: 'abort', listener: () => void): unknown;
      readonly aborted?: boolean;
      readonly reason?: unknown;
    };

/** What a task rejects with that was aborted, as piscina's do. */
export class AbortError extends Error {
  override readonly name = 'AbortError';
  readonly code = 'ABORT_ERR';
  constructor(reason: unknown) {
    super('The task has been aborted', { cause: reason });
  }
}

/** A task of a pool, from `run` until its promise is settled, which it is once. `T` is where it is. */
export class PoolTask<T> {
  /** In the order of `run`. */
  readonly number: number;
  readonly value: unknown;
  /** Its number (handlerNumbers.ts). */
  readonly handler: number;
  readonly transferList: readonly unknown[];
  readonly signal: AbortSource | null;
  readonly promise: Promise<unknown>;
  /** Where it is, with its slot there; null while it waits. */
  thread: T | null = null;
  slot = 0;
  /** The value as it went out, where it is gone here. */
  bytes: Uint8Array | null = null;
  /** Threads that have ended while they ran it. */
  losses = 0;
  settled = false;
  #resolve: (value: unknown) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #forget: (() => void) | null = null;

  constructor(
    number: number,
    value: unknown,
    handler: number,
    transferList: readonly unknown[],
    signal: AbortSource | null,
  ) {
    this.number = number;
    this.value = value;
    this.handler = handler;
    this.transferList = transferList;
    this.signal = signal;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Has `abort` called when its signal says so. */
  listen(abort: () => void): void {
    const { signal } = this;
    if (signal === null) return;
    if ('addEventListener' in signal) {
      signal.addEventListener('abort', abort, { once: true });
      this.#forget = () => signal.removeEventListener('abort', abort);
    } else {
      signal.once('abort', abort);
      this.#forget = () => signal.removeListener('abort', abort);
    }
  }

  /** False when it was settled before. */
  resolve(value: unknown): boolean {
    if (!this.#settle()) return false;
    this.#resolve(value);
    return true;
  }

  reject(error: unknown): boolean {
    if (!this.#settle()) return false;
    this.#reject(error);
    return true;
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#forget?.();
    return true;
  }
}

/** Throws ERR_OPTION. */
export function checkSignal(signal: unknown): AbortSource | null {
  if (signal === undefined || signal === null) return null;
  if (typeof signal === 'object' && ('addEventListener' in signal || 'once' in signal))
    return signal as AbortSource;
  throw new TcpshmError('ERR_OPTION', `signal must be an AbortSignal or an emitter, got ${typeof signal}`);
}

/** Tasks that wait, the oldest first. */
export class TaskQueue<T> {
  #tasks: (PoolTask<T> | null)[] = [];
  #first = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): PoolTask<T> | null {
    while (this.#first < this.#tasks.length) {
      const task = this.#tasks[this.#first] ?? null;
      if (task !== null && !task.settled) return task;
      this.#first++;
    }
    this.#tasks = [];
    this.#first = 0;
    return null;
  }

  push(task: PoolTask<T>): void {
    this.#tasks.push(task);
    this.#size++;
  }

  /** Puts some back where they were: ahead of all that came later. */
  putBack(tasks: readonly PoolTask<T>[]): void {
    if (tasks.length === 0) return;
    const rest = this.#tasks.slice(this.#first).filter((task) => task !== null && !task.settled);
    this.#tasks = [...tasks, ...(rest as PoolTask<T>[])].sort((a, b) => a.number - b.number);
    this.#first = 0;
    this.#size = this.#tasks.length;
  }

  shift(): PoolTask<T> | null {
    const task = this.first;
    if (task === null) return null;
    this.#tasks[this.#first++] = null;
    this.#size--;
    if (this.#first > 1024 && this.#first * 2 > this.#tasks.length) {
      this.#tasks = this.#tasks.slice(this.#first);
      this.#first = 0;
    }
    return task;
  }

  /** One that waits has been settled: it does not count any more. */
  dropped(): void {
    this.#size--;
  }
}
