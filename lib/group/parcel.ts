import { type Connection, makeConnection } from '../connection/connection.js';
import type { Handover } from '../connection/handover.js';
import { TcpshmError } from '../errors.js';
import { native } from '../memory/native.js';
import type { DurabilityLevel } from '../session/durability.js';
import type { LivenessOptions } from '../session/liveness.js';
import type { OpenSegment } from '../store/openSegment.js';
import { openPlace } from '../store/place.js';
import { forsakeShared, peerPresence } from '../store/shared.js';
import { EndedLink } from '../wire/endedLink.js';
import { PresenceLink } from '../wire/presenceLink.js';
import type { Wire } from '../wire/wire.js';

/**
 * A connection on its way between two threads. Its descriptor is a number in a message, and the thread that is to
 * adopt it may end before or after: so it belongs to whoever is the first to set the claim, who then closes it.
 */
export interface Parcel {
  readonly handover: Handover;
  /** One element long, shared. */
  readonly claim: Int32Array;
}

/** What the connections of a group need to know of their server's options. */
export interface HostSettings extends LivenessOptions {
  readonly durability: DurabilityLevel;
  /** Folder of doorbells. */
  readonly sharedDirectory: string;
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

/**
 * Makes the connection again, in this thread; `onClosed` is told whether its session was removed, where that is memory
 * that another thread keeps. Throws as `openPlace` does: the other side of the connection sees the end then.
 */
export function openParcel(
  parcel: Parcel,
  settings: HostSettings,
  onClosed: (removed: boolean) => void,
): Connection {
  const { transport, place, client, server, sessionId, link, loginData, protocolVersion, tally } =
    parcel.handover;
  if (!claim(parcel))
    throw new TcpshmError('ERR_WORKER', `the connection of '${client}' was given up on its way`);
  const wire = link.kind === 'wire' ? native().adopt(link.descriptor) : null;
  let connection: Connection | null = null;
  try {
    const { durability, connectionTimeoutMs: timeoutMs } = settings;
    let removed = false;
    let open = openPlace(place, 'server', { client, server, sessionId }, { durability, timeoutMs });
    if ('memory' in place) {
      open = removable(open, () => {
        removed = true;
      });
    }
    const replicated = link.kind === 'wire' ? link.replication : null;
    connection = makeConnection(open, transport, () => onClosed(removed), replicated, tally);
    connection.side.peer.protocolVersion = protocolVersion;
    connection.side.peer.idleTimeoutMs = settings.idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    if (link.kind === 'wire') connection.side.peer.resume(wire as Wire, link, settings, loginData);
    else {
      const presence = peerPresence(open.segment, 'server');
      const there = link.kind === 'presence' ? new PresenceLink(presence) : new EndedLink(link);
      connection.side.peer.attach(there, loginData, true);
    }
    return connection;
  } catch (error) {
    connection?.close();
    wire?.close();
    throw error;
  }
}

function removable(open: OpenSegment, removed: () => void): OpenSegment {
  const remove = (): void => {
    removed();
    open.close();
  };
  return {
    ...open,
    remove,
    setAside() {
      remove();
      return null;
    },
  };
}
