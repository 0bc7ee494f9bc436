import { TcpshmError } from '../errors.js';
import { publish as publishWord } from '../memory/order.js';
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

// Copied for the hot paths: an imported binding is loaded and checked at each use (README.md).
const FIRST_RECORD = RECORDS;
const HEADER = HEADER_BYTES;
const aligned = alignedLength;
const publish = publishWord;

/**
 * The writing end of a ring: `claim` gives room for a message, `push` publishes it. One producer per ring, in one
 * thread at a time. Opening one on a ring that was used before goes on behind its last published record.
 *
 * A record is published by one store: of its size, into a word that reads zero until then. A batch is published by
 * storing the size of its first record last, so it becomes visible at once or not at all. What is looked at after that
 * may be older than the store (memory/order.ts).
 */
export class RingProducer {
  readonly message: Message;
  private readonly _memory: RingMemory;
  private readonly _words: Int32Array;
  private readonly _capacity: number;
  private readonly _mask: number;
  /** Payload of the largest message. */
  private readonly _largest: number;
  /** Where the next record goes: behind all completed ones. */
  private _position: number;
  /** Behind all published ones. Differs from the former while a batch is open. */
  private _published: number;
  /** Position up to which records may reach, as last read. */
  private _limit: number;
  /**
   * Bytes of records that may be claimed behind the last one without further thought: those that are free, as far as is
   * known, at most up to the end of the ring, and fewer than of a large record.
   */
  private _room = 0;
  private _pushed: number;
  /** Completed messages of the open batch, and the size word of its first record, which publishes it. */
  private _batched = 0;
  private _firstSize = 0;
  /** The claim: bytes of padding before its record, and bytes of the record; 0 when nothing is claimed. */
  private _padding = 0;
  private _length = 0;
  /** Whether the claim is more than its record: has padding, is large, or has behind it what may not be clear. */
  private _special = false;
  private readonly _largeBytes: number;
  /** Position up to which free space may read anything, other than the word behind the last published record; if it may. */
  private _clearFrom: number;
  private _unclear: boolean;
  private _waiting = false;
  /** Counted where a claim takes the long way, which each does at least once in a lap around the ring. */
  private _bytesBefore = 0;
  private _countedTo: number;
  private _refusals = 0;
  private _stalls = 0;
  private _highWater = 0;
  /** What was published when `sample` looked last. */
  private _sampled: number;

  constructor(memory: RingMemory) {
    const published = readPublished(memory);
    this._memory = memory;
    this._words = memory.words;
    this._capacity = memory.capacity;
    this._mask = memory.mask;
    this._largest = memory.maxMessageBytes;
    this._largeBytes = memory.largeBytes;
    this._position = published.position;
    this._published = published.position;
    this._pushed = published.pushed;
    this._countedTo = published.position;
    this._sampled = published.position;
    // Large records may be among those that are still to be handed back.
    this._clearFrom = advance(published.position, memory.capacity);
    this._unclear = this.takenBytes !== 0;
    this._limit = this._readLimit();
    this.message = new Message(memory);
    clearFreeSpace(memory, published.position);
    Atomics.store(this._words, WAITING, 0);
  }

  /** Messages published since the session began. Survives the death of the process exactly. */
  get pushed(): number {
    return this._pushed;
  }

  /** Position behind the last published record. */
  get published(): number {
    return this._published;
  }

  /** Bytes of all records published since it was opened: with headers, alignment, and padding at the end of the ring. */
  get publishedBytes(): number {
    return this._bytesBefore + ((this._published - this._countedTo) >>> 0);
  }

  /** How often `claim` gave null since it was opened. */
  get refusals(): number {
    return this._refusals;
  }

  /** How often it came to wait for space since it was opened: one for all claims until some was found. */
  get stalls(): number {
    return this._stalls;
  }

  /** Most bytes that were taken up when somebody looked: `sample`, or a claim that found less room than it knew of. */
  get highWater(): number {
    return this._highWater;
  }

  /** As `usedBytes`, but whatever the consumer says: what cannot be true is for a claim to tell. */
  get takenBytes(): number {
    return distance(Atomics.load(this._words, RECLAIMED), this._published);
  }

  /** Looks how much is taken up, for `highWater`: not where it cannot be more than before, as that costs a poll 8 ns. */
  sample(): void {
    if (this._published === this._sampled) return;
    this._sampled = this._published;
    this._note(this.takenBytes);
  }

  /**
   * Room for a message of `size` bytes, or null when the ring has none now. It reads zero, unless its record is large:
   * then it reads anything. Claiming again without `push` replaces the claim. Throws a RangeError when no message can have
   * this size, ERR_PROTOCOL when the consumer's position cannot be true.
   */
  claim(size: number): Message | null {
    const length = aligned(size + HEADER);
    if (size >>> 0 !== size || size > this._largest || length > this._room || this._length !== 0) {
      return this._claimElse(size, length);
    }
    this._length = length;
    return this.message.wrap(FIRST_RECORD + (this._position & this._mask) + HEADER, size, 1);
  }

