import { type Connection, type ConnectionHandlers, makeConnection } from './connection/connection.js';
import { NO_TALLY, sumOf, type Tally, totalOf } from './connection/tally.js';
import { Topic } from './diagnostics/channels.js';
import { TcpshmError } from './errors.js';
import { ClientLogin } from './login/clientLogin.js';
import { type ConnectOptions, checkTarget, dial, type Target } from './login/dial.js';
import { patienceFor } from './login/patience.js';
import { type Attempt, type ReconnectAttempt, Reconnection } from './login/reconnection.js';
import { bootId, Sessions } from './login/sessions.js';
import { checkOptions, type PeerOptions, type PeerSettings, peerSettings } from './options.js';
import { drive, type Pollable, type Run, type RunOptions } from './poll/drive.js';
import { PolledSet } from './poll/polledSet.js';
import { Service } from './poll/service.js';
import { Waker } from './poll/waker.js';
import { type BackoffOptions, backoffSettings } from './session/backoff.js';
import type { Transport, Welcome } from './session/loginMessages.js';
import { checkName } from './session/names.js';
import type { SequenceNumbers } from './session/state.js';
import { Renewal } from './session/tenure.js';
import type { Patience, Wire } from './wire/wire.js';

export interface ClientOptions extends PeerOptions, ConnectionHandlers {
  /** Who this client is. With the server's name it identifies the session. */
  readonly name: string;
  /** What the server has of the session and what this side has cannot both be true. It was refused, nothing changed. */
  onSequenceMismatch?(connection: Connection, numbers: SequenceNumbers): void;
  /**
   * Connects again by itself when the connection ends, as the last `connect` did, unless it was closed here or the
   * protocol was violated. The delays are those of the clock that `poll` or `pollControl` is given; an attempt itself
   * is a `connect`, during which the event loop must turn (so not in `run` with 'busy'). A `connect`, or closing the
   * connection or the client, ends the trying. Default false; true for the defaults of the delays.
   */
  readonly reconnect?: boolean | BackoffOptions;
  /** An attempt to connect again has ended, as a `poll` or `pollControl` tells. */
  onReconnect?(attempt: ReconnectAttempt): void;
}

/** A client in numbers, at the moment of the call, since it was made: a plain object that stays as it is. */
export interface ClientStats {
  readonly name: string;
  readonly connected: boolean;
  /** Sessions that are open, connected or not. */
  readonly sessions: number;
  /** Attempts to connect, by `connect` or by itself, that have begun; that were successful; that have failed. */
  readonly attempts: number;
  readonly logins: number;
  readonly failures: number;
  /** How often `run` has slept, and how often something woke it before its time was up. */
  readonly sleeps: number;
  readonly wakeups: number;
  /** Of all connections that it has, or had. */
  readonly total: Tally;
}

const CONNECTING = new Topic('tcpshm:connecting');
const FAILED = new Topic('tcpshm:connect-failed');

/**
 * Connects to a server, one at a time, and has a {@link Connection} with it. Works while it is polled, as a
 * {@link Server} does. Belongs to one thread.
 */
