import { advance } from '../memory/wrap.js';
import { COMMIT_POSITION, COMMIT_SEQUENCE, CONSUMED, RECLAIMED } from './layout.js';
import type { RingMemory } from './memory.js';

/**
 * Sets a ring to a state that it once had, after its memory came back with some words old and some new: records are
 * where they were between `consumed` and `published`, and all else is cleared. Done again, it does the same again,
 * so it may be cut short anywhere. Nobody may have an end of the ring open.
 */
export function restoreRing(
  memory: RingMemory,
  consumed: { readonly position: number; readonly sequence: number },
  published: number,
): void {
  const { words, sequences, capacity } = memory;
  const position = consumed.position | 0;
  memory.clear(published, advance(position, capacity));
  for (const slot of [0, 1] as const) {
    words[COMMIT_POSITION[slot]] = position;
    sequences[COMMIT_SEQUENCE[slot]] = consumed.sequence;
  }
  words[CONSUMED] = position;
  words[RECLAIMED] = position;
}
