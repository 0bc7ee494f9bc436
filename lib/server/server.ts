import { type Connection, type ConnectionHandlers, MESSAGES_PER_POLL } from '../connection/connection.js';
import { sumOf } from '../connection/tally.js';
import { untilAborted } from '../connection/waiter.js';
import { TcpshmError } from '../errors.js';
import type { GroupMember } from '../group/roster.js';
import { groupThreadSettings } from '../group/settings.js';
import { GroupThreads } from '../group/threads.js';
import type { Login, LoginDecision, LoginHost } from '../login/loginHost.js';
import { Reception } from '../login/reception.js';
import { bootId, Sessions } from '../login/sessions.js';
import {
  abortSignal,
  checkOptions,
  count,
  duration,
  type PeerOptions,
  type PeerSettings,
  peerSettings,
  type WaitOptions,
} from '../options.js';
import { drive, type Pollable, type Run, type RunOptions } from '../poll/drive.js';
import { type GroupOptions, PolledSet } from '../poll/polledSet.js';
import { Service } from '../poll/service.js';
import { Waker } from '../poll/waker.js';
import { checkCapacity } from '../ring/memory.js';
import type { Agreement } from '../session/agreement.js';
import type { Reject, Transport } from '../session/loginMessages.js';
import { checkName } from '../session/names.js';
import type { SequenceNumbers } from '../session/state.js';
import { Renewal } from '../session/tenure.js';
import type { TlsContextOptions } from '../wire/tlsOptions.js';
import type { Address } from '../wire/wire.js';
import { type Accepted, decide } from './decision.js';
import { Doors, type ListenOptions } from './doors.js';
import { Quota } from './quota.js';
import { alreadyConnected, Register, sessionKey } from './register.js';
import { whyFull } from './room.js';
import type { ServerStats } from './stats.js';
import { Tidings } from './tidings.js';

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
  /** @internal */
  readonly service: Service;
  readonly #maxConnections: number;
  /** Where groups have threads of their own. */
  readonly #threads: GroupThreads | null;
  readonly #sessions: Sessions;
  /** Sessions of connections that were handed to a thread, by client and transport. */
  readonly #handed = new Map<string, { readonly client: string; readonly transport: Transport }>();
  readonly #reception: Reception;
  readonly #doors: Doors;
  readonly #register: Register;
  readonly #tidings = new Tidings();
  readonly #quota: Quota;
  readonly #renewal: Renewal;
  #keepsAlive = true;
  #admittedLogins = 0;
  #refusedLogins = 0;
  #now = 0;
  #closed = false;
  #closing: Promise<void> | null = null;

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ServerOptions) {
    checkOptions(options, CALLBACKS);
    this.name = checkName(options.name, 'name');
    this.#options = options;
    this.#settings = peerSettings(options);
    this.#waker = new Waker(this.#settings.sharedDirectory);
    this.#polled = new PolledSet(options.groups ?? {}, this.#waker, options.onMessage !== undefined);
    this.service = new Service(this.#polled, this.#settings.heartbeatIntervalMs, {
      onMessage: options.onMessage,
      ended: (connection) => this.#register.disconnect(connection),
      threw: (_, error) => {
        throw error;
      },
      messagesPerTurn: count(options.messagesPerTurn, 'messagesPerTurn', MESSAGES_PER_POLL),
    });
    this.#maxConnections = count(options.maxConnections, 'maxConnections', Number.MAX_SAFE_INTEGER);
    const threads = groupThreadSettings(options.groups ?? {}, this.#polled.count);
    this.#threads =
      threads === null
        ? null
        : new GroupThreads(this.name, threads, this.#settings, {
            failed: (error) => this.#report(error),
            removed: (transport, client) => this.#sessions.forget(transport, client),
            whyFull: (member) => this.#whyFull(member),
            stirred: () => this.#waker.wake(),
          });
    this.#sessions = new Sessions(this.#settings, 'server', threads !== null);
    this.#register = new Register(this.name, options, this.#sessions, this.#polled, this.#tidings);
    const maxPendingLogins = count(options.maxPendingLogins, 'maxPendingLogins', 64);
    this.#doors = new Doors(this.name, this.#settings, maxPendingLogins, this.#waker);
    const perIdentity = options.maxSessionsPerIdentity;
    this.#quota = new Quota(
      perIdentity === undefined ? Number.POSITIVE_INFINITY : count(perIdentity, 'maxSessionsPerIdentity', 0),
      (client) =>
        this.#register.has(client) ||
        this.#threads?.roster.find(client) != null ||
        this.#reception.seats.some(({ hello }) => hello.client === client),
    );
    this.#renewal = new Renewal(this.#settings.heartbeatIntervalMs);
    const host: LoginHost = {
      terms: {
        ...this.#settings,
        name: this.name,
        bootId: bootId(),
        maxCapacityBytes: checkCapacity(options.maxCapacityBytes ?? MAX_CHOSEN_CAPACITY, 'maxCapacityBytes'),
      },
      decide: (login) => this.#decide(login),
      inquire: (client, group) => this.#threads?.inquire(client, group) ?? null,
      session: (client, agreement) => this.#session(client, agreement),
      memoryOf: (client) => this.#sessions.memoryOf(client),
      admit: (connection, group) => this.#admit(connection, group),
      mismatch: (connection, numbers) => {
        this.#tidings.add(() => {
          try {
            this.#options.onSequenceMismatch?.(connection, numbers);
          } finally {
            connection.side.abandonLogin();
          }
        });
      },
      refused: () => {
        this.#refusedLogins++;
      },
      failed: (error) => this.#report(error),
    };
    this.#reception = new Reception(host, {
      maxPendingLogins,
      loginTimeoutMs: this.#settings.loginTimeoutMs,
      maxLoginsPerSecond: count(options.maxLoginsPerSecond, 'maxLoginsPerSecond', 2000),
      maxFailedLogins: count(options.maxFailedLogins, 'maxFailedLogins', 20),
      failedLoginWindowMs: duration(options.failedLoginWindowMs, 'failedLoginWindowMs', 60_000),
    });
  }

  /** True from the call of `close` on. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * All sessions that are open here, connected or not. One that was begun is among them once its client has it too:
   * before, the login may fail, and what was pushed would be in a session that nobody else knows of. Not those that
   * the threads of groups have.
   */
  get connections(): readonly Connection[] {
    return this.#register.kept;
  }

  /** Who is connected, in which group: also in their threads, as far as those have told. */
  get members(): readonly GroupMember[] {
    if (this.#threads !== null) return this.#threads.roster.members;
    return [...this.#polled].map(({ connection: { remoteName, transport }, group }) => ({
      remoteName,
      transport,
      group,
    }));
  }

  /**
   * What has gone through all connections, and what the server has done. Takes some microseconds for each connection that
   * is open. May be called at any time, also after `close`. Never throws.
   */
  stats(): ServerStats {
    const threads = this.#threads?.stats ?? [];
    let total = this.#register.tally;
    for (const thread of threads) total = sumOf(total, thread.total);
    return Object.freeze({
      name: this.name,
      sessions: this.#register.kept.length,
      connected: this.members.length,
      pendingLogins: this.#reception.pending,
      admittedLogins: this.#admittedLogins,
      refusedLogins: this.#refusedLogins,
      sleeps: this.#waker.sleeps,
      wakeups: this.#waker.wakeups,
      total,
      threads,
    });
  }

  /**
   * Starts listening, and gives the address: with the real port. May be called for several addresses. Throws
   * ERR_LISTEN when the address is in use or not to be had, ERR_INSECURE, ERR_OPTION, ERR_CLOSED. With `groups.worker` the threads are
   * up when this resolves: throws ERR_WORKER when one cannot be started, with what its module threw as the cause. Throws
   * the reason of its `signal`: it does not listen then, and threads that were started stay for the next time.
   */
  async listen(
    options: Extract<ListenOptions, { port: number }> & WaitOptions,
  ): Promise<{ host: string; port: number }>;
  async listen(options: ListenOptions & WaitOptions): Promise<Address>;
  async listen(options: ListenOptions & WaitOptions): Promise<Address> {
    this.#throwIfClosed();
    checkOptions(options);
    const signal = abortSignal(options.signal);
    signal?.throwIfAborted();
    const door = this.#doors.check(options);
    if (this.#threads !== null) {
      this.#doors.checkPassable(options);
      await untilAborted(this.#threads.start(), signal).catch((error: unknown) => {
        this.#throwIfClosed();
        throw error;
      });
      this.#throwIfClosed();
    }
    const listener = await this.#doors.open(options);
    if (this.#closed || signal?.aborted) {
      await listener.close();
      this.#throwIfClosed();
      signal?.throwIfAborted();
    }
    this.#reception.add(listener, door);
    this.#doors.hear(listener);
    this.#doors.keep(this.#keepsAlive);
    return listener.address;
  }

  /**
   * Has the handshakes of TLS from here on, at one address or at all that have TLS, use these keys and certificates:
   * renewed ones, say. All of them, as for `listen`; nothing is taken over from what was there. Connections that are
   * there go on. Throws ERR_OPTION, and all stays as it was; ERR_CLOSED.
   */
  setSecureContext(tls: TlsContextOptions, address: Address | null = null): void {
    this.#throwIfClosed();
    this.#doors.setSecureContext(tls, address);
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
    this.service.control(now);
    if (this.#closed) return;
    this.#register.drainUnattached();
    if (this.#renewal.due(now)) this.#register.renew();
  }

  /** Serves the connections over tcp of a group: receives, hands out messages, sends. True if anything moved. */
  pollTcp(now: number = performance.now(), group = 0): boolean {
    this.#throwIfClosed();
    this.#now = now;
    return this.service.tcp(now, group);
  }

  /**
   * Serves the connections over shared memory of a group: hands out messages. Needs no time, and with few connections no
   * system call. True if anything moved.
   */
  pollShm(group = 0): boolean {
    this.#throwIfClosed();
    return this.service.shm(group);
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

  /** @internal Gets ready to sleep, and gives for how many milliseconds at most: 0 when there is something to do. */
  park(now: number): number {
    const busy = this.#reception.busy || this.#threads?.restless === true;
    const restMs = this.service.park(busy);
    if (this.#tidings.waiting) return 0;
    if (busy || restMs === 0) return restMs;
    const retryMs = this.#reception.retryMs(now);
    if (retryMs > 0) return Math.min(retryMs, restMs);
    return this.#doors.sleep(restMs);
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
    this.#doors.keep(true);
  }
  /** Lets the process end while `run` sleeps, though it listens. */
  unref(): void {
    this.#keepsAlive = false;
    this.#doors.keep(false);
  }

  /**
   * Polls until the signal aborts, it is stopped, or the server is closed. Rejects with what a handler throws, ERR_OPTION,
   * ERR_CLOSED.
   */
  run(options?: RunOptions): Run {
    return drive(this, options);
  }

  /**
   * Moves a client's connection to another group, from one thread to another where they have their own: nothing is lost,
   * repeated or out of order, and the client does not notice. In the threads, handlers hear of it by `onDisconnect` with
   * the reason 'moved', and by `onConnection` of another object; one that has a message allocated or a batch open stays
   * until it is pushed. Resolves once the other group has it, for which the server must be polled.
   *
   * Rejects with ERR_NOT_CONNECTED when no client of that name is connected or it ends meanwhile, ERR_GROUP_FULL,
   * ERR_WORKER when a thread ends, ERR_OPTION, ERR_CLOSED, and the reason of the signal: it may be moved all the same then.
   */
  async move(remoteName: string, group: number, options: WaitOptions = {}): Promise<void> {
    this.#throwIfClosed();
    checkOptions(options);
    const signal = abortSignal(options.signal);
    signal?.throwIfAborted();
    this.#polled.sizeOf('shm', group);
    if (this.#threads !== null) return untilAborted(this.#threads.move(remoteName, group), signal);
    const [found] = this.#register.polledOf(remoteName);
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
  close(options: { readonly removeSessions?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#close(options.removeSessions ?? false);
    return this.#closing;
  }

  /** As `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(remove: boolean): Promise<void> {
    this.#closed = true;
    const left = this.#reception.close();
    for (const connection of this.#register.all) {
      connection.side.abandonLogin();
      connection.close({ remove });
    }
    this.#waker.close();
    // What is still to be told is told no more, but for what comes from here on.
    this.#tidings.clear();
    await Promise.all([left, this.#threads?.stop()]);
    if (remove) this.#removeHanded();
    this.#sessions.close();
    this.#tidings.tell(() => true);
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
    this.#tidings.add(() => this.#options.onError?.(error));
  }

  /** What is due after every step of a login. False once closed. */
  readonly #step = (): boolean => {
    if (!this.#closed) this.#threads?.depart(this.#now);
    this.#tidings.tell(() => !this.#closed);
    return !this.#closed;
  };

  #decide(login: Login): Accepted | Reject {
    const answer = decide(login, this.#options.acceptLogin?.bind(this.#options), (thrown) =>
      this.#tidings.addThrown(thrown),
    );
    if (!('group' in answer)) return answer;
    const { name: remoteName, transport } = login;
    const reason =
      this.#whyFull({ remoteName, transport, group: answer.group }) ?? this.#quota.whyOver(login);
    return reason === null ? answer : { code: 'ERR_LOGIN_REJECTED', reason, blameless: true };
  }

  #whyFull(wanted: GroupMember): string | null {
    const guests = {
      polled: this.#polled,
      polledOf: (client: string) => this.#register.polledOf(client),
      roster: this.#threads?.roster ?? null,
      seats: this.#reception.seats,
    };
    return whyFull(wanted, guests, this.#maxConnections);
  }

  #session(client: string, agreement: Agreement): Connection {
    if (this.#reception.isLoggingIn(client)) {
      throw alreadyConnected(`the client '${client}' is logging in to '${this.name}' already`);
    }
    this.#register.vacate(client, this.#now);
    if (this.#threads?.roster.find(client)) {
      throw alreadyConnected(`the client '${client}' is connected to '${this.name}' already`);
    }
    this.#throwIfClosed();
    return this.#register.session(client, agreement);
  }

  #admit(connection: Connection, group: number): void {
    this.#admittedLogins++;
    if (this.#threads !== null) {
      const { remoteName: client, transport } = connection;
      this.#handed.set(sessionKey(client, transport), { client, transport });
      this.#threads.bring(connection, group);
      return;
    }
    this.#register.admit(connection, group);
    this.#tidings.add(() => {
      if (connection.state !== 'closed') this.#options.onConnection?.(connection);
    });
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the server '${this.name}' is closed`);
  }
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
