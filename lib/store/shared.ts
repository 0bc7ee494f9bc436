import { TcpshmError } from '../errors.js';
import { exchangeAtThreadEnd } from '../memory/threadEnd.js';
import { otherRole, type Role } from '../session/names.js';
import { dropSide, forsakeSide, leaveSide, Presence, passSide, takeSide } from '../session/presence.js';
import {
  checkIdentity,
  formatSegment,
  type Identity,
  readIdentity,
  Segment,
  segmentBytes,
} from '../session/segment.js';
import { NEVER_MOVES, type OpenSegment, type Place } from './openSegment.js';

/** Makes a segment in memory that the threads of this process can share. */
export function createShared(identity: Identity): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(segmentBytes(identity));
  formatSegment(buffer, identity);
  return buffer;
}

/**
 * Opens one side of a shared segment, in this thread. The side is free again after `close()` and after the end of
 * the thread; without the native module the latter is not noticed when the thread was terminated from outside.
 * Throws ERR_SEGMENT when the memory is not the segment expected, ERR_ALREADY_CONNECTED when the side is open.
 */
export function openShared(buffer: SharedArrayBuffer, role: Role, expected: Partial<Identity>): OpenSegment {
  const where = 'shared memory';
  const identity = readIdentity(buffer, where);
  if (identity === null) {
    throw new TcpshmError(
      'ERR_SEGMENT',
      `${where} is not a usable segment: expected a superblock, got zeroes`,
    );
  }
  checkIdentity(identity, expected, where);
  const segment = new Segment(buffer, identity);
  const word = segment.presence[role];
  if (!takeSide(word)) {
    throw new TcpshmError(
      'ERR_ALREADY_CONNECTED',
      `the ${role} side of the session of '${identity.client}' and '${identity.server}' is open in this process already`,
    );
  }
  const cancel = exchangeAtThreadEnd(word, Presence.open, Presence.ended);
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    cancel();
    leaveSide(word);
  };
  const pass = (): Place => {
    if (open) {
      open = false;
      passSide(word);
      cancel();
    }
    return { memory: buffer };
  };
  return {
    segment,
    role,
    journal: null,
    where,
    begun: false,
    lost: false,
    ...NEVER_MOVES,
    close,
    pass,
    remove: close,
    setAside() {
      close();
      return null;
    },
  };
}

/** The presence word of the other side. */
export function peerPresence(segment: Segment, role: Role): Int32Array {
  return segment.presence[otherRole(role)];
}

/** The thread that had a side open, or was to open it, has ended: nobody has it. */
export function forsakeShared(buffer: SharedArrayBuffer, role: Role): void {
  const identity = readIdentity(buffer, 'shared memory');
  if (identity !== null) forsakeSide(new Segment(buffer, identity).presence[role]);
}

/** A side that was left to another thread is taken by none. */
export function dropShared(buffer: SharedArrayBuffer, role: Role): void {
  const identity = readIdentity(buffer, 'shared memory');
  if (identity !== null) dropSide(new Segment(buffer, identity).presence[role]);
}

/** Makes a segment in the memory of this process, for a session that ends with it. */
export function createPrivate(identity: Identity, role: Role): OpenSegment {
  const buffer = new ArrayBuffer(segmentBytes(identity));
  formatSegment(buffer, identity);
  return {
    segment: new Segment(buffer, identity),
    role,
    journal: null,
    where: 'memory',
    begun: true,
    lost: false,
    ...NEVER_MOVES,
    close() {},
    pass: () => null,
    remove() {},
    setAside: () => null,
  };
}
