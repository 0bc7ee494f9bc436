import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { checkOptions, count, duration, flag, type PeerOptions } from '../options.js';
import { type BackoffOptions, type BackoffSettings, backoffSettings } from '../session/backoff.js';
import { checkName } from '../session/names.js';
import type { Caller } from './call.js';
import type { PlanLimits } from './destinationPlan.js';

/** What becomes of the connections of a destination. */
export type DestinationEvent =
  /** There is one more, or a session goes on after its link had ended. */
  | { readonly kind: 'connected' | 'resumed'; readonly name: string; readonly connection: Connection }
  /** An attempt to connect has failed; the next one comes later. */
  | { readonly kind: 'refused'; readonly name: string; readonly error: TcpshmError }
  | { readonly kind: 'unresolved'; readonly error: TcpshmError }
  /** The link of one has ended; its session waits for the server if something is in flight. */
  | { readonly kind: 'ended'; readonly name: string; readonly error: TcpshmError | null }
  /** It was closed. `removed`: with what its session still had, which is told of or sent again elsewhere. */
  | { readonly kind: 'closed'; readonly name: string; readonly removed: boolean };

/** Times are in milliseconds. */
export interface DestinationOptions extends PeerOptions {
  /**
   * Who asks. The connections are clients of the names `<name>-0`, `<name>-1` and so on, the lowest numbers that are
   * free. At most 57 characters. With a `directory` their sessions are used again, also by the next process.
   */
  readonly name: string;
  /** Makes of each connection what sends requests over it. Default: a messenger without options. */
  caller?(connection: Connection): Caller;
  /** User data for the servers' `acceptLogin`. */
  readonly login?: Uint8Array;
  /** So many connections are kept, also while nothing is to be sent. Default 1. */
  readonly minConnections?: number;
  /** Default 4. */
  readonly maxConnections?: number;
  /** Connections that are being made at a time, whatever number of addresses there are. Default 2. */
  readonly maxPending?: number;
  /** Requests on a connection, before another connection is made for those that wait. Default 64. */
  readonly maxInFlight?: number;
  /** Requests that wait for a connection; one more is refused with ERR_QUEUE_FULL. Default 10000. */
  readonly maxQueue?: number;
  /** A connection above `minConnections` that was idle for so long is closed. Default 10000. */
  readonly idleMs?: number;
  /**
   * A session whose link has ended waits for its server for so long, with its requests: if the server comes back, they go
   * on as if nothing had happened. After that they are failed or, where they may run twice, sent to another server.
   * Default 10000.
   */
  readonly resumeMs?: number;
  /** Addresses older than that are resolved again. Default 30000. */
  readonly resolveMs?: number;
  /** Connections go to different addresses, rather than to that of the main one. Default false. */
  readonly spread?: boolean;
  /** Delays between attempts. After `maxAttempts` that fail in a row, what waits fails with ERR_CONNECT. */
  readonly backoff?: BackoffOptions;
  /** Hears of what becomes of its connections, in the thread of the destination. */
  onEvent?(event: DestinationEvent): void;
}

/** Longest name of a destination: numbers of up to five digits follow. */
const MAX_NAME = 57;

/** Throws ERR_NAME, ERR_OPTION. */
export function planLimits(options: DestinationOptions): PlanLimits {
  checkOptions(options, ['caller', 'onEvent']);
  checkName(options.name, 'name');
  if (options.name.length > MAX_NAME) {
    throw new TcpshmError(
      'ERR_NAME',
      `the name of a destination must have at most ${MAX_NAME} characters, got ${JSON.stringify(options.name)}`,
    );
  }
  const minConnections = count(options.minConnections, 'minConnections', 1, 0);
  const maxConnections = count(options.maxConnections, 'maxConnections', Math.max(4, minConnections));
  if (minConnections > maxConnections) {
    throw new TcpshmError(
      'ERR_OPTION',
      `minConnections must not be more than maxConnections, got ${minConnections} and ${maxConnections}`,
    );
  }
  return {
    minConnections,
    maxConnections,
    maxPending: count(options.maxPending, 'maxPending', 2),
    maxInFlight: count(options.maxInFlight, 'maxInFlight', 64),
    maxQueue: count(options.maxQueue, 'maxQueue', 10_000),
    idleMs: duration(options.idleMs, 'idleMs', 10_000),
    resumeMs: duration(options.resumeMs, 'resumeMs', 10_000),
    resolveMs: duration(options.resolveMs, 'resolveMs', 30_000),
    spread: flag(options.spread, 'spread', false),
    backoff: backoffSettings(options.backoff ?? true) as BackoffSettings,
  };
}
