import type { TcpshmError } from '../errors.js';
import type { Role } from '../session/names.js';
import type { Waiting } from './outbox.js';

/** A port that was given up in one thread, to be opened in another: plain data, posted as it is. */
export interface RingPortHandle {
  readonly kind: 'tcpshm.RingPortHandle';
  readonly memory: SharedArrayBuffer;
  readonly role: Role;
  readonly highWaterMark: number;
  /** What has not gone out yet, and what has arrived of a message that is not complete. */
  readonly waiting: readonly Waiting[];
  readonly parts: readonly Uint8Array[];
}

/** `closing` until what was posted before has gone out. */
export type PortState = 'open' | 'closing' | 'closed';

/** A port, as its carrier sees it. */
export interface CarriedPort {
  readonly state: PortState;
  /** Whether it keeps the process alive. */
  readonly refed: boolean;
  /** Whether somebody is to get messages. */
  readonly delivers: boolean;
  /** The same, or it is open and nobody has listened yet: messages wait for that. */
  readonly awaits: boolean;
  /** Gives a value to who listens, or tells what is wrong with one. Throws what those throw. */
  deliver(value: unknown, error: TcpshmError | null): void;
  /** Nothing waits for room any more. */
  drained(): void;
  /** There is nothing to wait for any more: ends the port, and with it the carrier. */
  shut(): void;
}

/** How the values of a port get to the other one, and who sees to it. */
export interface Carrier {
  /** Bytes that wait in memory for room. */
  readonly waitingBytes: number;
  /** Sends a value, as it is now. Throws ERR_CODEC, and then nothing is sent, ERR_FENCED. */
  post(value: unknown): void;
  /** Somebody listens from here on. */
  stir(): void;
  /** `refed` of the port has changed. */
  refChanged(): void;
  /** The port is closed. */
  end(): void;
  /** Gives all up for another thread. Throws ERR_OPTION where that cannot be. */
  detach(): Omit<RingPortHandle, 'kind' | 'highWaterMark'>;
}