  /** The same for what is not right behind the last record, as far as is known, or replaces a claim, or cannot be. */
  private _claimElse(size: number, length: number): Message | null {
    if (size >>> 0 !== size || size > this._largest) throw this._badSize(size);
    this.forget();
    this._bytesBefore += (this._published - this._countedTo) >>> 0;
    this._countedTo = this._published;
    const position = this._position;
    if (this._unclear && distance(this._clearFrom, position) >= 0) this._unclear = false;
    const room = this._capacity - (position & this._mask);
    const padding = length > room ? room : 0;
    if (distance(position, this._limit) < padding + length && !this._findRoom(padding + length)) {
      this.message.expire();
      this._refusals++;
      return null;
    }
    const large = length >= this._largeBytes;
    if (this._unclear && !large) {
      this._memory.clear(advance(position, padding), advance(position, padding + length));
    }
    this._padding = padding;
    this._length = length;
    // The next claim behind a special one comes here too, as it finds no `_room`.
    this._special = padding !== 0 || large || this._unclear;
    this._room = this._special
      ? 0
      : Math.min(room, distance(position, this._limit), this._largeBytes - ALIGNMENT);
    return this.message.wrap(RECORDS + ((position + padding) & this._mask) + HEADER_BYTES, size, 1);
  }

  /**
   * Makes the claimed message shorter, once it is known how much of it is used. Throws ERR_NO_MESSAGE when nothing is
   * claimed, a RangeError for what is longer.
   */
  truncate(size: number): void {
    if (this._length === 0)
      throw new TcpshmError('ERR_NO_MESSAGE', 'truncate() needs a message: alloc() first');
    const { message } = this;
    if (size >>> 0 !== size || size > message.size) {
      throw new RangeError(
        `a message of ${message.size} bytes can be truncated to 0 to ${message.size} bytes, got ${String(size)}`,
      );
    }
    const start = advance(this._position, this._padding);
    const length = alignedLength(size + HEADER_BYTES);
    // What is not part of a record must read zero.
    this._memory.clear(advance(start, length), advance(start, this._length));
    this._length = length;
    message.shorten(size);
  }

