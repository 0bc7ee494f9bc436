import { TcpshmError } from '../errors.js';
import { advance, distance, shown } from '../memory/wrap.js';
import {
  COMMIT_POSITION,
  COMMIT_SEQUENCE,
  CONSUMED,
  HEADER_BYTES,
  PADDING_KIND,
  RECLAIMED,
  RECORDS,
  WAITING,
} from './layout.js';
import type { RingMemory } from './memory.js';
import { Message } from './message.js';
import { badRecord, countMessages, recordLength } from './record.js';
import { readCommit } from './recovery.js';

/**
 * Space is cleared and handed back once so many bytes were consumed, or when the ring is empty, or when the
 * producer waits. Clearing is what makes the next header read zero; done away from the critical path it costs the
 * round trip nothing (see README.md beside this file).
 */
const RECLAIM_BYTES = 16384;

/** Whether the processor itself keeps the order of plain stores, as x86 does. */
const STORES_IN_ORDER = process.arch === 'x64' || process.arch === 'ia32';

/**
 * The reading end of a ring: `front` gives the oldest message, `pop` is done with it. One consumer per ring, in
 * one thread at a time. Opening one on a ring that was used before goes on where the last pop ended.
 */
export class RingConsumer {
  readonly message: Message;
  readonly #memory: RingMemory;
  readonly #words: Int32Array;
  readonly #sequences: Float64Array;
  readonly #mask: number;
  readonly #reclaimBytes: number;
  /** Where the next record starts: the position up to which all was popped. */
  #position: number;
  #reclaimed: number;
  #popped: number;
  /** Which of the two commits the next pop writes: the one that does not hold the current state. */
  #slot: 0 | 1;
  /** Bytes of the record that `front` gave, 0 when there is none. */
  #length = 0;

  constructor(memory: RingMemory) {
    const commit = readCommit(memory);
    this.#memory = memory;
    this.#words = memory.words;
    this.#sequences = memory.sequences;
    this.#mask = memory.mask;
    this.#reclaimBytes = Math.min(RECLAIM_BYTES, memory.capacity / 8);
    this.#position = commit.position;
    this.#reclaimed = commit.reclaimed;
    this.#popped = commit.popped;
    this.#slot = commit.slot === 0 ? 1 : 0;
    this.message = new Message(memory);
    this.reclaim();
  }

  /** Messages popped since the session began. Survives the death of the process exactly. */
  get popped(): number {
    return this.#popped;
  }

  /** Position up to which everything was popped. */
  get position(): number {
    return this.#position;
  }

  /** Whether there is a message that `front` has not given yet. */
  get unseen(): boolean {
    return (
      this.#length === 0 && Atomics.load(this.#words, (RECORDS + (this.#position & this.#mask)) >> 2) !== 0
    );
  }

  /** Position up to which space was handed back to the producer. */
  get handedBack(): number {
    return this.#reclaimed;
  }

  /** Whether the producer has asked for space since it last found none. */
  get asked(): boolean {
    return Atomics.load(this.#words, WAITING) !== 0;
  }

  /** Whether `front` has given a message that was not popped yet. */
  get held(): boolean {
    return this.#length !== 0;
  }

  /**
   * The oldest message, or null when there is none. The same one again until `pop`. Throws ERR_PROTOCOL when the
   * producer wrote what cannot be a record.
   */
  front(): Message | null {
    if (this.#length !== 0) return this.message;
    for (;;) {
      const position = this.#position;
      const start = RECORDS + (position & this.#mask);
      // OBSERVE the publication by RingProducer.push(): what it wrote before this word is visible from here on.
      const size = Atomics.load(this.#words, start >> 2);
      if (size === 0) {
        if (this.#reclaimed !== position) this.reclaim();
        return null;
      }
      const kind = this.#words[(start >> 2) + 1] as number;
      const length = recordLength(this.#memory, position, size, kind);
      if (length === 0) throw badRecord(this.#memory, position, size, kind);
      if (kind !== PADDING_KIND) {
        this.#length = length;
        return this.message.wrap(start + HEADER_BYTES, size - HEADER_BYTES, kind);
      }
      this.#commit(advance(position, length), this.#popped);
    }
  }

  /** Done with the message that `front` gave: it will not come again. Throws ERR_NO_MESSAGE when there is none. */
  pop(): void {
    if (this.#length === 0)
      throw new TcpshmError('ERR_NO_MESSAGE', 'pop() needs a message: front() gave none');
    this.#commit(advance(this.#position, this.#length), this.#popped + 1);
    this.#length = 0;
    this.message.expire();
    if (distance(this.#reclaimed, this.#position) >= this.#reclaimBytes || this.#words[WAITING] !== 0)
      this.reclaim();
  }

  /**
   * Pops all records up to `to`, for a peer that acknowledged them; `reclaim` is up to the caller. `published` bounds
   * it. Throws ERR_PROTOCOL when
   * `to` is behind the consumer, beyond `published` or within a record.
   */
  popUpTo(to: number, published: number): void {
    if (distance(this.#position, to) < 0 || distance(to, published) < 0) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `an acknowledgement must be from position ${shown(this.#position)} to ${shown(published)}, got ${shown(to)}`,
      );
    }
    if (this.#position === to) return;
    this.#commit(to, this.#popped + countMessages(this.#memory, this.#position, to));
  }

  /** Pops the next `messages`, which the caller has read by himself and which end at `to`; `reclaim` is up to him too. */
  popRead(to: number, messages: number): void {
    this.#commit(to, this.#popped + messages);
  }

  /** Clears what was consumed, up to `position` if not all of it, and hands it back to the producer. */
  reclaim(position: number = this.#position): void {
    if (this.#reclaimed === position) return;
    this.#memory.clear(this.#reclaimed, position);
    this.#reclaimed = position;
    // HAND BACK cleared space; observed by RingProducer's search for room. Without it the producer could write a
    // record before its zeroes have arrived.
    Atomics.store(this.#words, RECLAIMED, position);
  }

  /**
   * Makes a new state the current one by a single store, so that a kill at any instruction leaves the old or the
   * new one: the commit that is not current is filled in first, then `consumed` selects it.
   *
   * Other threads and processes read these words only to recover (readCommit), so on processors that keep the
   * order of stores a plain store does; an atomic one costs 8 ns here.
   */
  #commit(position: number, popped: number): void {
    const slot = this.#slot;
    this.#words[COMMIT_POSITION[slot]] = position;
    this.#sequences[COMMIT_SEQUENCE[slot]] = popped;
    if (STORES_IN_ORDER) this.#words[CONSUMED] = position;
    else Atomics.store(this.#words, CONSUMED, position);
    this.#slot = slot === 0 ? 1 : 0;
    this.#position = position;
    this.#popped = popped;
  }
}
