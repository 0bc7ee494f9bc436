import { type Connection, type ConnectionHandlers, makeConnection } from './connection/connection.js';
import { TcpshmError } from './errors.js';
import type { GroupMember } from './group/roster.js';
import { groupThreadSettings } from './group/settings.js';
import { GroupThreads } from './group/threads.js';
import { Reception } from './login/reception.js';
import type { Login, LoginDecision, LoginHost } from './login/serverLogin.js';
import { bootId, checkCapacities, Sessions } from './login/sessions.js';
import {
  checkOptions,
  choice,
  count,
  loginBytes,
  type PeerOptions,
  type PeerSettings,
  peerSettings,
} from './options.js';
import { drive, type Pollable, type RunOptions } from './poll/drive.js';
import { kindOf, type Polled } from './poll/polled.js';
import { type GroupOptions, PolledSet } from './poll/polledSet.js';
import { Service } from './poll/service.js';
import { READABLE, Waker } from './poll/waker.js';
import type { Agreement } from './session/agreement.js';
import { type Reject, TRANSPORTS, type Transport } from './session/loginMessages.js';
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
  /** Connections in all, of all groups and transports; a client beyond is refused. Default: no limit but the groups'. */
  readonly maxConnections?: number;
  /** Connections whose login is not complete. One more takes the place of the oldest. Default 64. */
  readonly maxPendingLogins?: number;
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

/** Where to listen: a port of TCP (0 for any free one), a Unix socket, or for the threads of this process. */
export type ListenOptions =
  | { readonly host?: string; readonly port: number }
  | { readonly path: string }
  | { readonly transport: 'inproc' };

/**
 * Waits for clients, and has a {@link Connection} with each. Works while it is polled: in one loop with `poll`, with
 * `pollControl`, `pollTcp` and `pollShm` apart, or by `run`. Takes no thread, no timer and, unless `now` is left out,
 * no time. Belongs to one thread.
 *
 * With `groups.worker` each group has a thread of its own, started by the first `listen` and kept until `close`: this
 * one accepts and logs in, then hands each connection to the thread of its group, whose module has the handlers
 * (`GroupModule`). `onConnection`, `onMessage` and `onDisconnect` of this object are not called then. The event loop
 * must turn, so not `run` with 'busy', for a thread that has ended to be noticed and replaced.
 */
