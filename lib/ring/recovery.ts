import { TcpshmError } from '../errors.js';
import { advance, distance, shown } from '../memory/wrap.js';
import {
  ALIGNMENT,
  COMMIT_POSITION,
  COMMIT_SEQUENCE,
  CONSUMED,
  PADDING_KIND,
  RECLAIMED,
  RECORDS,
} from './layout.js';
import type { RingMemory } from './memory.js';
import { badRecord, recordLength } from './record.js';

/**
 * A peer that is alive moves its words while they are read, so they are read again. One that does so on purpose must not
 * keep the reader for ever: after so many attempts, or so many records looked at beyond what the ring can hold, it is
 * told. An honest peer is far from both, as each attempt takes nanoseconds and fails only if something was popped in it.
 */
const MOST_ATTEMPTS = 1_000_000;

/** What the consumer of a ring last committed. */
export interface Commit {
  /** Position up to which records were popped. */
  readonly position: number;
  readonly popped: number;
  readonly reclaimed: number;
  /** Which of the two commit slots holds this. */
  readonly slot: 0 | 1;
}

/** Where the records of a ring end. */
export interface Published {
  readonly position: number;
  readonly pushed: number;
}

/**
 * Reads the state of a ring's consumer, which may be alive and popping in another thread or process: repeats
 * until `consumed` stands still around the reading of the slot that it selects. (A live consumer overwrites the
 * other slot first, and this one only after moving `consumed`.) Throws ERR_SEGMENT when no state of a consumer
 * looks like that.
 */
export function readCommit(memory: RingMemory): Commit {
  const { words, sequences } = memory;
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts++) {
    const reclaimed = Atomics.load(words, RECLAIMED);
    const position = Atomics.load(words, CONSUMED);
    const slot = Atomics.load(words, COMMIT_POSITION[0]) === position ? 0 : 1;
    const slotPosition = Atomics.load(words, COMMIT_POSITION[slot]);
    const popped = sequences[COMMIT_SEQUENCE[slot]] as number;
    if (Atomics.load(words, CONSUMED) !== position) continue;
    const ahead = distance(reclaimed, position);
    if (
      slotPosition !== position ||
      (position | reclaimed) % ALIGNMENT !== 0 ||
      ahead < 0 ||
      ahead > memory.capacity ||
      !Number.isSafeInteger(popped) ||
      popped < 0
    ) {
      throw new TcpshmError(
        'ERR_SEGMENT',
        `the consumer's state of a ring is not valid: consumed ${shown(position)}, reclaimed ${shown(reclaimed)},` +
          ` committed ${shown(words[COMMIT_POSITION[0]] as number)} and ${shown(words[COMMIT_POSITION[1]] as number)},` +
          ` popped ${popped}, in a ring of ${memory.capacity} bytes`,
      );
    }
    return { position, popped, reclaimed, slot };
  }
  throw restless(memory);
}

/**
 * Finds the end of a ring whose producer is gone: records from the last committed pop to the first header that
 * reads zero. The consumer may be alive: what it clears meanwhile looks like the end, so an end that it has passed
 * is searched again. Throws ERR_PROTOCOL on what cannot be a record.
 */
export function readPublished(memory: RingMemory): Published {
  let left = MOST_ATTEMPTS + 4 * (memory.capacity / ALIGNMENT);
  while (left-- > 0) {
    const commit = readCommit(memory);
    const limit = advance(commit.reclaimed, memory.capacity - ALIGNMENT);
    let position = commit.position;
    let pushed = commit.popped;
    let bad: TcpshmError | null = null;
    while (distance(position, limit) > 0) {
      const start = (RECORDS + (position & memory.mask)) >> 2;
      const size = Atomics.load(memory.words, start);
      if (size === 0) break;
      const kind = Atomics.load(memory.words, start + 1);
      const length = recordLength(memory, position, size, kind);
      if (length === 0) {
        bad = badRecord(memory, position, size, kind);
        break;
      }
      position = advance(position, length);
      if (kind !== PADDING_KIND) pushed++;
      left--;
    }
    if (distance(position, Atomics.load(memory.words, CONSUMED)) > 0) continue;
    if (bad !== null) throw bad;
    return { position, pushed };
  }
  throw restless(memory);
}

function restless(memory: RingMemory): TcpshmError {
  return new TcpshmError(
    'ERR_PROTOCOL',
    `the consumer of a ring of ${memory.capacity} bytes never stands still: expected one that pops what is there, got` +
      ' positions that change without an end',
  );
}
