import { advance, distance } from '../memory/wrap.js';
import { ALIGNMENT, PADDING_KIND, RECORDS } from './layout.js';
import type { RingMemory } from './memory.js';
import { recordLength } from './record.js';

/** What lies in a ring behind a position. */
export interface Depth {
  /** At most the limit that was given, which stands for so many or more. */
  readonly messages: number;
  /** Of their records, padding before them included. */
  readonly bytes: number;
}

/**
 * Counts the published messages from `position` on, up to `limit` of them: for the thread of the consumer, which is at
 * that position, as nobody but it clears what is counted. Takes some nanoseconds for each. Ends before what cannot be a
 * record, which is for `front` to tell.
 */
export function readDepth(memory: RingMemory, position: number, limit: number): Depth {
  const { words, mask } = memory;
  let at = position;
  let end = position;
  let messages = 0;
  while (messages < limit && distance(position, at) < memory.capacity - ALIGNMENT) {
    const start = (RECORDS + (at & mask)) >> 2;
    // OBSERVE the publication by RingProducer.push().
    const size = Atomics.load(words, start);
    if (size === 0) break;
    const kind = words[start + 1] as number;
    const length = recordLength(memory, at, size, kind);
    if (length === 0) break;
    at = advance(at, length);
    if (kind === PADDING_KIND) continue;
    messages++;
    end = at;
  }
  return { messages, bytes: distance(position, end) };
}
