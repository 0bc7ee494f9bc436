import { TcpshmError } from '../errors.js';
import { observe as observeWord, publish as publishWord } from '../memory/order.js';
import { advance, distance, shown } from '../memory/wrap.js';
import type { Clearing } from './clearing.js';
import {
  alignedLength,
  COMMIT_POSITION,
  COMMIT_TOGGLE,
  CONSUMED,
  HEADER_BYTES,
  MAX_TYPE,
  PADDING_KIND,
  RECLAIMED,
  RECORDS,
  sequenceOf,
  WAITING,
} from './layout.js';
import type { Lingering } from './lingering.js';
import type { RingMemory } from './memory.js';
import { Message } from './message.js';
import { badRecord, countMessages, recordLength } from './record.js';
import { readCommit } from './recovery.js';

/**
 * Space is cleared and handed back once so many bytes were consumed, or when the ring is empty. Clearing is what makes the
 * next header read zero; done away from the critical path it costs the round trip nothing (see README.md beside this file).
 */
const RECLAIM_BYTES = 16384;
/**
 * The same when the producer waits. The ring is full then, and it writes where this side has just cleared: the larger the
 * piece, the less often both are at work on neighbouring lines.
 */
const ASKED_BYTES = 32768;
/** Of a small ring it is this part at the most. */
const RECLAIMED_PART = 1 / 8;
const ASKED_PART = 1 / 16;

// Copied for the hot paths: an imported binding is loaded and checked at each use (README.md).
const FIRST_RECORD = RECORDS;
const HEADER = HEADER_BYTES;
const TYPES = MAX_TYPE;
const CONSUMED_WORD = CONSUMED;
const WAITING_WORD = WAITING;
const TOGGLE = COMMIT_TOGGLE;
const aligned = alignedLength;
const sequenceAt = sequenceOf;
const observe = observeWord;
const publish = publishWord;

/**
 * The reading end of a ring: `front` gives the oldest message, `pop` is done with it. One consumer per ring, in
 * one thread at a time. Opening one on a ring that was used before goes on where the last pop ended.
 */
export class RingConsumer {
  readonly message: Message;
  /** What to call when space was handed back. */
  onReclaimed: (() => void) | null = null;
  /** Whether to stay away from a ring that has become empty: null where the producer is in the same thread. */
  lingering: Lingering | null = null;
  /** Whether to clear large records, or hand them back as they are: null where all is cleared. */
  clearing: Pick<Clearing, 'leaves'> | null = null;
  private readonly _memory: RingMemory;
  private readonly _words: Int32Array;
  private readonly _sequences: Float64Array;
  private readonly _mask: number;
  /** Bytes of the largest record, padding before it left out, and where records end in the memory. */
  private readonly _largest: number;
  private readonly _end: number;
  private readonly _largeBytes: number;
  private readonly _reclaimBytes: number;
  private readonly _askedBytes: number;
  /** The smaller one of the two. */
  private readonly _leastBytes: number;
  /** Where the next record starts: the position up to which all was popped. */
  private _position: number;
  private _reclaimed: number;
  private _popped: number;
  /** Bytes up to `_reclaimed` since it was opened. */
  private _bytesBefore: number;
  /** Which of the two commits the next pop writes: the one that does not hold the current state, by its position. */
  private _commitAt: number;
  /** Bytes of the record that `front` gave, 0 when there is none. */
  private _length = 0;

  constructor(memory: RingMemory) {
    const commit = readCommit(memory);
    this._memory = memory;
    this._words = memory.words;
    this._sequences = memory.sequences;
    this._mask = memory.mask;
    this._largest = memory.maxMessageBytes + HEADER;
    this._end = FIRST_RECORD + memory.capacity;
    this._largeBytes = memory.largeBytes;
    this._reclaimBytes = Math.min(RECLAIM_BYTES, memory.capacity * RECLAIMED_PART);
    this._askedBytes = Math.min(ASKED_BYTES, memory.capacity * ASKED_PART);
    this._leastBytes = Math.min(this._reclaimBytes, this._askedBytes);
    this._position = commit.position;
    this._reclaimed = commit.reclaimed;
    this._popped = commit.popped;
    this._bytesBefore = -distance(commit.reclaimed, commit.position);
    this._commitAt = COMMIT_POSITION[commit.slot] ^ TOGGLE;
    this.message = new Message(memory);
    this.reclaim();
  }

  /** Messages popped since the session began. Survives the death of the process exactly. */
  get popped(): number {
    return this._popped;
  }

  /** Bytes of all records popped since it was opened: with headers, alignment, and padding at the end of the ring. */
  get poppedBytes(): number {
    return this._bytesBefore + distance(this._reclaimed, this._position);
  }

  /** Position up to which everything was popped. */
  get position(): number {
    return this._position;
  }

  /** Whether there is a message that `front` has not given yet. */
  get unseen(): boolean {
    return (
      this._length === 0 && Atomics.load(this._words, (RECORDS + (this._position & this._mask)) >> 2) !== 0
    );
  }

  /** Position up to which space was handed back to the producer. */
  get handedBack(): number {
    return this._reclaimed;
  }

  /** Whether the producer has asked for space since it last found none. */
  get asked(): boolean {
    return Atomics.load(this._words, WAITING) !== 0;
  }

  /** Whether `front` has given a message that was not popped yet. */
  get held(): boolean {
    return this._length !== 0;
  }

