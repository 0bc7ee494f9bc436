import type { Connection, ConnectionHandlers } from './connection/connection.js';
import type { Tally } from './connection/tally.js';
import { TcpshmError } from './errors.js';
import { ClientSessions } from './login/clientSessions.js';
import { Connector } from './login/connector.js';
import { type ConnectOptions, checkTarget, type Target } from './login/dial.js';
import { type Attempt, type ReconnectAttempt, Reconnection } from './login/reconnection.js';
import { checkOptions, type PeerOptions, type PeerSettings, peerSettings } from './options.js';
import { drive, type Pollable, type Run, type RunOptions } from './poll/drive.js';
import { PolledSet } from './poll/polledSet.js';
import { Service } from './poll/service.js';
import { Waker } from './poll/waker.js';
import { type BackoffOptions, backoffSettings } from './session/backoff.js';
import { checkName } from './session/names.js';
import type { SequenceNumbers } from './session/state.js';
import { Renewal } from './session/tenure.js';

/**
 * Who a client is and what it tells of. Checked when it is made, before anything is opened: ERR_OPTION, ERR_NAME,
 * ERR_CAPACITY. Handlers are called by its polls, in its thread; what they throw, a poll throws.
 */
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

/**
 * Connects to a server, one at a time, and has a {@link Connection} with it. Works while it is polled, as a
 * {@link Server} does. Belongs to one thread.
 */
export class Client implements Pollable {
  readonly name: string;
  readonly #options: ClientOptions;
  readonly #settings: PeerSettings;
  readonly #sessions: ClientSessions;
  readonly #connector: Connector;
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

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ClientOptions) {
    checkOptions(options, CALLBACKS);
    this.name = checkName(options.name, 'name');
    this.#options = options;
    this.#settings = peerSettings(options);
    this.#reconnection = new Reconnection(
      backoffSettings(options.reconnect),
      (target, attempt) => this.#connector.open(target, attempt),
      (attempt) => options.onReconnect?.(attempt),
    );
    this.#sessions = new ClientSessions(this.name, this.#settings, (connection) => this.#forget(connection));
    this.#connector = new Connector(this.name, this.#settings, this.#sessions, {
      throwIfClosed: () => this.#throwIfClosed(),
      connected: (connection, target, attempt) => this.#connected(connection, target, attempt),
      onSequenceMismatch: (connection, numbers) => options.onSequenceMismatch?.(connection, numbers),
    });
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

  /** True from the call of `close` on. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The connection of the last login, if there was one and it was not closed. */
  get connection(): Connection | null {
    return this.#current;
  }

  /** All sessions that are open here, connected or not: one for each server and transport that it was connected to. */
  get connections(): readonly Connection[] {
    return this.#sessions.all;
  }

  /**
   * What has gone through its connections, and what the client has done. Takes some microseconds. May be called at any
   * time, also after `close`. Never throws.
   */
  stats(): ClientStats {
    return Object.freeze({
      name: this.name,
      connected: this.#current?.state === 'connected',
      sessions: this.#sessions.size,
      ...this.#connector.counts,
      sleeps: this.#waker.sleeps,
      wakeups: this.#waker.wakeups,
      total: this.#sessions.tally,
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
      const connection = await this.#connector.open(target, null, signal);
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
    this.#sessions.drainUnattached();
    if (this.#renewal.due(now)) this.#sessions.renew((connection) => this.#disconnect(connection));
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
    this.#sessions.close(remove);
    this.#waker.close();
    await trying;
  }

  #connected(connection: Connection, target: Target, attempt: Attempt | null): void {
    this.#current = connection;
    this.#polled.add(connection, 0);
    this.#waker.wake();
    this.#reconnection.connected(target, connection, attempt);
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
    if (this.#current !== connection) return;
    this.#polled.remove(connection);
    this.#current = null;
    if (!this.#connector.acts) this.#reconnection.stop();
  }

  #alreadyConnected(): TcpshmError {
    return new TcpshmError(
      'ERR_ALREADY_CONNECTED',
      `the client '${this.name}' is connected or connecting already: it has one connection at a time`,
    );
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the client '${this.name}' is closed`);
  }
}

const CALLBACKS = ['onMessage', 'onDisconnect', 'onSequenceMismatch', 'onReconnect'] as const;
