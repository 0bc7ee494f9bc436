import type { Assembler } from './assembler.js';
import type { PartsReader } from './call.js';
import { PartMemory } from './partMemory.js';

/** Whose parts they are. */
export interface PartsOwner {
  /** A part was taken by the program: there may be credit to give. */
  taken(parts: IncomingParts): void;
  /** The program does not want more of them. */
  left(parts: IncomingParts): void;
}

const DONE = { done: true, value: undefined } as const;

/** What follows a value, as the program reads it: by one loop. Those that have come wait here, and hold their credit. */
export class IncomingParts implements PartsReader<unknown> {
  readonly #assembler: Assembler;
  readonly #owner: PartsOwner;
  readonly #values: unknown[] = [];
  readonly #costs: number[] = [];
  #first = 0;
  #waiting: { resolve(result: IteratorResult<unknown, undefined>): void; reject(error: unknown): void }[] =
    [];
  #ended = false;
  #error: unknown = null;
  /** What the program has, until it asks for the next one. */
  #given: unknown;

  constructor(assembler: Assembler, owner: PartsOwner) {
    this.#assembler = assembler;
    this.#owner = owner;
  }

  reusing(): this {
    this.#assembler.memory ??= new PartMemory();
    return this;
  }

  /** A part has come, of this cost. */
  add(value: unknown, cost: number): void {
    if (this.#ended) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      this.#assembler.flow.take(cost);
      this.#given = value;
      waiting.resolve({ done: false, value });
      return;
    }
    this.#values.push(value);
    this.#costs.push(cost);
  }

  /** No more will come. Those that have are for the program still, but for an error. */
  end(error: unknown = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (const waiting of this.#waiting.splice(0)) {
      if (error === null) waiting.resolve(DONE);
      else {
        this.#error = null;
        waiting.reject(error);
      }
    }
    if (error !== null) this.#values.length = 0;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    this.#assembler.memory?.giveBack(this.#given);
    this.#given = undefined;
    if (this.#first < this.#values.length) {
      const value = this.#values[this.#first];
      const cost = this.#costs[this.#first] as number;
      this.#values[this.#first++] = undefined;
      if (this.#first === this.#values.length) {
        this.#values.length = 0;
        this.#costs.length = 0;
        this.#first = 0;
      }
      this.#assembler.flow.take(cost);
      this.#given = value;
      this.#owner.taken(this);
      return Promise.resolve({ done: false, value });
    }
    if (this.#error !== null) {
      const error = this.#error;
      this.#error = null;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    if (!this.#ended) {
      this.end();
      this.#owner.left(this);
    }
    this.#values.length = 0;
    this.#costs.length = 0;
    this.#first = 0;
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