  /**
   * The oldest message, or null when there is none. The same one again until `pop`. Throws ERR_PROTOCOL when the
   * producer wrote what cannot be a record.
   */
  front(): Message | null {
    if (this._length !== 0) return this.message;
    const at = FIRST_RECORD + (this._position & this._mask);
    const words = this._words;
    // OBSERVE the publication by RingProducer.push(): what it wrote before this word is visible from here on.
    const size = observe(words, at >> 2);
    const kind = words[(at >> 2) + 1] as number;
    const length = aligned(size);
    // A message as they are, most of the time; all else, and what cannot be one, takes the long way.
    if (size < HEADER || size > this._largest || at + length > this._end || (kind - 1) >>> 0 >= TYPES) {
      return this._find();
    }
    this._length = length;
    return this.message.wrap(at + HEADER, size - HEADER, kind);
  }

  /** Stays away from a ring that has just become empty, if that is better. False if not. */
  private _linger(lingering: Lingering): boolean {
    const most = lingering.cycles(this._popped, distance(this._reclaimed, this._position));
    // V8 counts as it is told, about one in a cycle.
    for (let cycles = 0; cycles < most; ) cycles++;
    return most !== 0;
  }

  private _find(): Message | null {
    for (;;) {
      const position = this._position;
      const start = RECORDS + (position & this._mask);
      // OBSERVE, as `front` does; and an atomic access is one that no compiler may take out of a loop of polls.
      let size = Atomics.load(this._words, start >> 2);
      if (size === 0 && this._reclaimed !== position) {
        const { lingering } = this;
        if (lingering !== null && this._linger(lingering)) size = Atomics.load(this._words, start >> 2);
      }
      if (size === 0) {
        if (this._reclaimed !== position) this.reclaim();
        return null;
      }
      const kind = this._words[(start >> 2) + 1] as number;
      const length = recordLength(this._memory, position, size, kind);
      if (length === 0) throw badRecord(this._memory, position, size, kind);
      if (kind !== PADDING_KIND) {
        this._length = length;
        return this.message.wrap(start + HEADER_BYTES, size - HEADER_BYTES, kind);
      }
      this._commit(advance(position, length), this._popped);
    }
  }

  /** Done with the message that `front` gave: it will not come again. Throws ERR_NO_MESSAGE when there is none. */
  pop(): void {
    if (this._length === 0) throw noMessage();
    const length = this._length;
    const position = (this._position + length) | 0;
    this._commit(position, this._popped + 1);
    this._length = 0;
    this.message.expire();
    const consumed = (position - this._reclaimed) | 0;
    if (consumed >= this._leastBytes) this._reclaimEnough(consumed, length);
  }

  /** `length` is that of the record that was popped. */
  private _reclaimEnough(consumed: number, length: number): void {
    const { clearing } = this;
    if (clearing !== null && length >= this._largeBytes && clearing.leaves(length)) {
      // With all before it: the producer takes whatever is free up to here, a lap later, for not clear.
      this._handBack(this._position);
    } else if (consumed >= (this._words[WAITING_WORD] === 0 ? this._reclaimBytes : this._askedBytes)) {
      this.reclaim();
    }
  }

  /**
   * Pops all records up to `to`, for a peer that acknowledged them; `reclaim` is up to the caller. `published` bounds
   * it. Throws ERR_PROTOCOL when
   * `to` is behind the consumer, beyond `published` or within a record.
   */
  popUpTo(to: number, published: number): void {
    if (distance(this._position, to) < 0 || distance(to, published) < 0) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `an acknowledgement must be from position ${shown(this._position)} to ${shown(published)}, got ${shown(to)}`,
      );
    }
    if (this._position === to) return;
    this._commit(to, this._popped + countMessages(this._memory, this._position, to));
  }

  /** Pops the next `messages`, which the caller has read by himself and which end at `to`; `reclaim` is up to him too. */
  popRead(to: number, messages: number): void {
    this._commit(to, this._popped + messages);
  }

  /** Clears what was consumed, up to `position` if not all of it, and hands it back to the producer. */
  reclaim(position: number = this._position): void {
    if (this._reclaimed === position) return;
    this._memory.clear(this._reclaimed, position);
    this._handBack(position);
  }

  private _handBack(position: number): void {
    this._bytesBefore += distance(this._reclaimed, position);
    this._reclaimed = position;
    // HAND BACK space, cleared or not; observed by RingProducer's search for room. Without it the producer could write a
    // record before its zeroes have arrived.
    Atomics.store(this._words, RECLAIMED, position);
    this.onReclaimed?.();
  }

  /**
   * Makes a new state the current one by a single store, so that a kill at any instruction leaves the old or the
   * new one: the commit that is not current is filled in first, then `consumed` selects it.
   *
   * Other threads and processes read these words only to recover (readCommit).
   */
  private _commit(position: number, popped: number): void {
    const commitAt = this._commitAt;
    const words = this._words;
    words[commitAt] = position;
    this._sequences[sequenceAt(commitAt)] = popped;
    publish(words, CONSUMED_WORD, position);
    this._commitAt = commitAt ^ TOGGLE;
    this._position = position;
    this._popped = popped;
  }
}

function noMessage(): TcpshmError {
  return new TcpshmError('ERR_NO_MESSAGE', 'pop() needs a message: front() gave none');
}
