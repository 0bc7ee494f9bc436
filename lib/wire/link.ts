import type { TcpshmError } from '../errors.js';
import type { DisconnectReason } from '../session/disconnect.js';
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
  /** Takes what has come and sends what is due. */
  poll(now: number): void;
  /** Ends it, telling the other side. Idempotent. */
  close(): void;
  /** Ends it without another word: what this side would say is no longer true. Idempotent. */
  abandon(): void;
}
