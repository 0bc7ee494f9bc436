import { TcpshmError } from '../errors.js';
import { copyAll, copyBytes, copyWords } from '../memory/copy.js';
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
  private readonly _memory: RingMemory;
  /** A DataView over the whole ring: the payload starts at `offset`. Reused, so that reading allocates nothing. */
  readonly view: DataView;
  /** @internal `offset`, for accessors of which many are to be inlined: a getter is one more function. */
  _offset = 0;
  private _size = 0;
  private _type = 0;

  constructor(memory: RingMemory) {
    this._memory = memory;
    this.view = memory.view;
  }

  /** @internal Moves the flyweight: for the ring that owns it. */
  wrap(offset: number, size: number, type: number): this {
    this._offset = offset;
    this._size = size;
    this._type = type;
    return this;
  }

  /** @internal The payload ends here. */
  shorten(size: number): void {
    this._size = size;
  }

  /** @internal Takes the payload away, so that nothing touches what may be another message by now. */
  expire(): void {
    this._size = 0;
    this._offset = NOWHERE;
  }

  /** Where the payload starts in `view`, a multiple of 8. Beyond its end while there is no payload. */
  get offset(): number {
    return this._offset;
  }

  /** Bytes of payload. */
  get size(): number {
    return this._size;
  }

  /** What the sender says this is: 1 to 65535. A new message has type 1. */
  get type(): number {
    return this._type;
  }

  /** Set before `push`. Throws ERR_MESSAGE_TYPE. */
  set type(type: number) {
    if ((type & MAX_TYPE) !== type || type === 0) {
      throw new TcpshmError(
        'ERR_MESSAGE_TYPE',
        `message type must be an integer from 1 to ${MAX_TYPE}, got ${String(type)}`,
      );
    }
    this._type = type;
  }

  /** Signed, 8 bits. */
  getInt8(at: number): number {
    return this.view.getInt8(this._offset + within(at, 1, this._size));
  }
  /** Unsigned, 8 bits. */
  getUint8(at: number): number {
    return this.view.getUint8(this._offset + within(at, 1, this._size));
  }
  /** Signed, 16 bits, little-endian. */
  getInt16(at: number): number {
    return this.view.getInt16(this._offset + within(at, 2, this._size), true);
  }
  /** Unsigned, 16 bits, little-endian. */
  getUint16(at: number): number {
    return this.view.getUint16(this._offset + within(at, 2, this._size), true);
  }
  /** Signed, 32 bits, little-endian. */
  getInt32(at: number): number {
    return this.view.getInt32(this._offset + within(at, 4, this._size), true);
  }
  /** Unsigned, 32 bits, little-endian. */
  getUint32(at: number): number {
    return this.view.getUint32(this._offset + within(at, 4, this._size), true);
  }
  /** Signed, 64 bits, little-endian. */
  getBigInt64(at: number): bigint {
    return this.view.getBigInt64(this._offset + within(at, 8, this._size), true);
  }
  /** Unsigned, 64 bits, little-endian. */
  getBigUint64(at: number): bigint {
    return this.view.getBigUint64(this._offset + within(at, 8, this._size), true);
  }
  /** IEEE 754, 32 bits, little-endian. */
  getFloat32(at: number): number {
    return this.view.getFloat32(this._offset + within(at, 4, this._size), true);
  }
  /** IEEE 754, 64 bits, little-endian. */
  getFloat64(at: number): number {
    return this.view.getFloat64(this._offset + within(at, 8, this._size), true);
  }

  /** Signed, 8 bits; what does not fit is cut off, as DataView does. */
  setInt8(at: number, value: number): void {
    this.view.setInt8(this._offset + within(at, 1, this._size), value);
  }
  /** Unsigned, 8 bits; what does not fit is cut off, as DataView does. */
  setUint8(at: number, value: number): void {
    this.view.setUint8(this._offset + within(at, 1, this._size), value);
  }
  /** Signed, 16 bits, little-endian; what does not fit is cut off, as DataView does. */
  setInt16(at: number, value: number): void {
    this.view.setInt16(this._offset + within(at, 2, this._size), value, true);
  }
  /** Unsigned, 16 bits, little-endian; what does not fit is cut off, as DataView does. */
  setUint16(at: number, value: number): void {
    this.view.setUint16(this._offset + within(at, 2, this._size), value, true);
  }
  /** Signed, 32 bits, little-endian; what does not fit is cut off, as DataView does. */
  setInt32(at: number, value: number): void {
    this.view.setInt32(this._offset + within(at, 4, this._size), value, true);
  }
  /** Unsigned, 32 bits, little-endian; what does not fit is cut off, as DataView does. */
  setUint32(at: number, value: number): void {
    this.view.setUint32(this._offset + within(at, 4, this._size), value, true);
  }
  /** Signed, 64 bits, little-endian; what does not fit is cut off, as DataView does. */
  setBigInt64(at: number, value: bigint): void {
    this.view.setBigInt64(this._offset + within(at, 8, this._size), value, true);
  }
  /** Unsigned, 64 bits, little-endian; what does not fit is cut off, as DataView does. */
  setBigUint64(at: number, value: bigint): void {
    this.view.setBigUint64(this._offset + within(at, 8, this._size), value, true);
  }
  /** IEEE 754, 32 bits, little-endian; rounded to what it can hold. */
  setFloat32(at: number, value: number): void {
    this.view.setFloat32(this._offset + within(at, 4, this._size), value, true);
  }
  /** IEEE 754, 64 bits, little-endian. */
  setFloat64(at: number, value: number): void {
    this.view.setFloat64(this._offset + within(at, 8, this._size), value, true);
  }

  /** The payload in place, without a copy: a fresh view, valid as long as the message is. */
  bytes(): Buffer {
    return this._memory.bytes.subarray(this._offset, this._offset + this._size);
  }

  /** The payload as UTF-8 text, or so many bytes of it from `at` on. */
  text(at = 0, lengthBytes = this._size - at): string {
    const start = this._offset + within(at, lengthBytes, this._size);
    return this._memory.bytes.toString('utf8', start, start + lengthBytes);
  }

  /** Writes bytes into the payload, from `at` on. */
  set(bytes: Uint8Array, at = 0): void {
    copyAll(bytes, this._memory.bytes, this._offset + within(at, bytes.length, this._size));
  }

  /** Writes text as UTF-8 from `at` on, and returns its length in bytes. */
  setText(text: string, at = 0): number {
    const lengthBytes = Buffer.byteLength(text);
    const start = this._offset + within(at, lengthBytes, this._size);
    return this._memory.bytes.write(text, start, lengthBytes, 'utf8');
  }

  /** Writes the bytes of `source` from `start` to `end` into the payload, from `at` on: `set` without a view of them. */
  setSlice(source: Buffer, start: number, end: number, at = 0): void {
    copyBytes(source, start, end, this._memory.bytes, this._offset + within(at, end - start, this._size));
  }

  /** Copies the whole payload to the start of `target`, which has room for it, and returns its size. */
  copyTo(target: Uint8Array): number {
    copyBytes(this._memory.bytes, this._offset, this._offset + this._size, target, 0);
    return this._size;
  }

  /** Copies the payload and type of another message, of the same size at the most, to the start of this one. */
  copyFrom(other: Message): void {
    const start = this._offset + within(0, other._size, this._size);
    // Whole words may reach behind a payload, into what pads its record, but not into bytes of a longer one.
    if (other._size === this._size) {
      copyWords(other._memory, other._offset, this._memory, start, other._size);
    } else {
      copyAll(other.bytes(), this._memory.bytes, start);
    }
    this._type = other._type;
  }
}

/** `at`, if `count` bytes from there are within the payload. A function for itself, and short: V8 inlines it. */
function within(at: number, count: number, size: number): number {
  if (at >>> 0 === at && at + count <= size) return at;
  throw beyond(at, count, size);
}

function beyond(at: number, count: number, size: number): RangeError {
  return new RangeError(
    `bytes ${at} to ${at + count} are not within this message of ${size} bytes` +
      ' (a message is valid until it is pushed or popped)',
  );
}
