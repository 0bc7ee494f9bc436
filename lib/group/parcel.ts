import type { Handover } from '../connection.js';
import { native } from '../memory/native.js';
import { forsakeShared } from '../store/shared.js';

/**
 * A connection on its way between two threads. Its descriptor is a number in a message, and the thread that is to
 * adopt it may end before or after: so it belongs to whoever is the first to set the claim, who then closes it.
 */
export interface Parcel {
  readonly handover: Handover;
  /** One element long, shared. */
  readonly claim: Int32Array;
}

export function parcelOf(handover: Handover): Parcel {
  return { handover, claim: new Int32Array(new SharedArrayBuffer(4)) };
}

/** Whether the parcel's descriptor is the caller's from here on. */
export function claim(parcel: Parcel): boolean {
  return Atomics.compareExchange(parcel.claim, 0, 0, 1) === 0;
}

/** Nobody takes it: what it holds is given up, and the other side of the connection sees the end. */
export function discard(parcel: Parcel): void {
  const { link, place } = parcel.handover;
  if (claim(parcel) && link.kind === 'wire') native().adopt(link.descriptor).close();
  if ('memory' in place) forsakeShared(place.memory, 'server');
}
