import { readDepth } from '../ring/depth.js';
import { readCommit } from '../ring/recovery.js';
import type { Transport } from '../session/loginMessages.js';
import type { LinkTraffic } from '../wire/link.js';
import type { Ends } from './ends.js';
import type { Tally } from './tally.js';

/** 'connected' from the login on; 'disconnected' when the link has ended, while queues and session go on; 'closed' for good. */
export type ConnectionState = 'connected' | 'disconnected' | 'closed';

/** Messages that wait to be popped are counted one by one, so no further than this. */
export const MOST_COUNTED = 4096;

/**
 * A connection in numbers, at the moment of the call: a plain object that stays as it is. After `close`, as they were
 * then. Those of `Tally` count from when the connection was opened in this process, whatever threads and files it was in
 * since.
 */
export interface ConnectionStats extends Tally {
  readonly localName: string;
  readonly remoteName: string;
  readonly transport: Transport;
  readonly state: ConnectionState;
  /** Messages pushed and popped since the session began, by this process and those before it. Exact. */
  readonly pushed: number;
  readonly popped: number;
  /** The queue that this side writes. */
  readonly outgoing: OutgoingStats;
  /** The queue that this side reads. */
  readonly incoming: IncomingStats;
  /**
   * What the last heartbeat took to the peer and back, in milliseconds, with the time until polls of both sides met it;
   * null before one was answered since the login, and between threads. As exact as the clock that polls are given: `run`
   * reads it once in 50 polls. Over shared memory heartbeats go beside the queues, and a cold connection is looked at three
   * times in a heartbeat interval only: then it says how soon both sides notice something, not what a message takes.
   */
  readonly roundTripMs: number | null;
  /** An average of those since the login, in which the last counts an eighth (as of TCP, RFC 6298). */
  readonly smoothedRoundTripMs: number | null;
}

/** How full the queue is that this side writes, read from memory at the moment of the call. */
export interface OutgoingStats {
  readonly capacityBytes: number;
  /**
   * Messages that the peer has not popped; over tcp, not that this side knew of. Null when the memory that the peer writes
   * cannot be true, which the next `alloc` or poll tells.
   */
  readonly depthMessages: number | null;
  /** Bytes that no `alloc` can have: of these messages, and of what was popped and is not handed back yet. */
  readonly depthBytes: number;
}

/** How full the queue is that this side reads, read from memory at the moment of the call. */
export interface IncomingStats {
  readonly capacityBytes: number;
  /** Messages that have arrived and were not popped; 4096 stands for so many or more. */
  readonly depthMessages: number;
  /** Bytes of their records. */
  readonly depthBytes: number;
}

/** The queues, read from memory: not after it was closed. */
export function readQueues(ends: Ends): Pick<ConnectionStats, 'pushed' | 'popped' | 'outgoing' | 'incoming'> {
  const { producer, consumer, open } = ends;
  const { segment, role } = open;
  const outgoing = segment.outgoing(role);
  const incoming = segment.incoming(role);
  const waiting = readDepth(incoming, consumer.position, MOST_COUNTED);
  return {
    pushed: producer.pushed,
    popped: consumer.popped,
    outgoing: {
      capacityBytes: outgoing.capacity,
      depthMessages: unpopped(ends),
      depthBytes: Math.min(outgoing.capacity, Math.max(0, producer.takenBytes)),
    },
    incoming: {
      capacityBytes: incoming.capacity,
      depthMessages: waiting.messages,
      depthBytes: waiting.bytes,
    },
  };
}

function unpopped({ producer, open }: Ends): number | null {
  try {
    const { popped } = readCommit(open.segment.outgoing(open.role));
    return popped <= producer.pushed ? producer.pushed - popped : null;
  } catch {
    return null;
  }
}

/** The round trips of a link. */
export function roundTripsOf(
  traffic: LinkTraffic | null,
): Pick<ConnectionStats, 'roundTripMs' | 'smoothedRoundTripMs'> {
  return {
    roundTripMs: traffic?.roundTripMs ?? null,
    smoothedRoundTripMs: traffic?.smoothedRoundTripMs ?? null,
  };
}
