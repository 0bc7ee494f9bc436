import { type Connection, type ConnectionHandlers, MESSAGES_PER_POLL, makeConnection } from './connection.js';
import { TcpshmError } from './errors.js';
import { Reception } from './login/reception.js';
import type { Login, LoginDecision, LoginHost } from './login/serverLogin.js';
import { bootId, checkCapacities, Sessions } from './login/sessions.js';
import {
  checkOptions,
  count,
  loginBytes,
  type PeerOptions,
  type PeerSettings,
  peerSettings,
} from './options.js';
import { drive, type Pollable, type RunOptions } from './poll/drive.js';
import { type GroupOptions, Groups, kindOf } from './poll/groups.js';
import type { Agreement } from './session/agreement.js';
import type { Reject, Transport } from './session/loginMessages.js';
import { checkName } from './session/names.js';
import type { SequenceNumbers } from './session/state.js';
import { Renewal } from './session/tenure.js';
import { checkAddress } from './wire/address.js';
import { listenNative } from './wire/nativeWire.js';
import { listenNet } from './wire/netWire.js';
import { listenThreads } from './wire/threadWire.js';
import type { Address, Listener } from './wire/wire.js';

export interface ServerOptions extends PeerOptions, ConnectionHandlers {
  /** Who this server is. With the client's name it identifies a session; a server of another name has other sessions. */
  readonly name: string;
  /** The groups that `acceptLogin` chooses from. Default: one. */
  readonly groups?: GroupOptions;
  /** Connections whose login is not complete. One more takes the place of the oldest. Default 64. */
  readonly maxPendingLogins?: number;
  /** Decides about a client. Default: group 0. */
  acceptLogin?(login: Login): LoginDecision;
  /** A client is logged in, for the first time or again. */
  onConnection?(connection: Connection): void;
  /** What the client has of the session and what this side has cannot both be true. It was refused, nothing changed. */
  onSequenceMismatch?(connection: Connection, numbers: SequenceNumbers): void;
  /** A login failed for an error: of a client, of the network, or of a session file. */
  onError?(error: TcpshmError): void;
}

/** Where to listen: a port of TCP (0 for any free one), a Unix socket, or for the threads of this process. */
export type ListenOptions =
  | { readonly host?: string; readonly port: number }
  | { readonly path: string }
  | { readonly transport: 'inproc' };

/**
 * Waits for clients, and has a {@link Connection} with each. Works while it is polled: in one loop with `poll`, with
 * `pollControl`, `pollTcp` and `pollShm` apart, or by `run`. Takes no thread, no timer and, unless `now` is left out,
 * no time. Belongs to one thread.
 */
