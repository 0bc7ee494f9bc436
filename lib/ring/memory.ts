import { TcpshmError } from '../errors.js';
import { largeBytes, MAX_CAPACITY, MIN_CAPACITY, maxMessageBytes, RECORDS, ringBytes } from './layout.js';

/** Whether a ring can have this capacity. */
export function isCapacity(capacity: number): boolean {
  return capacity >= MIN_CAPACITY && capacity <= MAX_CAPACITY && Number.isInteger(Math.log2(capacity));
}

/** Throws ERR_CAPACITY unless `capacity` is one that a ring can have. `what` names the option in the message. */
export function checkCapacity(capacity: number, what = 'capacityBytes'): number {
  if (typeof capacity !== 'number' || !isCapacity(capacity)) {
    throw new TcpshmError(
      'ERR_CAPACITY',
      `${what} must be a power of two from ${MIN_CAPACITY} to ${MAX_CAPACITY} bytes, got ${String(capacity)}`,
    );
  }
  return capacity;
}

/** What is cleared by single stores. */
const SHORT_BYTES = 256;
/** As much as a consumer clears at once. */
const ZEROES = Buffer.alloc(32768);

/** The bytes of one ring, seen in the ways that its ends need. All views start at the first byte of the ring. */
export class RingMemory {
  readonly capacity: number;
  readonly mask: number;
  /** Largest payload of a message. */
  readonly maxMessageBytes: number;
  /** Bytes from which on a record, with its header, is a large one. */
  readonly largeBytes: number;
  /** Whether records tell which batch they are of: where somebody must take over whole batches (batches.ts). */
  readonly marksBatches: boolean;
  readonly words: Int32Array;
  readonly sequences: Float64Array;
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly #shared: boolean;

  constructor(buffer: ArrayBufferLike, offset: number, capacity: number, marksBatches = false) {
    const length = ringBytes(capacity);
    this.capacity = capacity;
    this.mask = capacity - 1;
    this.maxMessageBytes = maxMessageBytes(capacity);
    this.largeBytes = largeBytes(capacity);
    this.marksBatches = marksBatches;
    this.words = new Int32Array(buffer, offset, length >> 2);
    this.sequences = new Float64Array(buffer, offset, length >> 3);
    this.bytes = Buffer.from(buffer as ArrayBuffer, offset, length);
    this.view = new DataView(buffer, offset, length);
    this.#shared = !(buffer instanceof ArrayBuffer);
  }

  /** Zeroes the record bytes between two positions. */
  clear(from: number, to: number): void {
    const start = RECORDS + (from & this.mask);
    const end = start + ((to - from) | 0);
    const limit = RECORDS + this.capacity;
    if (end <= limit) {
      this.#zero(start, end);
    } else {
      this.#zero(start, limit);
      this.#zero(RECORDS, end - this.capacity);
    }
  }

  /**
   * Both are multiples of 8. For a short range the call of `fill` costs more than the stores (20 against 5 ns). V8 fills
   * shared memory by single atomic stores, so there a copy of zeroes takes a quarter of the time.
   */
  #zero(start: number, end: number): void {
    const eights = this.sequences;
    if (end - start <= SHORT_BYTES) for (let i = start >> 3; i < end >> 3; i++) eights[i] = 0;
    else if (this.#shared) this.bytes.fill(ZEROES, start, end);
    else eights.fill(0, start >> 3, end >> 3);
  }
}