export class Client implements Pollable {
  readonly name: string;
  readonly #options: ClientOptions;
  readonly #settings: PeerSettings;
  readonly #sessions: Sessions;
  /** Sessions that are open here, by server and transport: each stays open over disconnects. */
  readonly #connections = new Map<string, Connection>();
  /** The one that is connected. */
  #current: Connection | null = null;
  readonly #waker: Waker;
  /** The same, from login to end. */
  readonly #polled: PolledSet;
  /** @internal */
  readonly service: Service;
  #connecting = false;
  readonly #renewal: Renewal;
  #closed = false;
  #closing: Promise<void> | null = null;
  readonly #reconnection: Reconnection;
  /** Whether it is a login that closes a connection now, to replace it, and not the user. */
  #loginActs = false;
  #attempts = 0;
  #logins = 0;
  #failures = 0;
  /** Of connections that it had. */
  #gone = NO_TALLY;

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ClientOptions) {
    checkOptions(options, CALLBACKS);
    this.name = checkName(options.name, 'name');
    this.#options = options;
    this.#settings = peerSettings(options);
    this.#reconnection = new Reconnection(
      backoffSettings(options.reconnect),
      (target, attempt) => this.#open(target, attempt),
      (attempt) => options.onReconnect?.(attempt),
    );
    this.#sessions = new Sessions(this.#settings, 'client');
    this.#waker = new Waker(this.#settings.sharedDirectory);
    this.#renewal = new Renewal(this.#settings.heartbeatIntervalMs);
    this.#polled = new PolledSet({}, this.#waker, options.onMessage !== undefined);
    this.service = new Service(this.#polled, this.#settings.heartbeatIntervalMs, {
      onMessage: options.onMessage,
      ended: (connection) => this.#disconnect(connection),
      threw: (_, error) => {
        throw error;
      },
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The connection of the last login, if there was one and it was not closed. */
  get connection(): Connection | null {
    return this.#current;
  }

  /** All sessions that are open here, connected or not: one for each server and transport that it was connected to. */
  get connections(): readonly Connection[] {
    return [...this.#connections.values()];
  }

  /**
   * What has gone through its connections, and what the client has done. Takes some microseconds. May be called at any
   * time, also after `close`. Never throws.
   */
  stats(): ClientStats {
    return Object.freeze({
      name: this.name,
      connected: this.#current?.state === 'connected',
      sessions: this.#connections.size,
      attempts: this.#attempts,
      logins: this.#logins,
      failures: this.#failures,
      sleeps: this.#waker.sleeps,
      wakeups: this.#waker.wakeups,
      total: totalOf(this.#gone, this.#connections.values()),
    });
  }

  /**
   * Logs in: begins the session with the server, or resumes it. The connection is the same object as before, if that
   * was not closed. The event loop must turn meanwhile; the time that it may take is real time.
   *
   * Rejects with ERR_CONNECT (nobody listens, host unknown), ERR_LOGIN_REJECTED, ERR_LOGIN_TIMEOUT,
   * ERR_AUTHENTICATION, ERR_TLS, ERR_PROTOCOL_VERSION, ERR_ALREADY_CONNECTED, ERR_SEQUENCE_MISMATCH, ERR_SEGMENT, ERR_FILE,
   * ERR_NO_SPACE, ERR_CAPACITY, ERR_OPTION, ERR_NAME, ERR_NATIVE_MISSING, ERR_CLOSED, the reason of its `signal`; nothing
   * is left behind then.
   */
  async connect(options: ConnectOptions): Promise<Connection> {
    this.#throwIfClosed();
    const target = checkTarget(options, this.#settings.durability);
    if (this.#connecting || this.#current?.state === 'connected') throw this.#alreadyConnected();
    const { signal } = options;
    signal?.throwIfAborted();
    this.#connecting = true;
    try {
      const trying = this.#reconnection.stop();
      if (trying !== null) {
        await trying;
        this.#throwIfClosed();
      }
      // The last link may have ended without anyone having looked since.
      if (this.#current?.side.attached) this.#disconnect(this.#current);
      const connection = await this.#open(target, null, signal);
      this.#throwIfClosed();
      return connection;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      this.#connecting = false;
    }
  }

  /** Does all there is to do, once. `now` in milliseconds, of a clock that does not go backwards. */
  poll(now: number = performance.now()): void {
    this.pollControl(now);
    if (!this.#closed) this.pollMessages(now);
  }

  /**
   * Keeps a connection over shared memory alive, and notices its end. Connects again, with `reconnect`. Shows other
   * processes of this name that the sessions here have an owner: without it for `connectionTimeoutMs`, one of them may
   * take them over.
   */
  pollControl(now: number = performance.now()): void {
    this.#throwIfClosed();
    this.#reconnection.report();
    this.service.control(now);
    if (this.#closed) return;
    // Those that are connected do that with their messages.
    for (const { side } of this.#connections.values()) if (!side.attached) side.drainWriters();
    if (this.#renewal.due(now)) this.#renew();
    this.#reconnection.poll(now);
  }

  /** Serves a connection over tcp: receives, hands out messages, sends. True if anything moved. */
  pollTcp(now: number = performance.now()): boolean {
    this.#throwIfClosed();
    const moved = this.service.tcp(now, 0);
    this.#reconnection.look(now);
    return moved;
  }

  /** Serves a connection over shared memory: hands out messages. Needs no time and no system call. True if any moved. */
  pollShm(): boolean {
    this.#throwIfClosed();
    return this.service.shm(0);
  }

  /** Messages of whatever transport: what `run` calls in its inner loop. True if anything moved. */
  pollMessages(now: number): boolean {
    const moved = this.pollShm();
    // A handler may have closed the client.
    return this.#closed || this.pollTcp(now) || moved;
  }

  /** @internal Gets ready to sleep, and gives for how many milliseconds at most: 0 when there is something to do. */
  park(): number {
    return this.service.park(this.#reconnection.trying);
  }

  /** @internal */
  get waker(): Waker {
    return this.#waker;
  }

  /** @internal Whether `run` keeps the process alive while it sleeps. */
  get alive(): boolean {
    return this.#current === null || this.#current.side.refed;
  }

  /**
   * Polls until the signal aborts, it is stopped, or the client is closed. Rejects with what a handler throws, ERR_OPTION,
   * ERR_CLOSED.
   */
  run(options?: RunOptions): Run {
    return drive(this, options);
  }

  /**
   * Ends the connection, telling the server. The session stays for the next login, or goes with `removeSessions`.
   * Twice is harmless. An attempt to connect has ended when this resolves.
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
    const trying = this.#reconnection.stop();
    for (const connection of [...this.#connections.values()]) {
      connection.side.abandonLogin();
      connection.close({ remove });
    }
    this.#waker.close();
    this.#sessions.close();
    await trying;
  }

  /** Logs in. Stops with an error as soon as the attempt that this is was stopped. */
  async #open(target: Target, attempt: Attempt | null, signal?: AbortSignal): Promise<Connection> {
    const patience = this.#patience(attempt, signal);
    const who = { client: this.name, server: target.server, attempt: attempt?.number ?? null };
    this.#attempts++;
    if (CONNECTING.listened) CONNECTING.tell(who);
    try {
      const wire = await dial(target, this.#settings, patience);
      const connection = await this.#login(wire, target, patience, attempt);
      this.#logins++;
      return connection;
    } catch (error) {
      this.#failures++;
      if (FAILED.listened) FAILED.tell({ ...who, error: error as Error });
      throw error;
    }
  }

  async #login(wire: Wire, target: Target, patience: Patience, again: Attempt | null): Promise<Connection> {
    const { transport, server, login } = target;
    const { heartbeatIntervalMs, connectionTimeoutMs, sendCapacityBytes, receiveCapacityBytes } =
      this.#settings;
    const kind: Transport = transport === 'auto' ? 'shm' : transport;
    const hello = {
      client: this.name,
      server,
      transport,
      bootId: bootId(),
      clientToServer: sendCapacityBytes[kind],
      serverToClient: receiveCapacityBytes[kind],
      overTcp: { clientToServer: sendCapacityBytes.tcp, serverToClient: receiveCapacityBytes.tcp },
      heartbeatIntervalMs,
      connectionTimeoutMs,
      codec: this.#settings.codec,
      protocol: this.#settings.protocol,
      login,
    };
    let mismatch: { connection: Connection; numbers: SequenceNumbers } | null = null;
    const attempt = new ClientLogin(
      wire,
      hello,
      {
        liveness: this.#settings,
        known: (welcome) => this.#known(sessionKey(welcome)),
        find: (welcome) => this.#sessions.find(welcome.transport, this.name, welcome.server),
        begin: (welcome) =>
          this.#sessions.begin(welcome.transport, this.name, welcome.server, welcome, welcome.sessionId),
        connection: (open, welcome) => {
          const connection = makeConnection(open, welcome.transport, (closed) => this.#forget(closed));
          this.#connections.set(sessionKey(welcome), connection);
          return connection;
        },
        mismatch: (connection, numbers) => {
          mismatch = { connection, numbers };
        },
      },
      target.key,
    );
    try {
      for (;;) {
        const connection = this.#acting(() => attempt.poll());
        if (connection !== null) {
          this.#current = connection;
          this.#polled.add(connection, 0);
          this.#waker.wake();
          this.#reconnection.connected(target, connection, again);
          return connection;
        }
        await patience.pause();
      }
    } catch (error) {
      const refused = mismatch as { connection: Connection; numbers: SequenceNumbers } | null;
      try {
        if (refused !== null) this.#options.onSequenceMismatch?.(refused.connection, refused.numbers);
      } catch (thrown) {
        if (again === null) throw thrown;
        again.thrown.push(thrown);
      } finally {
        this.#acting(() => attempt.abandon());
      }
      if (error instanceof TcpshmError) throw error;
      throw new TcpshmError('ERR_CONNECT', `the login failed: ${(error as Error).message}`, error);
    }
  }

  /** Does what a login does. */
  #acting<T>(act: () => T): T {
    this.#loginActs = true;
    try {
      return act();
    } finally {
      this.#loginActs = false;
    }
  }

  #patience(attempt: Attempt | null, signal: AbortSignal | undefined): Patience {
    return patienceFor(this.name, this.#settings.loginTimeoutMs, () => {
      this.#throwIfClosed();
      if (signal?.aborted) throw new TcpshmError('ERR_CLOSED', 'the attempt to connect was aborted');
      if (attempt?.stopped) throw new TcpshmError('ERR_CLOSED', 'the attempt to connect again was stopped');
    });
  }

  #renew(): void {
    for (const connection of [...this.#connections.values()]) {
      if (!connection.side.renew()) this.#disconnect(connection);
    }
  }

  /** A session that is open here, in the file where it is now. Throws ERR_FENCED, ERR_ALREADY_CONNECTED. */
  #known(key: string): Connection | null {
    const connection = this.#connections.get(key) ?? null;
    if (connection === null || connection.side.ends.follow()) return connection;
    const { fence, open } = connection.side.ends;
    if (fence === null) {
      throw new TcpshmError(
        'ERR_ALREADY_CONNECTED',
        `${open.where} is moving to a fresh file at this moment`,
      );
    }
    connection.close();
    throw fence;
  }

  #disconnect(connection: Connection): void {
    if (!connection.side.attached) return;
    // That it was made comes before that it has ended. The handler may close it.
    this.#reconnection.report();
    if (!connection.side.attached) return;
    const { onMessage } = this.#options;
    connection.side.disconnect(
      {
        ...(onMessage && { onMessage }),
        onDisconnect: (ended, reason, error) => {
          this.#reconnection.ended(reason);
          this.#options.onDisconnect?.(ended, reason, error);
        },
      },
      () => this.#polled.remove(connection),
    );
  }

  #forget(connection: Connection): void {
    for (const [key, known] of this.#connections) {
      if (known !== connection) continue;
      this.#connections.delete(key);
      this.#gone = sumOf(this.#gone, connection.side.tally);
    }
    if (this.#current !== connection) return;
    this.#polled.remove(connection);
    this.#current = null;
    if (!this.#loginActs) this.#reconnection.stop();
  }

  #alreadyConnected(): TcpshmError {
    return new TcpshmError(
      'ERR_ALREADY_CONNECTED',
      `the client '${this.name}' is connected or connecting already`,
    );
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the client '${this.name}' is closed`);
  }
}

const CALLBACKS = ['onMessage', 'onDisconnect', 'onSequenceMismatch', 'onReconnect'] as const;

function sessionKey(welcome: Welcome): string {
  return `${welcome.server}@${welcome.transport}`;
}
