import { TcpshmError } from '../errors.js';
import { advance, distance, shown } from '../memory/wrap.js';
import {
  ALIGNMENT,
  alignedLength,
  type CONTINUED,
  HEADER_BYTES,
  PADDING_KIND,
  RECLAIMED,
  RECORDS,
  WAITING,
} from './layout.js';
import type { RingMemory } from './memory.js';
import { Message } from './message.js';
import { readPublished } from './recovery.js';

/**
 * The writing end of a ring: `claim` gives room for a message, `push` publishes it. One producer per ring, in one
 * thread at a time. Opening one on a ring that was used before goes on behind its last published record.
 *
 * A record is published by one store: of its size, into a word that reads zero until then. A batch is published by
 * storing the size of its first record last, so it becomes visible at once or not at all.
 */
export class RingProducer {
  readonly message: Message;
  readonly #memory: RingMemory;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #mask: number;
  /** Where the next record goes: behind all completed ones. */
  #position: number;
  /** Behind all published ones. Differs from the former while a batch is open. */
  #published: number;
  /** Position up to which records may reach, as last read. */
  #limit: number;
  #pushed: number;
  /** Completed messages of the open batch, and the size word of its first record, which publishes it. */
  #batched = 0;
  #firstSize = 0;
  /** The claim: bytes of padding before its record, and bytes of the record; 0 when nothing is claimed. */
  #padding = 0;
  #length = 0;
  #waiting = false;

