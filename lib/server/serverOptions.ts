import { type Connection, type ConnectionHandlers, MESSAGES_PER_POLL } from '../connection/connection.js';
import type { TcpshmError } from '../errors.js';
import type { GateLimits } from '../login/gate.js';
import type { Login, LoginDecision } from '../login/loginHost.js';
import {
  checkOptions,
  count,
  duration,
  type PeerOptions,
  type PeerSettings,
  peerSettings,
} from '../options.js';
import type { GroupOptions } from '../poll/polledSet.js';
import { checkCapacity } from '../ring/memory.js';
import { checkName } from '../session/names.js';
import type { SequenceNumbers } from '../session/state.js';

/**
 * Who a server is, who may come in, and what it tells of. Checked when it is made, before anything is opened: ERR_OPTION,
 * ERR_NAME, ERR_CAPACITY. Handlers are called by its polls, in its thread; what they throw, a poll throws.
 */
export interface ServerOptions extends PeerOptions, ConnectionHandlers {
  /** Who this server is. With the client's name it identifies a session; a server of another name has other sessions. */
  readonly name: string;
  /** The groups that `acceptLogin` chooses from. Default: one. */
  readonly groups?: GroupOptions;
  /** Connections in all, of all groups and transports; a client beyond is refused. Default: no limit but the groups'. */
  readonly maxConnections?: number;
  /**
   * Most messages that one connection delivers before the next one has its turn: 1 serves all clients in turn, message by
   * message, more are faster. Default 64.
   */
  readonly messagesPerTurn?: number;
  /** Connections whose login is not complete. One more takes the place of the oldest. Default 64. */
  readonly maxPendingLogins?: number;
  /** Logins that may begin within a second, and at once. More wait until they are accepted. Default 2000. */
  readonly maxLoginsPerSecond?: number;
  /**
   * An address from which so many logins have failed (no TLS, wrong key, rejected by `acceptLogin`, not the protocol)
   * within `failedLoginWindowMs` is refused for the rest of that time. Of IPv6, a network of 64 bits is one address;
   * local sockets and threads have none. Default 20 in 60000.
   */
  readonly maxFailedLogins?: number;
  readonly failedLoginWindowMs?: number;
  /**
   * Sessions that are open here for one client, by how many names ever: the same certificate, else shared key, else user
   * of this host, else address. Default: no limit.
   */
  readonly maxSessionsPerIdentity?: number;
  /** Largest capacity that a client may choose where this side states none. Default 2^24, 16 MiB. */
  readonly maxCapacityBytes?: number;
  /** Decides about a client. Default: group 0. */
  acceptLogin?(login: Login): LoginDecision;
  /** A client is logged in, for the first time or again. */
  onConnection?(connection: Connection): void;
  /** What the client has of the session and what this side has cannot both be true. It was refused, nothing changed. */
  onSequenceMismatch?(connection: Connection, numbers: SequenceNumbers): void;
  /**
   * A login failed for an error: of a client, of the network, or of a session file. With `groups.worker`, also: a thread
   * has ended and is replaced (ERR_WORKER), a handler in one threw (ERR_HANDLER), a connection could not be handed over.
   */
  onError?(error: TcpshmError): void;
}

/** The same, checked, with the defaults. */
export interface ServerSettings extends GateLimits {
  readonly name: string;
  readonly groups: GroupOptions;
  readonly maxConnections: number;
  readonly messagesPerTurn: number;
  readonly maxPendingLogins: number;
  readonly maxSessionsPerIdentity: number;
  readonly maxCapacityBytes: number;
  /** What servers and clients have in common. */
  readonly peer: PeerSettings;
}

/** What a client may choose, if nothing else was said. */
const MAX_CHOSEN_CAPACITY = 2 ** 24;

const CALLBACKS = [
  'acceptLogin',
  'onConnection',
  'onMessage',
  'onDisconnect',
  'onSequenceMismatch',
  'onError',
] as const;

/** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. */
export function serverSettings(options: ServerOptions): ServerSettings {
  checkOptions(options, CALLBACKS);
  return {
    name: checkName(options.name, 'name'),
    peer: peerSettings(options),
    groups: options.groups ?? {},
    messagesPerTurn: count(options.messagesPerTurn, 'messagesPerTurn', MESSAGES_PER_POLL),
    maxConnections: count(options.maxConnections, 'maxConnections', Number.MAX_SAFE_INTEGER),
    maxPendingLogins: count(options.maxPendingLogins, 'maxPendingLogins', 64),
    maxLoginsPerSecond: count(options.maxLoginsPerSecond, 'maxLoginsPerSecond', 2000),
    maxFailedLogins: count(options.maxFailedLogins, 'maxFailedLogins', 20),
    failedLoginWindowMs: duration(options.failedLoginWindowMs, 'failedLoginWindowMs', 60_000),
    maxSessionsPerIdentity: count(
      options.maxSessionsPerIdentity,
      'maxSessionsPerIdentity',
      Number.POSITIVE_INFINITY,
    ),
    maxCapacityBytes: checkCapacity(options.maxCapacityBytes ?? MAX_CHOSEN_CAPACITY, 'maxCapacityBytes'),
  };
}
