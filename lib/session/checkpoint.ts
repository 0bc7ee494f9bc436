import { distance } from '../memory/wrap.js';
import { RECORDS } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import { Checksum } from './checksum.js';
import type { Point, SideState } from './state.js';

/**
 * A checkpoint of a journal: the state of its side as of one moment, which can be told from a torn one. Words of
 * 32 bits in host byte order, at the start of its page:
 *
 *     0     | checksum of the words from 2 on |
 *     2     | checksum of the outgoing ring's bytes from `covered` to `pushed` |
 *     3     | generation: the newer one of two is ahead, in wrap arithmetic; 0 where there is none |
 *     4     | covered | acknowledged | pushed | popped |        positions
 *     8     | acknowledged | pushed | popped |                  sequences, f64
 *
 * Two pages are written in turn, so that the older checkpoint is whole while the newer one is on its way to the
 * disk. Whichever pages of the file got there, one of the two tells a state that was true, and nothing of what it
 * speaks of has changed since: bytes between its `acknowledged` and `pushed` stay until a newer one is safe.
 */
const CHECKSUM = 0;
const BODY = 2;
const DATA_CHECKSUM = BODY;
const GENERATION = DATA_CHECKSUM + 1;
const COVERED = GENERATION + 1;
const POSITIONS = COVERED + 1;
const SEQUENCES_F64 = (POSITIONS + 3) >> 1;
const END = (SEQUENCES_F64 + 3) << 1;

/** What a journal must keep: the incoming ring's bytes need not be, the peer has them until they are acknowledged. */
export type JournalState = Pick<SideState, 'acknowledged' | 'pushed' | 'popped'>;

/** A checkpoint whose own words are whole. */
export interface Checkpoint {
  readonly state: JournalState;
  /** Position from which the bytes up to `pushed` are covered by its checksum. */
  readonly covered: number;
  /** Whether those bytes are what they were. */
  readonly intact: boolean;
}

/** The two checkpoints of a journal: reads the newest, writes the next. */
export class Checkpoints {
  readonly #pages: readonly [Int32Array, Int32Array];
  readonly #sequences: readonly [Float64Array, Float64Array];
  readonly #outgoing: RingMemory;
  /** The page that must stay as it is. */
  #safe: 0 | 1 = 0;
  #generation = 0;

  constructor(pages: readonly [Int32Array, Int32Array], outgoing: RingMemory) {
    this.#pages = pages;
    const sequencesOf = (page: Int32Array): Float64Array =>
      new Float64Array(page.buffer, page.byteOffset, page.length >> 1);
    this.#sequences = [sequencesOf(pages[0]), sequencesOf(pages[1])];
    this.#outgoing = outgoing;
  }

  /**
   * The newest checkpoint, or with `intact` the newest one whose bytes are what they were; null when there is none.
   * It becomes the one that the next `write` spares.
   */
  newest(intact: boolean): Checkpoint | null {
    let found: Checkpoint | null = null;
    for (const slot of [0, 1] as const) {
      const checkpoint = this.#read(slot);
      if (checkpoint === null || (intact && !checkpoint.intact)) continue;
      const generation = this.#pages[slot][GENERATION] as number;
      if (found !== null && distance(this.#generation, generation) < 0) continue;
      found = checkpoint;
      this.#safe = slot;
      this.#generation = generation;
    }
    return found;
  }

  /** Whether a checkpoint is there that covers only what came after an older one: it is to be believed with a disk. */
  get leansOnOthers(): boolean {
    return ([0, 1] as const).some((slot) => {
      const checkpoint = this.#read(slot);
      return checkpoint !== null && checkpoint.covered !== wholeOf(checkpoint.state);
    });
  }

  /** Writes a state into the page that need not stay, with the checksum of the outgoing bytes from `covered`. */
  write(state: JournalState, covered: number): void {
    const slot = this.#safe === 0 ? 1 : 0;
    const page = this.#pages[slot];
    const sequences = this.#sequences[slot];
    page[GENERATION] = following(this.#generation);
    page[COVERED] = covered;
    pointsOf(state).forEach((point, i) => {
      page[POSITIONS + i] = point.position;
      sequences[SEQUENCES_F64 + i] = point.sequence;
    });
    page[DATA_CHECKSUM] = this.#checksumOf(covered, state.pushed.position | 0);
    page[CHECKSUM] = ownChecksum(page);
  }

  /** What was written last is safe: it stays from here on, and the other page is the next to be written. */
  confirm(): void {
    this.#safe = this.#safe === 0 ? 1 : 0;
    this.#generation = following(this.#generation);
  }

  /** Wipes the checkpoint that need not stay. */
  dropOther(): void {
    const page = this.#pages[this.#safe === 0 ? 1 : 0];
    page.fill(0, 0, END);
  }

  #read(slot: 0 | 1): Checkpoint | null {
    const page = this.#pages[slot];
    const sequences = this.#sequences[slot];
    if (page[GENERATION] === 0 || page[CHECKSUM] !== ownChecksum(page)) return null;
    const point = (i: number): Point => ({
      position: (page[POSITIONS + i] as number) >>> 0,
      sequence: sequences[SEQUENCES_F64 + i] as number,
    });
    const state = { acknowledged: point(0), pushed: point(1), popped: point(2) };
    const covered = page[COVERED] as number;
    return {
      state,
      covered,
      intact: page[DATA_CHECKSUM] === this.#checksumOf(covered, state.pushed.position | 0),
    };
  }

  #checksumOf(from: number, to: number): number {
    const { words, mask, capacity } = this.#outgoing;
    const start = RECORDS + (from & mask);
    const length = Math.max(0, Math.min(distance(from, to), capacity));
    const first = Math.min(length, capacity - (from & mask));
    return checksum
      .reset()
      .update(words, start >> 2, (start + first) >> 2)
      .update(words, RECORDS >> 2, (RECORDS + length - first) >> 2)
      .digest();
  }
}

/** Where the bytes of a checkpoint that stands alone begin: with all that is not acknowledged. */
export function wholeOf(state: JournalState): number {
  return state.acknowledged.position | 0;
}

export function sameState(a: JournalState, b: JournalState): boolean {
  const others = pointsOf(b);
  return pointsOf(a).every(
    (point, i) => point.position === others[i]?.position && point.sequence === others[i]?.sequence,
  );
}

function pointsOf({ acknowledged, pushed, popped }: JournalState): readonly [Point, Point, Point] {
  return [acknowledged, pushed, popped];
}

const checksum = new Checksum();

function ownChecksum(page: Int32Array): number {
  return checksum.reset().update(page, BODY, END).digest();
}

function following(generation: number): number {
  return (generation + 1) | 0 || 1;
}
