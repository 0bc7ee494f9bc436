import { observe } from '../memory/order.js';

/**
 * What a segment has to say to whoever works in it, looked at by every call: that the session has moved, and that the
 * peer sleeps. In one array (`Segment.notices`), as that costs least: a load each of words that hardly ever change.
 */

/**
 * Whether a session has moved to a fresh file, or is about to: what is asked after every store that publishes or
 * commits, and before what was found in a ring is believed.
 *
 * Who moves a session stores the word, lets a barrier pass through all processors, and copies. So a store that comes
 * before this load is in his copy, or the load sees the word: a push or pop is taken along, or knows that it may not
 * be. The barrier is in the processor of whoever runs here, so a plain load will do, on all of them (an asymmetric
 * fence, memory/order.ts); what `front` has found was observed by a load that keeps later ones behind it.
 */
export function isMoved(notices: Int32Array): boolean {
  return notices[0] !== 0;
}

/**
 * The same, or whether the peer sleeps, whose parking is at this index: to be asked after a store that it may wait for
 * (parking.ts).
 */
export function isNoticed(notices: Int32Array, peerParked: number): boolean {
  return ((notices[0] as number) | observe(notices, peerParked)) !== 0;
}
