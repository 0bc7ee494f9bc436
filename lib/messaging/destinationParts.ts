import type { PartsReader } from './call.js';

type Part = IteratorResult<unknown, undefined>;

interface Waiting {
  resolve(part: Part): void;
  reject(error: unknown): void;
}

const DONE = { done: true, value: undefined } as const;

/**
 * The answers of a stream over a pool, as the program reads them: by one loop, which may begin before there is a connection.
 * As long as nothing of the request has left, it may change to another one; so no part is ever of two.
 */
export class PoolParts implements PartsReader<unknown> {
  /** What the connection gives that has the request. */
  #source: PartsReader<unknown> | null = null;
  #reuses = false;
  readonly #waiting: Waiting[] = [];
  #over = false;
  #error: { readonly reason: unknown } | null = null;
  readonly #left: () => void;

  /** `left`: the program does not want more of them. */
  constructor(left: () => void) {
    this.#left = left;
  }

  /** A connection has the request. */
  attach(source: PartsReader<unknown>): void {
    this.#source = source;
    if (this.#reuses) source.reusing();
    for (const waiting of this.#waiting.splice(0)) this.#pull(source, waiting);
  }

  /** The request is failed. That of one that is answered is told by its source, behind what has come. */
  fail(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#source = null;
    const waiting = this.#waiting.splice(0);
    if (waiting.length === 0) this.#error = { reason };
    for (const one of waiting) one.reject(reason);
  }

  reusing(): this {
    this.#reuses = true;
    this.#source?.reusing();
    return this;
  }

  next(): Promise<Part> {
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject };
      if (this.#over) this.#tell(waiting);
      else if (this.#source === null) this.#waiting.push(waiting);
      else this.#pull(this.#source, waiting);
    });
  }

  async return(): Promise<Part> {
    const source = this.#source;
    this.#source = null;
    this.#error = null;
    if (!this.#over) {
      this.#over = true;
      for (const waiting of this.#waiting.splice(0)) waiting.resolve(DONE);
      this.#left();
    }
    await source?.return?.();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** After its end: the error once, if it has one. */
  #tell(waiting: Waiting): void {
    const error = this.#error;
    this.#error = null;
    if (error === null) waiting.resolve(DONE);
    else waiting.reject(error.reason);
  }

  #pull(source: PartsReader<unknown>, waiting: Waiting): void {
    source.next().then(
      (part) => waiting.resolve(part),
      () => {
        // What becomes of the request is told next: it may go out again, over another connection.
        if (this.#source === source) this.#source = null;
        if (this.#over) this.#tell(waiting);
        else if (this.#source !== null) this.#pull(this.#source, waiting);
        else this.#waiting.push(waiting);
      },
    );
  }
}
