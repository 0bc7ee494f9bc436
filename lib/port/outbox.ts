import type { Codec } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import { Part, typeOf } from './parts.js';
import type { Scratch } from './scratch.js';

/** A value, or what is left of it, that waits for room. */
export interface Waiting {
  readonly tag: number;
  readonly bytes: Uint8Array;
  /** So many bytes have gone out. */
  at: number;
}

/**
 * Sends values over a connection, each with a number of its own: into the ring at once where it has room, else in order
 * once it has. Values that are larger than a message go in parts.
 */
export class Outbox {
  readonly #connection: Connection;
  readonly #codec: Codec<unknown>;
  readonly #scratch: Scratch;
  readonly #partBytes: number;
  /** Added to the number of a value in the first of its parts. */
  readonly #firstTag: number;
  #waiting: Waiting[] = [];
  /** Those before it have gone out. */
  #first = 0;
  #waitingBytes = 0;

  constructor(
    connection: Connection,
    codec: Codec<unknown>,
    scratch: Scratch,
    waiting: readonly Waiting[] = [],
    firstTag = 0,
  ) {
    this.#connection = connection;
    this.#codec = codec;
    this.#scratch = scratch;
    this.#partBytes = connection.maxMessageBytes;
    this.#firstTag = firstTag;
    for (const one of waiting) this.#keep(one);
  }

  /** Bytes that wait in memory for room in the ring. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** What waits, to be sent by another outbox: this one has nothing any more. */
  take(): Waiting[] {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = [];
    this.#first = 0;
    this.#waitingBytes = 0;
    return waiting;
  }

  /** Sends a value, as it is now. Throws ERR_CODEC, then nothing is sent, ERR_CLOSED. */
  post(value: unknown, tag: number): void {
    if (this.#waitingBytes === 0 && this.#waiting.length === 0) {
      try {
        const message = this.#codec.encode(this.#connection, value);
        if (message !== null) {
          message.type = typeOf(Part.whole, tag);
          this.#connection.push();
          return;
        }
      } catch (error) {
        // Else it is too large for a message.
        if (!(error instanceof RangeError)) throw error;
      }
    }
    this.postBytes(this.#scratch.encode(this.#codec, value), tag);
  }

  /** The same with a value that was encoded before. The bytes must not change any more. */
  postBytes(bytes: Uint8Array, tag: number): void {
    this.#keep({ tag, bytes, at: 0 });
    this.flush();
  }

  /** Moves what waits into the ring, as far as it has room. True if anything moved. */
  flush(): boolean {
    let moved = false;
    while (this.#first < this.#waiting.length) {
      const next = this.#waiting[this.#first] as Waiting;
      if (!this.#send(next)) break;
      moved = true;
      if (next.at < next.bytes.length) continue;
      this.#first++;
      if (this.#first * 2 > this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#first);
        this.#first = 0;
      }
    }
    return moved;
  }

  #keep(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#waitingBytes += waiting.bytes.length - waiting.at;
  }

  /** Sends a value, or its next part. False when there is no room. */
  #send(waiting: Waiting): boolean {
    const left = waiting.bytes.length - waiting.at;
    const size = Math.min(left, this.#partBytes);
    const message = this.#connection.alloc(size);
    if (message === null) return false;
    const part = size < left ? Part.more : waiting.at === 0 ? Part.whole : Part.last;
    const begins = part === Part.more && waiting.at === 0;
    message.type = typeOf(part, begins ? waiting.tag | this.#firstTag : waiting.tag);
    message.set(waiting.bytes.subarray(waiting.at, waiting.at + size));
    this.#connection.push();
    waiting.at += size;
    this.#waitingBytes -= size;
    return true;
  }
}
