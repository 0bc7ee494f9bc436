import { type Connection, type ConnectionHandlers, MESSAGES_PER_POLL, makeConnection } from './connection.js';
import { TcpshmError } from './errors.js';
import { type Login, type LoginDecision, type LoginHost, ServerLogin } from './login/serverLogin.js';
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
import type { Agreement } from './session/agreement.js';
import type { Reject, Transport } from './session/loginMessages.js';
import { checkName } from './session/names.js';
import type { SequenceNumbers } from './session/state.js';
import { checkAddress } from './wire/address.js';
import { listenNative } from './wire/nativeWire.js';
import { listenNet } from './wire/netWire.js';
import { listenThreads } from './wire/threadWire.js';
import type { Address, Listener } from './wire/wire.js';

export interface ServerOptions extends PeerOptions, ConnectionHandlers {
  /** Who this server is. With the client's name it identifies a session; a server of another name has other sessions. */
  readonly name: string;
  /** Groups that connections are polled in, and how many may be connected in each. */
  readonly groups?: {
    /** Default 1. */
    readonly count?: number;
    /** Over shared memory (processes and threads), in each group. Default 1024. */
    readonly shmConnections?: number;
    /** Over tcp, in each group. Default 1024. */
    readonly tcpConnections?: number;
  };
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

/** A connection that is polled, and in which group. */
interface Member {
  readonly connection: Connection;
  readonly group: number;
}

/**
 * Waits for clients, and has a {@link Connection} with each. Works while it is polled: in one loop with `poll`, with
 * `pollControl`, `pollTcp` and `pollShm` apart, or by `run`. Takes no thread, no timer and, unless `now` is left out,
 * no time. Belongs to one thread.
 */
export class Server implements Pollable {
  readonly name: string;
  readonly #options: ServerOptions;
  readonly #settings: PeerSettings;
  readonly #groups: number;
  readonly #limits: { readonly shm: number; readonly tcp: number };
  readonly #maxPendingLogins: number;
  readonly #sessions: Sessions;
  readonly #host: LoginHost;
  readonly #listeners: { readonly listener: Listener; retryAt: number }[] = [];
  readonly #logins = new Map<ServerLogin, { since: number }>();
  /** Every session that is open here, by client and transport, connected or not. */
  readonly #connections = new Map<string, Connection>();
  /** Those that are connected, by group; replaced on every change, so that a poll can go on over the old list. */
  #shm: readonly (readonly Connection[])[];
  #tcp: readonly (readonly Connection[])[];
  #members: readonly Member[] = [];
  /**
   * Calls of handlers that logins have brought about: made outside of the logins, so that what a handler throws
   * reaches the caller of `poll` and no login.
   */
  readonly #tidings: (() => void)[] = [];
  #now = 0;
  #closed = false;

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ServerOptions) {
    checkOptions(options, CALLBACKS);
    checkOptions(options.groups ?? {});
    this.name = checkName(options.name, 'name');
    this.#options = options;
    this.#settings = peerSettings(options);
    this.#groups = count(options.groups?.count, 'groups.count', 1);
    this.#limits = {
      shm: count(options.groups?.shmConnections, 'groups.shmConnections', 1024, 0),
      tcp: count(options.groups?.tcpConnections, 'groups.tcpConnections', 1024, 0),
    };
    this.#maxPendingLogins = count(options.maxPendingLogins, 'maxPendingLogins', 64);
    this.#sessions = new Sessions(this.#settings, 'server');
    this.#shm = Array.from({ length: this.#groups }, () => []);
    this.#tcp = Array.from({ length: this.#groups }, () => []);
    this.#host = {
      terms: { ...this.#settings, name: this.name, bootId: bootId() },
      decide: (login) => this.#decide(login),
      session: (client, agreement) => this.#session(client, agreement),
      memoryOf: (client) => this.#sessions.memoryOf(client),
      admit: (connection, group) => this.#admit({ connection, group }),
      mismatch: (connection, numbers) => {
        this.#tidings.push(() => {
          try {
            this.#options.onSequenceMismatch?.(connection, numbers);
          } finally {
            connection.abandonLogin();
          }
        });
      },
      failed: (error) => this.#failed(error),
    };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** All sessions that are open here, connected or not. */
  get connections(): readonly Connection[] {
    return [...this.#connections.values()];
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
    this.#listeners.push({ listener, retryAt: Number.NEGATIVE_INFINITY });
    return listener.address;
  }

  /** Does all there is to do, once. `now` in milliseconds, of a clock that does not go backwards. */
  poll(now: number = performance.now()): void {
    this.pollControl(now);
    if (!this.#closed) this.pollMessages(now);
  }

  /** Accepts, logs in, and keeps the connections over shared memory alive. */
  pollControl(now: number = performance.now()): void {
    this.#throwIfClosed();
    this.#now = now;
    this.#tell();
    this.#accept(now);
    for (const [login, { since }] of this.#logins) {
      if (!login.poll()) this.#logins.delete(login);
      else if (now - since >= this.#settings.loginTimeoutMs) {
        this.#logins.delete(login);
        login.fail(
          new TcpshmError(
            'ERR_LOGIN_TIMEOUT',
            `a login was not complete after ${this.#settings.loginTimeoutMs} ms`,
          ),
        );
      }
      this.#tell();
    }
    for (const member of this.#members) {
      const { connection } = member;
      if (connection.transport !== 'tcp' && !connection.pollLink(now)) this.#disconnect(member);
    }
  }

  /** Serves the connections over tcp of a group: receives, hands out messages, sends. */
  pollTcp(now: number = performance.now(), group = 0): void {
    this.#throwIfClosed();
    const members = this.#tcp[group];
    if (members === undefined) throw this.#noGroup(group);
    for (const connection of members) {
      const alive = connection.pollLink(now);
      this.#deliver(connection);
      if (!alive) this.#disconnected(connection);
    }
  }

  /** Serves the connections over shared memory of a group: hands out messages. Needs no time and no system call. */
  pollShm(group = 0): void {
    this.#throwIfClosed();
    const members = this.#shm[group];
    if (members === undefined) throw this.#noGroup(group);
    for (const connection of members) this.#deliver(connection);
  }

  /** All groups, once: what `run` calls in its inner loop. */
  pollMessages(now: number): void {
    for (let group = 0; group < this.#groups; group++) {
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
    for (const login of this.#logins.keys()) login.abandon();
    this.#logins.clear();
    for (const connection of this.connections) {
      connection.abandonLogin();
      connection.close({ remove: options.removeSessions ?? false });
    }
    await Promise.all(this.#listeners.splice(0).map(({ listener }) => listener.close()));
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

  /** Takes the connections that wait. One that cannot be taken, for want of descriptors say, is tried again later. */
  #accept(now: number): void {
    for (const entry of this.#listeners) {
      if (now < entry.retryAt) continue;
      try {
        while (!this.#closed) {
          const wire = entry.listener.accept();
          if (wire === null) break;
          this.#begin(new ServerLogin(wire, this.#host), now);
        }
      } catch (cause) {
        entry.retryAt = now + ACCEPT_RETRY_MS;
        this.#failed(
          new TcpshmError(
            'ERR_SYSTEM',
            `a connection cannot be accepted: ${(cause as Error).message}`,
            cause,
          ),
        );
      }
    }
    this.#tell();
  }

  /** Lets a login speak at once, so that it is known whom to drop when too many are pending: one that is silent. */
  #begin(login: ServerLogin, now: number): void {
    this.#logins.set(login, { since: now });
    if (!login.poll()) this.#logins.delete(login);
    else if (this.#logins.size > this.#maxPendingLogins) this.#dropOldestLogin();
  }

  /** Makes the calls that are due. If one throws, the others are made by the next poll. */
  #tell(): void {
    while (!this.#closed) {
      const tiding = this.#tidings.shift();
      if (tiding === undefined) return;
      tiding();
    }
  }

  #failed(error: TcpshmError): void {
    this.#tidings.push(() => this.#options.onError?.(error));
  }

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
    const kind = login.transport === 'tcp' ? 'tcp' : 'shm';
    const members = Number.isInteger(group) ? (kind === 'tcp' ? this.#tcp : this.#shm)[group] : undefined;
    if (members === undefined) throw this.#noGroup(group);
    if (members.length + this.#offered(group, kind) >= this.#limits[kind]) {
      return {
        code: 'ERR_LOGIN_REJECTED',
        reason: `group ${group} has its ${this.#limits[kind]} ${kind} connections`,
      };
    }
    return { group, reply: loginBytes(decision.reply, 'reply') };
  }

  /** Logins that will take a place in a group unless they fail. */
  #offered(group: number, kind: 'shm' | 'tcp'): number {
    let offered = 0;
    for (const { offer } of this.#logins.keys()) {
      if (offer === null || offer.group !== group) continue;
      if ((offer.connection.transport === 'tcp') === (kind === 'tcp')) offered++;
    }
    return offered;
  }

  #session(client: string, agreement: Agreement): Connection {
    for (const login of this.#logins.keys()) {
      // It may have hung up, or be complete by now.
      if (login.offer?.hello.client === client && login.poll()) {
        throw new TcpshmError(
          'ERR_ALREADY_CONNECTED',
          `the client '${client}' is logging in to '${this.name}' already`,
        );
      }
    }
    for (const member of this.#members) {
      if (member.connection.remoteName !== client) continue;
      // The old link may have ended without anyone having looked since.
      if (member.connection.pollLink(this.#now)) {
        throw new TcpshmError(
          'ERR_ALREADY_CONNECTED',
          `the client '${client}' is connected to '${this.name}' already, over ${member.connection.transport}`,
        );
      }
      this.#leave(member);
    }
    this.#throwIfClosed();
    const key = sessionKey(client, agreement.transport);
    let known = this.#connections.get(key);
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

  /** Disconnects a member whose client logs in again. */
  #leave(member: Member): void {
    try {
      this.#disconnect(member);
    } catch (error) {
      this.#tidings.push(() => {
        throw error;
      });
      if (!member.connection.attached) return;
      throw new TcpshmError(
        'ERR_ALREADY_CONNECTED',
        `the last connection of '${member.connection.remoteName}' to '${this.name}' has not come to its end yet`,
      );
    }
  }

  #admit(member: Member): void {
    const { connection } = member;
    this.#setMembers([...this.#members, member]);
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
      const culprit = this.#members.find((member) => member.connection.violation === error);
      if (culprit === undefined || error === null) throw error;
      this.#disconnect(culprit);
    }
  }

  #disconnected(connection: Connection): void {
    const member = this.#members.find((candidate) => candidate.connection === connection);
    if (member !== undefined) this.#disconnect(member);
  }

  #disconnect(member: Member): void {
    if (!member.connection.attached) return;
    member.connection.disconnect(this.#options, () =>
      this.#setMembers(this.#members.filter((other) => other !== member)),
    );
  }

  #forget(connection: Connection): void {
    this.#connections.delete(sessionKey(connection.remoteName, connection.transport));
    this.#setMembers(this.#members.filter((member) => member.connection !== connection));
  }

  #setMembers(members: readonly Member[]): void {
    const inGroup = (group: number, tcp: boolean): Connection[] =>
      members
        .filter((member) => member.group === group && (member.connection.transport === 'tcp') === tcp)
        .map((member) => member.connection);
    this.#members = members;
    this.#shm = this.#shm.map((_, group) => inGroup(group, false));
    this.#tcp = this.#tcp.map((_, group) => inGroup(group, true));
  }

  #dropOldestLogin(): void {
    const logins = [...this.#logins.keys()];
    const login = logins.find(({ offer }) => offer === null) ?? (logins[0] as ServerLogin);
    this.#logins.delete(login);
    login.fail(
      new TcpshmError(
        'ERR_LOGIN_TIMEOUT',
        `more than ${this.#maxPendingLogins} logins are pending: the oldest goes`,
      ),
    );
  }

  #noGroup(group: number): TcpshmError {
    return new TcpshmError('ERR_OPTION', `group must be from 0 to ${this.#groups - 1}, got ${String(group)}`);
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

/** How long a listener is left alone after it could not accept. */
const ACCEPT_RETRY_MS = 100;

function sessionKey(client: string, transport: Transport): string {
  return `${client}@${transport}`;
}