export class Server implements Pollable {
  readonly name: string;
  readonly #options: ServerOptions;
  readonly #settings: PeerSettings;
  readonly #groups: Groups;
  readonly #sessions: Sessions;
  readonly #reception: Reception;
  /** Every session that is open here, by client and transport, connected or not. */
  readonly #connections = new Map<string, Connection>();
  /**
   * Calls of handlers that logins have brought about: made outside of the logins, so that what a handler throws
   * reaches the caller of `poll` and no login.
   */
  readonly #tidings: (() => void)[] = [];
  readonly #renewal: Renewal;
  #now = 0;
  #closed = false;

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ServerOptions) {
    checkOptions(options, CALLBACKS);
    this.name = checkName(options.name, 'name');
    this.#options = options;
    this.#settings = peerSettings(options);
    this.#groups = new Groups(options.groups ?? {});
    this.#sessions = new Sessions(this.#settings, 'server');
    this.#renewal = new Renewal(this.#settings.heartbeatIntervalMs);
    const host: LoginHost = {
      terms: { ...this.#settings, name: this.name, bootId: bootId() },
      decide: (login) => this.#decide(login),
      session: (client, agreement) => this.#session(client, agreement),
      memoryOf: (client) => this.#sessions.memoryOf(client),
      admit: (connection, group) => this.#admit(connection, group),
      mismatch: (connection, numbers) => {
        this.#tidings.push(() => {
          try {
            this.#options.onSequenceMismatch?.(connection, numbers);
          } finally {
            connection.abandonLogin();
          }
        });
      },
      failed: (error) => {
        this.#tidings.push(() => this.#options.onError?.(error));
      },
    };
    this.#reception = new Reception(host, {
      maxPendingLogins: count(options.maxPendingLogins, 'maxPendingLogins', 64),
      loginTimeoutMs: this.#settings.loginTimeoutMs,
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * All sessions that are open here, connected or not. One that was begun is among them once its client has it too:
   * before, the login may fail, and what was pushed would be in a session that nobody else knows of.
   */
  get connections(): readonly Connection[] {
    return [...this.#connections.values()].filter(({ kept }) => kept);
  }

  /**
   * Starts listening, and gives the address: with the real port. May be called for several addresses. Throws
   * ERR_LISTEN when the address is in use or not to be had, ERR_OPTION, ERR_CLOSED.
   */
  async listen(options: {
    readonly host?: string;
    readonly port: number;
  }): Promise<{ host: string; port: number }>;
  async listen(options: ListenOptions): Promise<Address>;
  async listen(options: ListenOptions): Promise<Address> {
    this.#throwIfClosed();
    checkOptions(options);
    const listener = await this.#listen(options);
    if (this.#closed) {
      await listener.close();
      this.#throwIfClosed();
    }
    this.#reception.add(listener);
    return listener.address;
  }

  /** Does all there is to do, once. `now` in milliseconds, of a clock that does not go backwards. */
  poll(now: number = performance.now()): void {
    this.pollControl(now);
    if (!this.#closed) this.pollMessages(now);
  }

  /**
   * Accepts, logs in, and keeps the connections over shared memory alive. Shows other processes of this name that the
   * sessions here have an owner: without it for `connectionTimeoutMs`, one of them may take them over.
   */
  pollControl(now: number = performance.now()): void {
    this.#throwIfClosed();
    this.#now = now;
    this.#tell();
    this.#reception.poll(now, this.#tell);
    for (const { connection } of this.#groups.members) {
      if (kindOf(connection) === 'shm' && !connection.pollLink(now)) this.#disconnect(connection);
    }
    // Those that are connected do that with their messages.
    for (const connection of this.#connections.values()) if (!connection.attached) connection.drainWriters();
    if (!this.#closed && this.#renewal.due(now)) this.#renew();
  }

  /** Serves the connections over tcp of a group: receives, hands out messages, sends. */
  pollTcp(now: number = performance.now(), group = 0): void {
    this.#throwIfClosed();
    for (const connection of this.#groups.of('tcp', group)) {
      connection.drainWriters();
      const alive = connection.pollLink(now);
      this.#deliver(connection);
      if (!alive) this.#disconnect(connection);
    }
  }

  /** Serves the connections over shared memory of a group: hands out messages. Needs no time and no system call. */
  pollShm(group = 0): void {
    this.#throwIfClosed();
    for (const connection of this.#groups.of('shm', group)) {
      connection.drainWriters();
      this.#deliver(connection);
    }
  }

  /** All groups, once: what `run` calls in its inner loop. */
  pollMessages(now: number): void {
    for (let group = 0; group < this.#groups.count; group++) {
      this.pollShm(group);
      // A handler may have closed the server.
      if (this.#closed) return;
      this.pollTcp(now, group);
      if (this.#closed) return;
    }
  }

  /** Polls until the signal aborts or the server is closed. Rejects with what a handler throws. */
  async run(options?: RunOptions): Promise<void> {
    this.#throwIfClosed();
    return drive(this, options);
  }

  /**
   * Ends all connections, telling the clients, and stops listening. Sessions stay for the next start, or go with
   * `removeSessions`. Twice is harmless.
   */
  async close(options: { readonly removeSessions?: boolean } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const left = this.#reception.close();
    for (const connection of [...this.#connections.values()]) {
      connection.abandonLogin();
      connection.close({ remove: options.removeSessions ?? false });
    }
    await left;
    this.#sessions.close();
  }

  #listen(options: ListenOptions): Promise<Listener> | Listener {
    if ('transport' in options) return listenThreads(this.name);
    const address = 'path' in options ? options : { host: options.host ?? '127.0.0.1', port: options.port };
    checkAddress(address);
    return this.#settings.wire === 'native'
      ? listenNative(address, this.#settings)
      : listenNet(address, this.#settings);
  }

  /** Makes the calls that are due. If one throws, the others are made by the next poll. False once closed. */
  readonly #tell = (): boolean => {
    while (!this.#closed) {
      const tiding = this.#tidings.shift();
      if (tiding === undefined) return true;
      tiding();
    }
    return false;
  };

  #decide(login: Login): { readonly group: number; readonly reply: Uint8Array } | Reject {
    let decision: LoginDecision;
    try {
      decision = this.#options.acceptLogin === undefined ? { group: 0 } : this.#options.acceptLogin(login);
    } catch (error) {
      this.#tidings.push(() => {
        throw error;
      });
      return { code: 'ERR_LOGIN_REJECTED', reason: 'the server failed to decide' };
    }
    if (typeof decision !== 'object' || decision === null) {
      throw new TcpshmError(
        'ERR_OPTION',
        `acceptLogin must return { group } or { reject }, got ${String(decision)}`,
      );
    }
    if ('reject' in decision) return { code: 'ERR_LOGIN_REJECTED', reason: String(decision.reject) };
    const { group } = decision;
    const kind = kindOf(login);
    // A login that is offered a place takes it, unless it fails.
    const taken =
      this.#groups.of(kind, group).length +
      this.#reception.offers.filter((offer) => offer.group === group && kindOf(offer.connection) === kind)
        .length;
    const limit = this.#groups.limits[kind];
    if (taken >= limit) {
      return { code: 'ERR_LOGIN_REJECTED', reason: `group ${group} has its ${limit} ${kind} connections` };
    }
    return { group, reply: loginBytes(decision.reply, 'reply') };
  }

  #session(client: string, agreement: Agreement): Connection {
    if (this.#reception.isLoggingIn(client)) {
      throw this.#already(`the client '${client}' is logging in to '${this.name}' already`);
    }
    for (const { connection } of this.#groups.members) {
      if (connection.remoteName !== client) continue;
      // The old link may have ended without anyone having looked since.
      if (connection.pollLink(this.#now)) {
        throw this.#already(
          `the client '${client}' is connected to '${this.name}' already, over ${connection.transport}`,
        );
      }
      this.#leave(connection);
    }
    this.#throwIfClosed();
    const key = sessionKey(client, agreement.transport);
    let known = this.#known(key);
    if (known !== undefined && agreement.transport === 'shm' && known.open.lost) {
      // The client has removed the session, or somebody the file: no client could find it any more.
      known.close();
      known = undefined;
    }
    if (known !== undefined) {
      checkCapacities(known.open, agreement);
      return known;
    }
    const found = this.#sessions.find(agreement.transport, client, this.name);
    const open = found ?? this.#sessions.begin(agreement.transport, client, this.name, agreement);
    try {
      checkCapacities(open, agreement);
    } catch (error) {
      open.close();
      throw error;
    }
    const connection = makeConnection(open, agreement.transport, (closed) => this.#forget(closed));
    this.#connections.set(key, connection);
    return connection;
  }

  /** A session that is open here, in the file where it is now. One that is another process's by now is given up. */
  #known(key: string): Connection | undefined {
    const connection = this.#connections.get(key);
    if (connection === undefined || connection.follow()) return connection;
    if (connection.fence === null) throw this.#already(`${connection.open.where} is moving to a fresh file`);
    const onDisconnect: ConnectionHandlers['onDisconnect'] = (...ended) => {
      this.#tidings.push(() => this.#options.onDisconnect?.(...ended));
    };
    connection.disconnect({ onDisconnect }, () => this.#groups.remove(connection));
    return undefined;
  }

  #renew(): void {
    for (const connection of this.connections) {
      if (!connection.renew()) connection.disconnect(this.#options, () => this.#groups.remove(connection));
    }
  }

  /** Disconnects a connection whose client logs in again. */
  #leave(connection: Connection): void {
    try {
      this.#disconnect(connection);
    } catch (error) {
      this.#tidings.push(() => {
        throw error;
      });
      if (!connection.attached) return;
      throw this.#already(
        `the last connection of '${connection.remoteName}' to '${this.name}' has not come to its end yet`,
      );
    }
  }

  #already(reason: string): TcpshmError {
    return new TcpshmError('ERR_ALREADY_CONNECTED', reason);
  }

  #admit(connection: Connection, group: number): void {
    this.#groups.add({ connection, group });
    this.#tidings.push(() => {
      if (connection.state !== 'closed') this.#options.onConnection?.(connection);
    });
  }

  #deliver(connection: Connection): void {
    const { onMessage } = this.#options;
    if (onMessage === undefined || connection.state === 'closed') return;
    try {
      connection.deliver(onMessage, MESSAGES_PER_POLL);
    } catch (error) {
      // What a peer wrote into a ring is its fault, whoever met it; what a handler throws is the caller's to see.
      const culprit = this.#groups.members.find((member) => member.connection.violation === error);
      if (culprit === undefined || error === null) throw error;
      this.#disconnect(culprit.connection);
    }
  }

  #disconnect(connection: Connection): void {
    if (this.#groups.find(connection) === undefined || !connection.attached) return;
    connection.disconnect(this.#options, () => this.#groups.remove(connection));
  }

  #forget(connection: Connection): void {
    this.#connections.delete(sessionKey(connection.remoteName, connection.transport));
    this.#groups.remove(connection);
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the server '${this.name}' is closed`);
  }
}

const CALLBACKS = [
  'acceptLogin',
  'onConnection',
  'onMessage',
  'onDisconnect',
  'onSequenceMismatch',
  'onError',
] as const;

function sessionKey(client: string, transport: Transport): string {
  return `${client}@${transport}`;
}
