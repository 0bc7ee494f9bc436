import type { Subject } from '../diagnostics/events.js';
import type { ErrorCode, TcpshmError } from '../errors.js';
import type { DisconnectReason } from '../session/disconnect.js';
import type { ReaderState } from '../session/frame.js';
import type { ReplicationState } from '../session/replication.js';
import type { Wire } from './wire.js';

/** What tells one side of a connection about the other, once they are logged in. */
export interface Link {
  /** Whether the other side is there. */
  readonly connected: boolean;
  /** Why it ended, null while it has not. */
  readonly ended: DisconnectReason | null;
  /** What was wrong, where it ended for an error. */
  readonly error: TcpshmError | null;
  /** What its bytes go over, null between threads. */
  readonly wire: Wire | null;
  /** What can be told of that; null between threads. */
  readonly traffic: LinkTraffic | null;
  /** Takes what has come and sends what is due. */
  poll(now: number): void;
  /** Ends it, telling the other side. Idempotent. */
  close(): void;
  /** Ends it without another word: what this side would say is no longer true. Idempotent. */
  abandon(): void;
  /**
   * Gives it up for another thread to go on with, at any moment, also in the middle of a frame: the other side notices
   * nothing. Of no use here any more.
   */
  handOver(now: number): LinkState;
}

/** What went over the wire of a link, since it was made. */
export interface LinkTraffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Of heartbeats, in milliseconds; null before the first was answered. */
  readonly roundTripMs: number | null;
  readonly smoothedRoundTripMs: number | null;
  /** Of whom the events tell. */
  owner: Subject | null;
}

/** A link on its way from one thread to another, as plain data. */
export type LinkState =
  /** Over a wire, whose descriptor whoever has the state owns. `silentMs`: for how long nothing has come. */
  | {
      readonly kind: 'wire';
      readonly descriptor: number;
      readonly reader: ReaderState;
      readonly replication: ReplicationState | null;
      readonly silentMs: number;
      /** Number of the heartbeat that was sent last. */
      readonly heartbeat: number;
    }
  /** Between threads: all that it needs is in the segment. */
  | { readonly kind: 'presence' }
  | {
      readonly kind: 'ended';
      readonly reason: DisconnectReason;
      readonly error: { readonly code: ErrorCode; readonly message: string } | null;
    };
