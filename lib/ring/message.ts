import { TcpshmError } from '../errors.js';
import { copyWords } from '../memory/copy.js';
import { MAX_CAPACITY, MAX_TYPE } from './layout.js';
import type { RingMemory } from './memory.js';

/** An offset at which no view has anything, so that what reads there throws a RangeError: no ring is as large. */
const NOWHERE = MAX_CAPACITY + 2 ** 20;

/**
 * A message in place: a flyweight over the bytes of a ring, which its connection moves from record to record.
 *
 * The object that `alloc` gave is valid until `push`, `pushMore` or the next `alloc`; the one that `front` gave
 * until `pop`. After that its size is 0, so that its accessors throw rather than touch another message; keep
 * values, not the object. Belongs to the thread of its connection.
 *
 * Numbers are little-endian on every machine. Accessors take the offset within the payload in bytes, aligned or
 * not, and throw a RangeError beyond the size.
 */
export class Message {
  readonly #memory: RingMemory;
  /** A DataView over the whole ring: the payload starts at `offset`. Reused, so that reading allocates nothing. */
  readonly view: DataView;
  #offset = 0;
  #size = 0;
  #type = 0;

  constructor(memory: RingMemory) {
    this.#memory = memory;
    this.view = memory.view;
  }

  /** @internal Moves the flyweight: for the ring that owns it. */
  wrap(offset: number, size: number, type: number): this {
    this.#offset = offset;
    this.#size = size;
    this.#type = type;
    return this;
  }

  /** @internal The payload ends here. */
  shorten(size: number): void {
    this.#size = size;
  }

  /** @internal Takes the payload away, so that nothing touches what may be another message by now. */
  expire(): void {
    this.#size = 0;
    this.#offset = NOWHERE;
  }

  /** Where the payload starts in `view`, a multiple of 8. Beyond its end while there is no payload. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes of payload. */
  get size(): number {
    return this.#size;
  }

  /** What the sender says this is: 1 to 65535. A new message has type 1. */
  get type(): number {
    return this.#type;
  }

  /** Set before `push`. Throws ERR_MESSAGE_TYPE. */
  set type(type: number) {
    if ((type & MAX_TYPE) !== type || type === 0) {
      throw new TcpshmError(
        'ERR_MESSAGE_TYPE',
        `message type must be an integer from 1 to ${MAX_TYPE}, got ${String(type)}`,
      );
    }
    this.#type = type;
  }

  getInt8(at: number): number {
    return this.view.getInt8(this.#at(at, 1));
  }
  getUint8(at: number): number {
    return this.view.getUint8(this.#at(at, 1));
  }
  getInt16(at: number): number {
    return this.view.getInt16(this.#at(at, 2), true);
  }
  getUint16(at: number): number {
    return this.view.getUint16(this.#at(at, 2), true);
  }
  getInt32(at: number): number {
    return this.view.getInt32(this.#at(at, 4), true);
  }
  getUint32(at: number): number {
    return this.view.getUint32(this.#at(at, 4), true);
  }
  getBigInt64(at: number): bigint {
    return this.view.getBigInt64(this.#at(at, 8), true);
  }
  getBigUint64(at: number): bigint {
    return this.view.getBigUint64(this.#at(at, 8), true);
  }
  getFloat32(at: number): number {
    return this.view.getFloat32(this.#at(at, 4), true);
  }
  getFloat64(at: number): number {
    return this.view.getFloat64(this.#at(at, 8), true);
  }

  setInt8(at: number, value: number): void {
    this.view.setInt8(this.#at(at, 1), value);
  }
  setUint8(at: number, value: number): void {
    this.view.setUint8(this.#at(at, 1), value);
  }
  setInt16(at: number, value: number): void {
    this.view.setInt16(this.#at(at, 2), value, true);
  }
  setUint16(at: number, value: number): void {
    this.view.setUint16(this.#at(at, 2), value, true);
  }
  setInt32(at: number, value: number): void {
    this.view.setInt32(this.#at(at, 4), value, true);
  }
  setUint32(at: number, value: number): void {
    this.view.setUint32(this.#at(at, 4), value, true);
  }
  setBigInt64(at: number, value: bigint): void {
    this.view.setBigInt64(this.#at(at, 8), value, true);
  }
  setBigUint64(at: number, value: bigint): void {
    this.view.setBigUint64(this.#at(at, 8), value, true);
  }
  setFloat32(at: number, value: number): void {
    this.view.setFloat32(this.#at(at, 4), value, true);
  }
  setFloat64(at: number, value: number): void {
    this.view.setFloat64(this.#at(at, 8), value, true);
  }

  /** The payload in place, without a copy: a fresh view, valid as long as the message is. */
  bytes(): Buffer {
    return this.#memory.bytes.subarray(this.#offset, this.#offset + this.#size);
  }

  /** The payload as UTF-8 text, or so many bytes of it from `at` on. */
  text(at = 0, lengthBytes = this.#size - at): string {
    const start = this.#at(at, lengthBytes);
    return this.#memory.bytes.toString('utf8', start, start + lengthBytes);
  }

  /** Writes bytes into the payload, from `at` on. */
  set(bytes: Uint8Array, at = 0): void {
    this.#memory.bytes.set(bytes, this.#at(at, bytes.length));
  }

  /** Writes text as UTF-8 from `at` on, and returns its length in bytes. */
  setText(text: string, at = 0): number {
    const lengthBytes = Buffer.byteLength(text);
    return this.#memory.bytes.write(text, this.#at(at, lengthBytes), lengthBytes, 'utf8');
  }

  /** Writes the bytes of `source` from `start` to `end` into the payload, from `at` on: `set` without a view of them. */
  setSlice(source: Buffer, start: number, end: number, at = 0): void {
    source.copy(this.#memory.bytes, this.#at(at, end - start), start, end);
  }

  /** Copies the whole payload to the start of `target`, which has room for it, and returns its size. */
  copyTo(target: Uint8Array): number {
    return this.#memory.bytes.copy(target, 0, this.#offset, this.#offset + this.#size);
  }

  /** Copies the payload and type of another message, of the same size at the most, to the start of this one. */
  copyFrom(other: Message): void {
    const start = this.#at(0, other.#size);
    // Whole words may reach behind a payload, into what pads its record, but not into bytes of a longer one.
    if (other.#size === this.#size) {
      copyWords(other.#memory, other.#offset, this.#memory, start, other.#size);
    } else {
      this.#memory.bytes.set(other.bytes(), start);
    }
    this.#type = other.#type;
  }

  /** Index of payload byte `at` in `view`, if `count` bytes from there are within the payload. */
  #at(at: number, count: number): number {
    if (at >>> 0 === at && at + count <= this.#size) return this.#offset + at;
    throw new RangeError(
      `bytes ${at} to ${at + count} are not within this message of ${this.#size} bytes` +
        ' (a message is valid until it is pushed or popped)',
    );
  }
}
