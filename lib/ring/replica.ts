import { TcpshmError } from '../errors.js';
import { type Block, copyWords } from '../memory/copy.js';
import { advance, distance } from '../memory/wrap.js';
import { ALIGNMENT, PADDING_KIND, RECLAIMED, RECORDS } from './layout.js';
import type { RingMemory } from './memory.js';
import { badReclaimed, clearFreeSpace } from './producer.js';
import { badRecord, recordLength } from './record.js';
import { readPublished } from './recovery.js';

/** What has arrived behind the last whole record, as plain data: the bytes themselves are in the ring. */
export interface Unfinished {
  /** Position behind the last byte that arrived. */
  readonly written: number;
  /** The first word of the record, which is held back. */
  readonly firstSize: number;
}

/**
 * The writing end of a ring that is a copy of another: in the place of a producer, it takes the producer's bytes
 * as they arrive, cut anywhere at a multiple of 8, and publishes whole records.
 *
 * Bytes go straight to the position that they had. Only the first word behind what is published is held back, so
 * nothing of an unfinished record can be seen, by a reader or after a crash.
 */
export class RingReplica {
  readonly #memory: RingMemory;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #mask: number;
  #published: number;
  #pushed: number;
  /** Behind the last byte that arrived. */
  #written: number;
  /** The first word of the record at `published`, once it has arrived. */
  #firstSize = 0;

  /** With what another replica has left unfinished in this ring, goes on there; else that is cleared. */
  constructor(memory: RingMemory, unfinished: Unfinished | null = null) {
    const published = readPublished(memory);
    this.#memory = memory;
    this.#words = memory.words;
    this.#capacity = memory.capacity;
    this.#mask = memory.mask;
    this.#published = published.position;
    this.#written = unfinished?.written ?? published.position;
    this.#firstSize = unfinished?.firstSize ?? 0;
    this.#pushed = published.pushed;
    clearFreeSpace(memory, this.#written);
  }

  /** For another replica in the same ring: this one must not take anything any more. */
  get unfinished(): Unfinished {
    return { written: this.#written, firstSize: this.#firstSize };
  }

  /** Position behind the last whole record. */
  get published(): number {
    return this.#published;
  }

  get pushed(): number {
    return this.#pushed;
  }

  /** Position behind the last byte that arrived. */
  get written(): number {
    return this.#written;
  }

  /** Takes the next bytes of the producer's ring. Throws ERR_PROTOCOL when they do not fit. */
  append(from: Block, fromByte: number, lengthBytes: number): void {
    const reclaimed = Atomics.load(this.#words, RECLAIMED);
    const used = distance(reclaimed, this.#written);
    if (used < 0 || used > this.#capacity) throw badReclaimed(this.#memory, reclaimed, this.#written);
    const room = this.#capacity - ALIGNMENT - used;
    if (lengthBytes > room || lengthBytes % ALIGNMENT !== 0) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `expected at most ${room} bytes of records, a multiple of ${ALIGNMENT}, got ${lengthBytes}`,
      );
    }
    if (lengthBytes === 0) return;
    const start = this.#written & this.#mask;
    const first = this.#written === this.#published;
    if (first) {
      // The word in the ring stays zero; all behind it is copied.
      this.#firstSize = from.words[fromByte >> 2] as number;
      this.#words[((RECORDS + start) >> 2) + 1] = from.words[(fromByte >> 2) + 1] as number;
    }
    const skipped = first ? ALIGNMENT : 0;
    const beforeEnd = Math.min(lengthBytes, this.#capacity - start);
    copyWords(from, fromByte + skipped, this.#memory, RECORDS + start + skipped, beforeEnd - skipped);
    if (beforeEnd < lengthBytes)
      copyWords(from, fromByte + beforeEnd, this.#memory, RECORDS, lengthBytes - beforeEnd);
    this.#written = advance(this.#written, lengthBytes);
  }

  /** Publishes the whole records that have arrived, all at once. Throws ERR_PROTOCOL on what cannot be a record. */
  publish(): void {
    let position = this.#published;
    let pushed = this.#pushed;
    while (position !== this.#written) {
      const start = (RECORDS + (position & this.#mask)) >> 2;
      const size = position === this.#published ? this.#firstSize : (this.#words[start] as number);
      const kind = this.#words[start + 1] as number;
      const length = recordLength(this.#memory, position, size, kind);
      if (length === 0) throw badRecord(this.#memory, position, size, kind);
      if (length > distance(position, this.#written)) break;
      position = advance(position, length);
      if (kind !== PADDING_KIND) pushed++;
    }
    if (position === this.#published) return;
    const firstSize = this.#firstSize;
    const next = (RECORDS + (position & this.#mask)) >> 2;
    if (position !== this.#written) this.#firstSize = this.#words[next] as number;
    // Also behind all that has arrived, where a large record may have been.
    this.#words[next] = 0;
    // PUBLISH the batch by its first record; observed by RingConsumer.front().
    Atomics.store(this.#words, (RECORDS + (this.#published & this.#mask)) >> 2, firstSize);
    this.#published = position;
    this.#pushed = pushed;
  }

  /** Forgets what has arrived of an unfinished record: it will be sent again. */
  discard(): void {
    this.#memory.clear(this.#published, this.#written);
    this.#written = this.#published;
  }
}