export class Server implements Pollable {
  readonly name: string;
  readonly #options: ServerOptions;
  readonly #settings: PeerSettings;
  readonly #waker: Waker;
  readonly #polled: PolledSet;
  readonly #service: Service;
  readonly #maxConnections: number;
  /** Where groups have threads of their own. */
  readonly #threads: GroupThreads | null;
  readonly #sessions: Sessions;
  /** Sessions of connections that were handed to a thread, by client and transport. */
  readonly #handed = new Map<string, { readonly client: string; readonly transport: Transport }>();
  readonly #reception: Reception;
  /** Every session that is open here, by client and transport, connected or not. */
  readonly #connections = new Map<string, Connection>();
  /**
   * Calls of handlers that logins have brought about: made outside of the logins, so that what a handler throws
   * reaches the caller of `poll` and no login.
   */
  readonly #tidings: (() => void)[] = [];
  readonly #renewal: Renewal;
  /** What has listeners heard again whose clients were told of. */
  readonly #unheard: (() => void)[] = [];
  /** Whether threads may knock, who wake nobody. */
  #knocks = false;
  #unattached: IterableIterator<Connection> | null = null;
  #keepsAlive = true;
  #now = 0;
  #closed = false;

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ServerOptions) {
    checkOptions(options, CALLBACKS);
    this.name = checkName(options.name, 'name');
    this.#options = options;
    this.#settings = peerSettings(options);
    this.#waker = new Waker(this.#settings.sharedDirectory);
    this.#polled = new PolledSet(options.groups ?? {}, this.#waker, options.onMessage !== undefined);
    this.#service = new Service(this.#polled, this.#settings.heartbeatIntervalMs, {
      onMessage: options.onMessage,
      ended: (connection) => this.#disconnect(connection),
      threw: (_, error) => {
        throw error;
      },
    });
    this.#maxConnections = count(options.maxConnections, 'maxConnections', Number.MAX_SAFE_INTEGER);
    const threads = groupThreadSettings(options.groups ?? {}, this.#polled.count);
    this.#threads =
      threads === null
        ? null
        : new GroupThreads(threads, this.#settings, {
            failed: (error) => this.#report(error),
            removed: (transport, client) => this.#sessions.forget(transport, client),
            whyFull: (member) => this.#whyFull(member),
            stirred: () => this.#waker.wake(),
          });
    this.#sessions = new Sessions(this.#settings, 'server', threads !== null);
    this.#renewal = new Renewal(this.#settings.heartbeatIntervalMs);
    const host: LoginHost = {
      terms: { ...this.#settings, name: this.name, bootId: bootId() },
      decide: (login) => this.#decide(login),
      inquire: (client, group) => this.#threads?.inquire(client, group) ?? null,
      session: (client, agreement) => this.#session(client, agreement),
      memoryOf: (client) => this.#sessions.memoryOf(client),
      admit: (connection, group) => this.#admit(connection, group),
      mismatch: (connection, numbers) => {
        this.#tidings.push(() => {
          try {
            this.#options.onSequenceMismatch?.(connection, numbers);
          } finally {
            connection.side.abandonLogin();
          }
        });
      },
      failed: (error) => this.#report(error),
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
   * before, the login may fail, and what was pushed would be in a session that nobody else knows of. Not those that
   * the threads of groups have.
   */
  get connections(): readonly Connection[] {
    return [...this.#connections.values()].filter(({ side }) => side.kept);
  }

  /** Who is connected, in which group: also in their threads, as far as those have told. */
  get members(): readonly GroupMember[] {
    if (this.#threads !== null) return this.#threads.members;
    return [...this.#polled].map(({ connection: { remoteName, transport }, group }) => ({
      remoteName,
      transport,
      group,
    }));
  }

  /**
   * Starts listening, and gives the address: with the real port. May be called for several addresses. Throws
   * ERR_LISTEN when the address is in use or not to be had, ERR_OPTION, ERR_CLOSED. With `groups.worker` the threads are
   * up when this resolves: throws ERR_WORKER when one cannot be started, with what its module threw as the cause.
   */
  async listen(options: {
    readonly host?: string;
    readonly port: number;
  }): Promise<{ host: string; port: number }>;
  async listen(options: ListenOptions): Promise<Address>;
  async listen(options: ListenOptions): Promise<Address> {
    this.#throwIfClosed();
    checkOptions(options);
    if (this.#threads !== null) {
      this.#checkPassable(options);
      await this.#threads.start().catch((error: unknown) => {
        this.#throwIfClosed();
        throw error;
      });
      this.#throwIfClosed();
    }
    const listener = await this.#listen(options);
    if (this.#closed) {
      await listener.close();
      this.#throwIfClosed();
    }
    this.#reception.add(listener);
    this.#hear(listener);
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
    this.#threads?.poll(now);
    this.#step();
    this.#reception.poll(now, this.#step);
    this.#service.control(now);
    if (this.#closed) return;
    this.#drainUnattached();
    if (this.#renewal.due(now)) this.#renew();
  }

  /** Serves the connections over tcp of a group: receives, hands out messages, sends. True if anything moved. */
  pollTcp(now: number = performance.now(), group = 0): boolean {
    this.#throwIfClosed();
    this.#now = now;
    return this.#service.tcp(now, group);
  }

  /**
   * Serves the connections over shared memory of a group: hands out messages. Needs no time, and with few connections no
   * system call. True if anything moved.
   */
  pollShm(group = 0): boolean {
    this.#throwIfClosed();
    return this.#service.shm(group);
  }

  /** All groups, once: what `run` calls in its inner loop. True if anything moved. */
  pollMessages(now: number): boolean {
    let moved = false;
    for (let group = 0; group < this.#polled.count; group++) {
      if (this.pollShm(group)) moved = true;
      // A handler may have closed the server.
      if (this.#closed) return true;
      if (this.pollTcp(now, group)) moved = true;
      if (this.#closed) return true;
    }
    return moved;
  }

  /** @internal */
  rouse(): boolean {
    return this.#polled.rouse();
  }

  /** @internal Gets ready to sleep, and gives for how many milliseconds at most: 0 when there is something to do. */
  park(now: number): number {
    const busy = this.#reception.busy || this.#threads?.restless === true;
    const restMs = this.#service.park(busy);
    if (this.#tidings.length > 0) return 0;
    if (busy || restMs === 0) return restMs;
    const retryMs = this.#reception.retryMs(now);
    if (retryMs > 0) return Math.min(retryMs, restMs);
    for (const listen of this.#unheard.splice(0)) listen();
    return this.#knocks ? Math.min(KNOCK_MS, restMs) : restMs;
  }

  /** @internal */
  get waker(): Waker {
    return this.#waker;
  }

  /** @internal Whether `run` keeps the process alive while it sleeps. */
  get alive(): boolean {
    return this.#keepsAlive || [...this.#polled].some(({ connection }) => connection.side.refed);
  }

  /** Whether listening keeps the process alive while `run` sleeps: it does, until `unref`. Connections have their own. */
  ref(): void {
    this.#keepsAlive = true;
  }
  unref(): void {
    this.#keepsAlive = false;
  }

  /** Polls until the signal aborts or the server is closed. Rejects with what a handler throws. */
  async run(options?: RunOptions): Promise<void> {
    this.#throwIfClosed();
    return drive(this, options);
  }

  /**
   * Moves a client's connection to another group, from one thread to another where they have their own: nothing is lost,
   * repeated or out of order, and the client does not notice. In the threads, handlers hear of it by `onDisconnect` with
   * the reason 'moved', and by `onConnection` of another object; one that has a message allocated or a batch open stays
   * until it is pushed. Resolves once the other group has it, for which the server must be polled.
   *
   * Rejects with ERR_NOT_CONNECTED when no client of that name is connected or it ends meanwhile, ERR_GROUP_FULL,
   * ERR_WORKER when a thread ends, ERR_OPTION, ERR_CLOSED.
   */
  async move(remoteName: string, group: number): Promise<void> {
    this.#throwIfClosed();
    this.#polled.sizeOf('shm', group);
    if (this.#threads !== null) return this.#threads.move(remoteName, group);
    const [found] = this.#polledOf(remoteName);
    if (found === undefined) {
      throw new TcpshmError('ERR_NOT_CONNECTED', `the client '${remoteName}' is not connected`);
    }
    const { connection } = found;
    if (found.group === group) return;
    const full = this.#whyFull({ remoteName, transport: connection.transport, group });
    if (full !== null) throw new TcpshmError('ERR_GROUP_FULL', `'${remoteName}' cannot be moved: ${full}`);
    this.#polled.move(connection, group);
  }

  /**
   * Ends all connections, telling the clients, and stops listening. Sessions stay for the next start, or go with
   * `removeSessions`. Twice is harmless. Threads of groups have ended when this resolves; one that does not end in order
   * within 5 s is ended.
   */
  async close(options: { readonly removeSessions?: boolean } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const left = this.#reception.close();
    for (const connection of [...this.#connections.values()]) {
      connection.side.abandonLogin();
      connection.close({ remove: options.removeSessions ?? false });
    }
    this.#waker.close();
    // What is still to be told is told no more, but for what comes from here on.
    this.#tidings.length = 0;
    await Promise.all([left, this.#threads?.stop()]);
    if (options.removeSessions) this.#removeHanded();
    this.#sessions.close();
    for (const tell of this.#tidings.splice(0)) tell();
  }

  /** Has clients that come wake this thread, from the next sleep on. */
  #hear(listener: Listener): void {
    const { fd } = listener;
    if (fd !== undefined) {
      let known = false;
      const listen = (): void => {
        this.#waker.listen(fd, token, READABLE, known);
        known = true;
      };
      const token = this.#waker.register({ stir: () => this.#unheard.push(listen) });
      this.#unheard.push(listen);
    } else if (listener.onStir !== undefined) listener.onStir = () => this.#waker.wake();
    else this.#knocks = true;
  }

  /** Removes the sessions of connections that threads had: they are all closed by now. */
  #removeHanded(): void {
    for (const { client, transport } of this.#handed.values()) {
      try {
        this.#sessions.find(transport, client, this.name)?.remove();
      } catch (error) {
        // Another process has it by now, say.
        this.#report(error as TcpshmError);
      }
    }
  }

  #report(error: TcpshmError): void {
    this.#tidings.push(() => this.#options.onError?.(error));
  }

  /** Throws ERR_OPTION where connections could not be handed to threads. */
  #checkPassable(options: ListenOptions): void {
    if ('transport' in options || this.#settings.wire === 'native') return;
    throw new TcpshmError(
      'ERR_OPTION',
      "groups.worker needs wire 'native' for sockets: those of node:net belong to the thread that has accepted them",
    );
  }

  #listen(options: ListenOptions): Promise<Listener> | Listener {
    if ('transport' in options) {
      choice(options.transport, 'transport', ['inproc']);
      return listenThreads(this.name);
    }
    const address = 'path' in options ? options : { host: options.host ?? '127.0.0.1', port: options.port };
    checkAddress(address);
    return this.#settings.wire === 'native'
      ? listenNative(address, this.#settings)
      : listenNet(address, this.#settings);
  }

  /** What is due after every step of a login. False once closed. */
  readonly #step = (): boolean => {
    if (!this.#closed) this.#threads?.depart(this.#now);
    return this.#tell();
  };

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
    const { name: remoteName, transport } = login;
    const reason = this.#whyFull({ remoteName, transport, group });
    if (reason !== null) return { code: 'ERR_LOGIN_REJECTED', reason };
    return { group, reply: loginBytes(decision.reply, 'reply') };
  }

  /** Null while there is room. A client that logs in again takes its own place, and one that logs in has it already. */
  #whyFull(wanted: GroupMember): string | null {
    const kind = kindOf(wanted);
    const alike = (member: GroupMember): boolean => member.group === wanted.group && kindOf(member) === kind;
    const others = ({ remoteName }: GroupMember): boolean => remoteName !== wanted.remoteName;
    const coming = this.#reception.seats.map(({ hello, agreement: { transport }, group }) => ({
      remoteName: hello.client,
      transport,
      group,
    }));
    let all = coming.filter(others).length;
    let taken = coming.filter(others).filter(alike).length + this.#polled.sizeOf(kind, wanted.group);
    if (this.#threads !== null) {
      all += this.#threads.members.filter(others).length;
      taken += this.#threads.places.filter(others).filter(alike).length;
    } else {
      const own = this.#polledOf(wanted.remoteName);
      all += this.#polled.size - own.length;
      taken -= own.filter((polled) => polled.group === wanted.group && polled.kind === kind).length;
    }
    if (all >= this.#maxConnections) return `the server has its ${this.#maxConnections} connections`;
    const limit = this.#polled.limits[kind];
    return taken < limit ? null : `group ${wanted.group} has its ${limit} ${kind} connections`;
  }

  #session(client: string, agreement: Agreement): Connection {
    if (this.#reception.isLoggingIn(client)) {
      throw this.#already(`the client '${client}' is logging in to '${this.name}' already`);
    }
    for (const { connection } of this.#polledOf(client)) {
      // The old link may have ended without anyone having looked since.
      if (connection.side.pollLink(this.#now)) {
        throw this.#already(
          `the client '${client}' is connected to '${this.name}' already, over ${connection.transport}`,
        );
      }
      this.#leave(connection);
    }
    if (this.#threads?.has(client)) {
      throw this.#already(`the client '${client}' is connected to '${this.name}' already`);
    }
    this.#throwIfClosed();
    const key = sessionKey(client, agreement.transport);
    let known = this.#known(key);
    if (known !== undefined && agreement.transport === 'shm' && known.side.ends.open.lost) {
      // The client has removed the session, or somebody the file: no client could find it any more.
      known.close();
      known = undefined;
    }
    if (known !== undefined) {
      checkCapacities(known.side.ends.open, agreement);
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
    if (connection === undefined || connection.side.ends.follow()) return connection;
    if (connection.side.ends.fence === null)
      throw this.#already(`${connection.side.ends.open.where} is moving to a fresh file`);
    const onDisconnect: ConnectionHandlers['onDisconnect'] = (...ended) => {
      this.#tidings.push(() => this.#options.onDisconnect?.(...ended));
    };
    connection.side.disconnect({ onDisconnect }, () => this.#polled.remove(connection));
    return undefined;
  }

  #renew(): void {
    for (const connection of this.connections) {
      if (!connection.side.renew())
        connection.side.disconnect(this.#options, () => this.#polled.remove(connection));
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
      if (!connection.side.attached) return;
      throw this.#already(
        `the last connection of '${connection.remoteName}' to '${this.name}' has not come to its end yet`,
      );
    }
  }

  #already(reason: string): TcpshmError {
    return new TcpshmError('ERR_ALREADY_CONNECTED', reason);
  }

  #admit(connection: Connection, group: number): void {
    if (this.#threads !== null) {
      const { remoteName: client, transport } = connection;
      this.#handed.set(sessionKey(client, transport), { client, transport });
      this.#threads.bring(connection, group);
      return;
    }
    this.#polled.add(connection, group);
    this.#tidings.push(() => {
      if (connection.state !== 'closed') this.#options.onConnection?.(connection);
    });
  }

  /** Moves what writers have pushed where nobody is connected, for some of those at a time. */
  #drainUnattached(): void {
    for (let i = 0; i < UNATTACHED_AT_ONCE; i++) {
      this.#unattached ??= this.#connections.values();
      const next = this.#unattached.next();
      if (next.done === true) {
        this.#unattached = null;
        return;
      }
      // Those that are connected do that with their messages.
      if (!next.value.side.attached) next.value.side.drainWriters();
    }
  }

  /** The connections of a client, over whatever transport. */
  #polledOf(client: string): Polled[] {
    return TRANSPORTS.flatMap((transport) => {
      const connection = this.#connections.get(sessionKey(client, transport));
      return (connection && this.#polled.find(connection)) ?? [];
    });
  }

  #disconnect(connection: Connection): void {
    if (this.#polled.find(connection) === undefined || !connection.side.attached) return;
    connection.side.disconnect(this.#options, () => this.#polled.remove(connection));
  }

  #forget(connection: Connection): void {
    this.#connections.delete(sessionKey(connection.remoteName, connection.transport));
    this.#polled.remove(connection);
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the server '${this.name}' is closed`);
  }
}

/** Of connections whose client is not there, so many are looked at by a poll. */
const UNATTACHED_AT_ONCE = 16;
/** Threads that want to log in are seen by polls. */
const KNOCK_MS = 10;

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