  /** Publishes the claimed message, and the open batch with it. Throws ERR_NO_MESSAGE when nothing is claimed. */
  push(): void {
    const length = this._length;
    if (length !== 0 && this._batched === 0 && !this._special) {
      const { message } = this;
      const words = this._words;
      const position = this._position;
      const start = (FIRST_RECORD + (position & this._mask)) >> 2;
      words[start + 1] = message.type;
      // PUBLISH the record; observed by RingConsumer.front(). Without it the consumer could see the size before
      // the payload.
      publish(words, start, message.size + HEADER);
      this._position = (position + length) | 0;
      this._published = this._position;
      this._room -= length;
      this._pushed++;
      this._length = 0;
      message.expire();
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
    const { message } = this;
    if (this._length === 0) throw new TcpshmError('ERR_NO_MESSAGE', 'push() needs a message: alloc() first');
    if (this._special) this._appendSpecial();
    this._append(message.size + HEADER, this._length, message.type | flags);
    this._batched++;
    this._length = 0;
    message.expire();
  }

  /** Publishes the open batch, if there is one: for when it must go out without a further message. */
  publish(): void {
    if (this._batched === 0) return;
    // Whoever sees the batch sees where it ends. An end takes no room: `_limit` leaves it.
    if (this._unclear) this._words[(FIRST_RECORD + (this._position & this._mask)) >> 2] = 0;
    // PUBLISH the batch by its first record; observed by RingConsumer.front().
    publish(this._words, (FIRST_RECORD + (this._published & this._mask)) >> 2, this._firstSize);
    this._published = this._position;
    this._pushed += this._batched;
    this._batched = 0;
  }

  /** Whether space was handed back since `claim` found none. */
  get relieved(): boolean {
    return this._waiting && this._readLimit() !== this._limit;
  }

  /** Whether it has asked for space, and not found any since. */
  get waits(): boolean {
    return this._waiting;
  }

  /** Bytes that are taken up: published, and not handed back. */
  get usedBytes(): number {
    return distance(this._readLimit(), this._published) + this._capacity - ALIGNMENT;
  }

  /** Whether `claim` would find room for a message of `size` bytes; asks for it if not. Throws what `claim` throws. */
  hasRoom(size: number): boolean {
    if (size >>> 0 !== size || size > this._memory.maxMessageBytes) throw this._badSize(size);
    const length = alignedLength(size + HEADER_BYTES);
    const room = this._capacity - (this._position & this._mask);
    return this.fits(length > room ? room + length : length);
  }

  /**
   * Whether so many bytes of records, padding included, fit behind the last one; if not, asks for space as `claim` does,
   * and throws what it throws.
   */
  fits(lengthBytes: number): boolean {
    return distance(this._position, this._limit) >= lengthBytes || this._findRoom(lengthBytes);
  }

  /** Whether a message is claimed, or a batch open. */
  get busy(): boolean {
    return this._length !== 0 || this._batched !== 0;
  }

  /**
   * Drops the claim, if there is one. What was written into it must not stay: a shorter record would have it as the
   * next header.
   */
  forget(): void {
    if (this._length === 0) return;
    const start = advance(this._position, this._padding);
    this._memory.clear(start, advance(start, this._length));
    this._padding = 0;
    this._length = 0;
    this.message.expire();
  }

  /** Drops the claim and the open batch: all that is not published. */
  retract(): void {
    this.forget();
    if (this._batched === 0) return;
    this._memory.clear(this._published, this._position);
    this._position = this._published;
    this._room = 0;
    this._batched = 0;
  }

  /** What is before the record of the claim, or comes of it. */
  private _appendSpecial(): void {
    if (this._padding !== 0) this._append(this._padding, this._padding, PADDING_KIND);
    this._padding = 0;
    if (this._length < this._largeBytes) return;
    this._unclear = true;
    this._clearFrom = advance(this._position, this._length + this._capacity);
  }

  /** Writes a record's header at the end of the batch; the size of the first one is held back. */
  private _append(size: number, length: number, kind: number): void {
    const position = this._position;
    const words = this._words;
    const start = (FIRST_RECORD + (position & this._mask)) >> 2;
    words[start + 1] = kind;
    if (position === this._published) this._firstSize = size;
    else words[start] = size;
    this._position = (position + length) | 0;
    this._room -= length;
  }

  /** Reads how far the consumer has handed space back; if that is not enough, asks it to do so sooner. */
  private _findRoom(needed: number): boolean {
    this._limit = this._readLimit();
    this._note(this._capacity - ALIGNMENT - distance(this._published, this._limit));
    if (distance(this._position, this._limit) < needed) {
      // It is asked for already, and each store would take the line from the consumer, who looks at it with every pop.
      if (this._waiting) return false;
      this._waiting = true;
      this._stalls++;
      // ASK for space, then look once more; the consumer pops, then looks at this word. So one sees the other.
      Atomics.store(this._words, WAITING, 1);
      this._limit = this._readLimit();
      if (distance(this._position, this._limit) < needed) return false;
    }
    if (this._waiting) {
      this._waiting = false;
      Atomics.store(this._words, WAITING, 0);
    }
    return true;
  }

  private _note(used: number): void {
    if (used > this._highWater && used <= this._capacity - ALIGNMENT) this._highWater = used;
  }

  private _readLimit(): number {
    // OBSERVE space handed back by RingConsumer.reclaim(): it reads zero from here on.
    const reclaimed = Atomics.load(this._words, RECLAIMED);
    const used = distance(reclaimed, this._published);
    if (used < 0 || used > this._capacity - ALIGNMENT) {
      throw badReclaimed(this._memory, reclaimed, this._published);
    }
    return advance(reclaimed, this._capacity - ALIGNMENT);
  }

  private _badSize(size: number): RangeError {
    return new RangeError(
      `message size must be an integer from 0 to ${this._memory.maxMessageBytes} bytes (a quarter of the capacity),` +
        ` got ${String(size)}`,
    );
  }
}

/**
 * Clears all space behind the last published record: a producer that died may have left half a message there, and
 * what is not a published header must read zero. Throws ERR_PROTOCOL when the consumer's position cannot be true.
 */
export function clearFreeSpace(memory: RingMemory, published: number): void {
  // Read once: the consumer's process may have made something else of it since it was checked last.
  const reclaimed = Atomics.load(memory.words, RECLAIMED);
  const free = distance(published, advance(reclaimed, memory.capacity));
  // Behind what is published nothing is free, where that is what has arrived of a record (RingReplica).
  if (free > memory.capacity || ((published | reclaimed) & (ALIGNMENT - 1)) !== 0) {
    throw badReclaimed(memory, reclaimed, published);
  }
  if (free > 0) memory.clear(published, advance(published, free));
}

/** What to throw where the consumer's position cannot be true. */
export function badReclaimed(memory: RingMemory, reclaimed: number, written: number): TcpshmError {
  const most = memory.capacity - ALIGNMENT;
  return new TcpshmError(
    'ERR_PROTOCOL',
    `the consumer hands back space up to position ${shown(reclaimed)}: expected one at most` +
      ` ${most} bytes behind ${shown(written)}`,
  );
}
