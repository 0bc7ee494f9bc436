import type { Connection } from '../connection/connection.js';
import { sumOf } from '../connection/tally.js';
import { untilAborted } from '../connection/waiter.js';
import { TcpshmError } from '../errors.js';
import type { GroupMember } from '../group/roster.js';
import { groupThreadSettings } from '../group/settings.js';
import { GroupThreads } from '../group/threads.js';
import { Sessions } from '../login/sessions.js';
import { abortSignal, checkOptions, type WaitOptions } from '../options.js';
import { drive, type Pollable, type Run, type RunOptions } from '../poll/drive.js';
import { PolledSet } from '../poll/polledSet.js';
import { Service } from '../poll/service.js';
import { Waker } from '../poll/waker.js';
import { Renewal } from '../session/tenure.js';
import type { TlsContextOptions } from '../wire/tlsOptions.js';
import type { Address } from '../wire/wire.js';
import { Admission } from './admission.js';
import { Doors, type ListenOptions } from './doors.js';
import { Register } from './register.js';
import { type ServerOptions, serverSettings } from './serverOptions.js';
import type { ServerStats } from './serverStats.js';
import { Tidings } from './tidings.js';

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
  readonly #waker: Waker;
  readonly #polled: PolledSet;
  /** @internal */
  readonly service: Service;
  /** Where groups have threads of their own. */
  readonly #threads: GroupThreads | null;
  readonly #sessions: Sessions;
  readonly #register: Register;
  readonly #admission: Admission;
  readonly #doors: Doors;
  readonly #tidings = new Tidings();
  readonly #renewal: Renewal;
  #keepsAlive = true;
  #now = 0;
  #closed = false;
  #closing: Promise<void> | null = null;

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ServerOptions) {
    const settings = serverSettings(options);
    const { name, peer, groups, messagesPerTurn, maxPendingLogins } = settings;
    this.name = name;
    this.#waker = new Waker(peer.sharedDirectory);
    this.#polled = new PolledSet(groups, this.#waker, options.onMessage !== undefined);
    this.service = new Service(this.#polled, peer.heartbeatIntervalMs, {
      onMessage: options.onMessage,
      ended: (connection) => this.#register.disconnect(connection),
      threw: (_, error) => {
        throw error;
      },
      messagesPerTurn,
    });
    const threads = groupThreadSettings(groups, this.#polled.count);
    this.#threads =
      threads === null
        ? null
        : new GroupThreads(name, threads, peer, {
            failed: (error) => this.#admission.failed(error),
            removed: (transport, client) => this.#sessions.forget(transport, client),
            whyFull: (member) => this.#admission.whyFull(member),
            stirred: () => this.#waker.wake(),
          });
    this.#sessions = new Sessions(peer, 'server', threads !== null);
    this.#register = new Register(name, options, this.#sessions, this.#polled, this.#tidings);
    const places = {
      sessions: this.#sessions,
      register: this.#register,
      polled: this.#polled,
      threads: this.#threads,
    };
    this.#admission = new Admission(settings, options, places, this.#tidings);
    this.#doors = new Doors(name, peer, maxPendingLogins, this.#waker);
    this.#renewal = new Renewal(peer.heartbeatIntervalMs);
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
      pendingLogins: this.#admission.reception.pending,
      admittedLogins: this.#admission.admittedLogins,
      refusedLogins: this.#admission.refusedLogins,
      sleeps: this.#waker.sleeps,
      wakeups: this.#waker.wakeups,
      total,
      threads,
    });
  }

  /**
   * Starts listening, and gives the address: with the real port. May be called for several addresses. Throws
   * ERR_LISTEN when the address is in use or not to be had, ERR_INSECURE, ERR_OPTION, ERR_CLOSED. With `groups.worker`
   * the threads are up when this resolves: throws ERR_WORKER when one cannot be started, with what its module threw as
   * the cause. Throws the reason of its `signal`: it does not listen then, and threads that were started stay for the
   * next time.
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
    this.#admission.reception.add(listener, door);
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
    this.#admission.poll(now, this.#step);
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
    const { reception } = this.#admission;
    const busy = reception.busy || this.#threads?.restless === true;
    const restMs = this.service.park(busy);
    if (this.#tidings.waiting) return 0;
    if (busy || restMs === 0) return restMs;
    const retryMs = reception.retryMs(now);
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
    const full = this.#admission.whyFull({ remoteName, transport: connection.transport, group });
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
    const left = this.#admission.close();
    for (const connection of this.#register.all) {
      connection.side.abandonLogin();
      connection.close({ remove });
    }
    this.#waker.close();
    // What is still to be told is told no more, but for what comes from here on.
    this.#tidings.clear();
    await Promise.all([left, this.#threads?.stop()]);
    if (remove) this.#admission.removeHanded();
    this.#sessions.close();
    this.#tidings.tell(() => true);
  }

  /** What is due after every step of a login. False once closed. */
  readonly #step = (): boolean => {
    if (!this.#closed) this.#threads?.depart(this.#now);
    this.#tidings.tell(() => !this.#closed);
    return !this.#closed;
  };

  #throwIfClosed(): void {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the server '${this.name}' is closed`);
  }
}
