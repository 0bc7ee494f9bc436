import { distance } from '../memory/wrap.js';
import type { RingMemory } from '../ring/memory.js';
import { readCommit, readPublished } from '../ring/recovery.js';
import type { Role } from './names.js';
import type { Segment } from './segment.js';

/** A point in a ring: its position (shown unsigned) and how many messages lie before it. */
export interface Point {
  readonly position: number;
  readonly sequence: number;
}

/** What one side knows of both rings of a session. */
export interface SideState {
  /** Of the ring that it writes: what the other side has acknowledged, and what was pushed. */
  readonly acknowledged: Point;
  readonly pushed: Point;
  /** Of the ring that it reads: what was popped, and what has arrived. */
  readonly popped: Point;
  readonly received: Point;
}

/** The numbers of a refused login, for people: nothing was changed on either side. */
export interface SequenceNumbers {
  readonly local: SideState;
  readonly remote: SideState;
}

/** Reads a side's state from its segment: also beside live ends. */
export function readSideState(segment: Segment, role: Role): SideState {
  const [acknowledged, pushed] = readRing(segment.outgoing(role));
  const [popped, received] = readRing(segment.incoming(role));
  return { acknowledged, pushed, popped, received };
}

function readRing(ring: RingMemory): [Point, Point] {
  const published = readPublished(ring);
  const commit = readCommit(ring);
  return [
    { position: commit.position >>> 0, sequence: commit.popped },
    { position: published.position >>> 0, sequence: published.pushed },
  ];
}

/** Whether nothing was ever pushed in a session, so that nothing can be lost with it. */
export function isFresh(state: SideState): boolean {
  return state.pushed.sequence === 0 && state.received.sequence === 0;
}

/**
 * Whether the states of both sides can be true together: in each direction
 * acknowledged ≤ popped ≤ received ≤ pushed, in positions as in sequences, and within one capacity.
 */
export function canBothBeTrue(a: SideState, b: SideState, aToB: number, bToA: number): boolean {
  return (
    inOrder(a.acknowledged, b.popped, b.received, a.pushed, aToB) &&
    inOrder(b.acknowledged, a.popped, a.received, b.pushed, bToA)
  );
}

function inOrder(
  acknowledged: Point,
  popped: Point,
  received: Point,
  pushed: Point,
  capacity: number,
): boolean {
  const points = [acknowledged, popped, received, pushed];
  for (let i = 1; i < points.length; i++) {
    const behind = points[i - 1] as Point;
    const ahead = points[i] as Point;
    const bytes = distance(behind.position, ahead.position);
    const messages = ahead.sequence - behind.sequence;
    // A message takes at least 8 bytes; bytes without a message are padding. Each step is bounded, as several large
    // ones would wrap around to a small sum.
    if (bytes < 0 || bytes > capacity || messages < 0 || messages * 8 > bytes) return false;
  }
  return distance(acknowledged.position, pushed.position) <= capacity;
}

/** The state of a session that has just begun. */
export const FRESH_STATE: SideState = (() => {
  const zero: Point = { position: 0, sequence: 0 };
  return { acknowledged: zero, pushed: zero, popped: zero, received: zero };
})();