  constructor(memory: RingMemory) {
    const published = readPublished(memory);
    this.#memory = memory;
    this.#words = memory.words;
    this.#capacity = memory.capacity;
    this.#mask = memory.mask;
    this.#position = published.position;
    this.#published = published.position;
    this.#pushed = published.pushed;
    this.#limit = this.#readLimit();
    this.message = new Message(memory);
    clearFreeSpace(memory, published.position);
    Atomics.store(this.#words, WAITING, 0);
  }

  /** Messages published since the session began. Survives the death of the process exactly. */
  get pushed(): number {
    return this.#pushed;
  }

  /** Position behind the last published record. */
  get published(): number {
    return this.#published;
  }

  /**
   * Room for a message of `size` bytes, or null when the ring has none now. Claiming again without `push` replaces
   * the claim. Throws a RangeError when no message can have this size, ERR_PROTOCOL when the consumer's position
   * cannot be true.
   */
  claim(size: number): Message | null {
    if (size >>> 0 !== size || size > this.#memory.maxMessageBytes) throw this.#badSize(size);
    this.forget();
    const length = alignedLength(size + HEADER_BYTES);
    const position = this.#position;
    const room = this.#capacity - (position & this.#mask);
    const padding = length > room ? room : 0;
    if (distance(position, this.#limit) < padding + length && !this.#findRoom(padding + length)) {
      this.message.expire();
      return null;
    }
    this.#padding = padding;
    this.#length = length;
    return this.message.wrap(RECORDS + ((position + padding) & this.#mask) + HEADER_BYTES, size, 1);
  }

  /**
   * Makes the claimed message shorter, once it is known how much of it is used. Throws ERR_NO_MESSAGE when nothing is
   * claimed, a RangeError for what is longer.
   */
  truncate(size: number): void {
    if (this.#length === 0)
      throw new TcpshmError('ERR_NO_MESSAGE', 'truncate() needs a message: alloc() first');
    const { message } = this;
    if (size >>> 0 !== size || size > message.size) {
      throw new RangeError(
        `a message of ${message.size} bytes can be truncated to 0 to ${message.size} bytes, got ${String(size)}`,
      );
    }
    const start = advance(this.#position, this.#padding);
    const length = alignedLength(size + HEADER_BYTES);
    // What is not part of a record must read zero.
    this.#memory.clear(advance(start, length), advance(start, this.#length));
    this.#length = length;
    message.shorten(size);
  }

  /** Publishes the claimed message, and the open batch with it. Throws ERR_NO_MESSAGE when nothing is claimed. */
  push(): void {
    if (this.#padding === 0 && this.#batched === 0 && this.#length !== 0) {
      const start = (RECORDS + (this.#position & this.#mask)) >> 2;
      const size = this.message.size + HEADER_BYTES;
      this.#words[start + 1] = this.message.type;
      // PUBLISH the record; observed by RingConsumer.front(). Without it the consumer could see the size before
      // the payload.
      Atomics.store(this.#words, start, size);
      this.#position = advance(this.#position, this.#length);
      this.#published = this.#position;
      this.#pushed++;
      this.#length = 0;
      this.message.expire();
      return;
    }
    this.pushMore();
    this.publish();
  }

  /**
   * Completes the claimed message as part of a batch that becomes visible with `push` or `publish`. `flags` is for rings
   * that mark their batches: `CONTINUED` for all but the first message of a batch.
   */
  pushMore(flags: 0 | typeof CONTINUED = 0): void {
    if (this.#length === 0) throw new TcpshmError('ERR_NO_MESSAGE', 'push() needs a message: alloc() first');
    if (this.#padding !== 0) this.#append(this.#padding, this.#padding, PADDING_KIND);
    this.#append(this.message.size + HEADER_BYTES, this.#length, this.message.type | flags);
    this.#batched++;
    this.#padding = 0;
    this.#length = 0;
    this.message.expire();
  }

  /** Publishes the open batch, if there is one: for when it must go out without a further message. */
  publish(): void {
    if (this.#batched === 0) return;
    // PUBLISH the batch by its first record; observed by RingConsumer.front().
    Atomics.store(this.#words, (RECORDS + (this.#published & this.#mask)) >> 2, this.#firstSize);
    this.#published = this.#position;
    this.#pushed += this.#batched;
    this.#batched = 0;
  }

  /** Whether space was handed back since `claim` found none. */
  get relieved(): boolean {
    return this.#waiting && this.#readLimit() !== this.#limit;
  }

  /** Whether it has asked for space, and not found any since. */
  get waits(): boolean {
    return this.#waiting;
  }

  /** Bytes that are taken up: published, and not handed back. */
  get usedBytes(): number {
    return distance(this.#readLimit(), this.#published) + this.#capacity - ALIGNMENT;
  }

  /** Whether `claim` would find room for a message of `size` bytes; asks for it if not. Throws what `claim` throws. */
  hasRoom(size: number): boolean {
    if (size >>> 0 !== size || size > this.#memory.maxMessageBytes) throw this.#badSize(size);
    const length = alignedLength(size + HEADER_BYTES);
    const room = this.#capacity - (this.#position & this.#mask);
    return this.fits(length > room ? room + length : length);
  }

  /**
   * Whether so many bytes of records, padding included, fit behind the last one; if not, asks for space as `claim` does,
   * and throws what it throws.
   */
  fits(lengthBytes: number): boolean {
    return distance(this.#position, this.#limit) >= lengthBytes || this.#findRoom(lengthBytes);
  }

  /** Whether a message is claimed, or a batch open. */
  get busy(): boolean {
    return this.#length !== 0 || this.#batched !== 0;
  }

  /**
   * Drops the claim, if there is one. What was written into it must not stay: a shorter record would have it as the
   * next header.
   */
  forget(): void {
    if (this.#length === 0) return;
    const start = advance(this.#position, this.#padding);
    this.#memory.clear(start, advance(start, this.#length));
    this.#length = 0;
    this.message.expire();
  }

  /** Drops the claim and the open batch: all that is not published. */
  retract(): void {
    this.forget();
    if (this.#batched === 0) return;
    this.#memory.clear(this.#published, this.#position);
    this.#position = this.#published;
    this.#batched = 0;
  }

  /** Writes a record's header at the end of the batch; the size of the first one is held back. */
  #append(size: number, length: number, kind: number): void {
    const start = (RECORDS + (this.#position & this.#mask)) >> 2;
    this.#words[start + 1] = kind;
    if (this.#position === this.#published) this.#firstSize = size;
    else this.#words[start] = size;
    this.#position = advance(this.#position, length);
  }

  /** Reads how far the consumer has handed space back; if that is not enough, asks it to do so at its next pop. */
  #findRoom(needed: number): boolean {
    this.#limit = this.#readLimit();
    if (distance(this.#position, this.#limit) < needed) {
      this.#waiting = true;
      // ASK for space, then look once more; the consumer pops, then looks at this word. So one sees the other.
      Atomics.store(this.#words, WAITING, 1);
      this.#limit = this.#readLimit();
      if (distance(this.#position, this.#limit) < needed) return false;
    }
    if (this.#waiting) {
      this.#waiting = false;
      Atomics.store(this.#words, WAITING, 0);
    }
    return true;
  }

  #readLimit(): number {
    // OBSERVE space handed back by RingConsumer.reclaim(): it reads zero from here on.
    const reclaimed = Atomics.load(this.#words, RECLAIMED);
    const used = distance(reclaimed, this.#published);
    if (used < 0 || used > this.#capacity - ALIGNMENT) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `the consumer hands back space up to position ${shown(reclaimed)}: expected one at most` +
          ` ${this.#capacity - ALIGNMENT} bytes behind ${shown(this.#published)}`,
      );
    }
    return advance(reclaimed, this.#capacity - ALIGNMENT);
  }

  #badSize(size: number): RangeError {
    return new RangeError(
      `message size must be an integer from 0 to ${this.#memory.maxMessageBytes} bytes (a quarter of the capacity),` +
        ` got ${String(size)}`,
    );
  }
}

/**
 * Clears all space behind the last published record: a producer that died may have left half a message there, and
 * what is not a published header must read zero.
 */
export function clearFreeSpace(memory: RingMemory, published: number): void {
  const end = advance(Atomics.load(memory.words, RECLAIMED), memory.capacity);
  if (distance(published, end) > 0) memory.clear(published, end);
}
