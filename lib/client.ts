import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Connection, type ConnectionHandlers, MESSAGES_PER_POLL, makeConnection } from './connection.js';
import { TcpshmError } from './errors.js';
import { ClientLogin } from './login/clientLogin.js';
import { bootId, Sessions } from './login/sessions.js';
import { native } from './memory/native.js';
import {
  checkOptions,
  choice,
  loginBytes,
  type PeerOptions,
  type PeerSettings,
  peerSettings,
} from './options.js';
import { drive, type Pollable, type RunOptions } from './poll/drive.js';
import type { Transport, WantedTransport, Welcome } from './session/loginMessages.js';
import { checkName } from './session/names.js';
import type { SequenceNumbers } from './session/state.js';
import { checkAddress } from './wire/address.js';
import { connectNative } from './wire/nativeWire.js';
import { connectNet } from './wire/netWire.js';
import { connectThreads } from './wire/threadWire.js';
import type { Patience, Wire } from './wire/wire.js';

export interface ClientOptions extends PeerOptions, ConnectionHandlers {
  /** Who this client is. With the server's name it identifies the session. */
  readonly name: string;
  /** What the server has of the session and what this side has cannot both be true. It was refused, nothing changed. */
  onSequenceMismatch?(connection: Connection, numbers: SequenceNumbers): void;
}

/** What to connect to, and how. */
export type ConnectOptions = {
  /** The only server that will do: its name. Any, if left out; needed for 'inproc'. */
  readonly server?: string;
  /** User data for the server's `acceptLogin`, at most 4096 bytes. */
  readonly login?: Uint8Array;
} & (
  | { readonly host?: string; readonly port: number; readonly transport?: 'auto' | 'shm' | 'tcp' }
  | { readonly path: string; readonly transport?: 'auto' | 'shm' | 'tcp' }
  | { readonly transport: 'inproc'; readonly server: string }
);

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
  #connecting = false;
  #closed = false;

  /** Throws ERR_NAME, ERR_OPTION, ERR_CAPACITY. Opens nothing yet. */
  constructor(options: ClientOptions) {
    checkOptions(options, CALLBACKS);
    this.name = checkName(options.name, 'name');
    this.#options = options;
    this.#settings = peerSettings(options);
    this.#sessions = new Sessions(this.#settings, 'client');
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The connection of the last login, if there was one and it was not closed. */
  get connection(): Connection | null {
    return this.#current;
  }

  /**
   * Logs in: begins the session with the server, or resumes it. The connection is the same object as before, if that
   * was not closed. The event loop must turn meanwhile; the time that it may take is real time.
   *
   * Rejects with ERR_CONNECT (nobody listens, host unknown), ERR_LOGIN_REJECTED, ERR_LOGIN_TIMEOUT,
   * ERR_PROTOCOL_VERSION, ERR_ALREADY_CONNECTED, ERR_SEQUENCE_MISMATCH, ERR_SEGMENT, ERR_FILE, ERR_NO_SPACE,
   * ERR_CAPACITY, ERR_OPTION, ERR_NAME, ERR_NATIVE_MISSING, ERR_CLOSED; nothing is left behind then.
   */
  async connect(options: ConnectOptions): Promise<Connection> {
    this.#throwIfClosed();
    checkOptions(options);
    const transport = choice(options.transport, 'transport', ['auto', 'shm', 'tcp', 'inproc']) ?? 'auto';
    const server = options.server === undefined ? '' : checkName(options.server, 'server');
    const login = loginBytes(options.login, 'login');
    if (transport === 'shm') native();
    if (this.#connecting || this.#current?.state === 'connected') {
      throw new TcpshmError(
        'ERR_ALREADY_CONNECTED',
        `the client '${this.name}' is connected or connecting already`,
      );
    }
    this.#connecting = true;
    try {
      // The last link may have ended without anyone having looked since.
      if (this.#current?.attached) this.#disconnect(this.#current);
      const patience = this.#patience();
      const wire = await this.#dial(options, transport, server, patience);
      const connection = await this.#login(wire, transport, server, login, patience);
      this.#throwIfClosed();
      this.#current = connection;
      return connection;
    } finally {
      this.#connecting = false;
    }
  }

  /** Does all there is to do, once. `now` in milliseconds, of a clock that does not go backwards. */
  poll(now: number = performance.now()): void {
    this.pollControl(now);
    if (!this.#closed) this.pollMessages(now);
  }

  /** Keeps a connection over shared memory alive, and notices its end. */
  pollControl(now: number = performance.now()): void {
    this.#throwIfClosed();
    const connection = this.#current;
    if (connection === null || connection.transport === 'tcp') return;
    if (!connection.pollLink(now)) this.#disconnect(connection);
  }

  /** Serves a connection over tcp: receives, hands out messages, sends. */
  pollTcp(now: number = performance.now()): void {
    this.#throwIfClosed();
    const connection = this.#current;
    if (connection === null || connection.transport !== 'tcp') return;
    const alive = connection.pollLink(now);
    this.#deliver(connection);
    if (!alive) this.#disconnect(connection);
  }

  /** Serves a connection over shared memory: hands out messages. Needs no time and no system call. */
  pollShm(): void {
    this.#throwIfClosed();
    const connection = this.#current;
    if (connection !== null && connection.transport !== 'tcp') this.#deliver(connection);
  }

  /** Messages of whatever transport: what `run` calls in its inner loop. */
  pollMessages(now: number): void {
    this.pollShm();
    // A handler may have closed the client.
    if (!this.#closed) this.pollTcp(now);
  }

  /** Polls until the signal aborts or the client is closed. Rejects with what a handler throws. */
  async run(options?: RunOptions): Promise<void> {
    this.#throwIfClosed();
    return drive(this, options);
  }

  /**
   * Ends the connection, telling the server. The session stays for the next login, or goes with `removeSessions`.
   * Twice is harmless.
   */
  async close(options: { readonly removeSessions?: boolean } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const connection of [...this.#connections.values()]) {
      connection.abandonLogin();
      connection.close({ remove: options.removeSessions ?? false });
    }
    this.#sessions.close();
  }

  #dial(
    options: ConnectOptions,
    transport: WantedTransport,
    server: string,
    patience: Patience,
  ): Promise<Wire> | Wire {
    if (transport === 'inproc') {
      if (server === '')
        throw new TcpshmError('ERR_OPTION', "transport 'inproc' needs the name of the server");
      return connectThreads(server);
    }
    const address =
      'path' in options
        ? { path: options.path }
        : 'port' in options
          ? { host: options.host ?? '127.0.0.1', port: options.port }
          : null;
    if (address === null) {
      throw new TcpshmError(
        'ERR_OPTION',
        `a host and port or a path to connect to was expected, got ${Object.keys(options).join(', ') || 'neither'}`,
      );
    }
    checkAddress(address);
    return this.#settings.wire === 'native'
      ? connectNative(address, this.#settings, patience)
      : connectNet(address, this.#settings, patience);
  }

  async #login(
    wire: Wire,
    transport: WantedTransport,
    server: string,
    login: Uint8Array,
    patience: Patience,
  ): Promise<Connection> {
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
      login,
    };
    let mismatch: { connection: Connection; numbers: SequenceNumbers } | null = null;
    const attempt = new ClientLogin(wire, hello, {
      liveness: this.#settings,
      known: (welcome) => this.#connections.get(sessionKey(welcome)) ?? null,
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
    });
    try {
      for (;;) {
        const connection = attempt.poll();
        if (connection !== null) return connection;
        await patience.pause();
      }
    } catch (error) {
      const refused = mismatch as { connection: Connection; numbers: SequenceNumbers } | null;
      try {
        if (refused !== null) this.#options.onSequenceMismatch?.(refused.connection, refused.numbers);
      } finally {
        attempt.abandon();
      }
      if (error instanceof TcpshmError) throw error;
      throw new TcpshmError('ERR_CONNECT', `the login failed: ${(error as Error).message}`, error);
    }
  }

  /** Waits in small steps, as long as a login may take. */
  #patience(): Patience {
    const { loginTimeoutMs } = this.#settings;
    const start = performance.now();
    let pauses = 0;
    return {
      pause: async () => {
        this.#throwIfClosed();
        if (performance.now() - start >= loginTimeoutMs) {
          throw new TcpshmError(
            'ERR_LOGIN_TIMEOUT',
            `the login of '${this.name}' was not complete after ${loginTimeoutMs} ms:` +
              ' is the server there, and is it being polled?',
          );
        }
        // At first in every turn of the event loop, then without burning the processor.
        await (pauses++ < 100 ? nextTurn() : sleep(1));
        this.#throwIfClosed();
      },
    };
  }

  #deliver(connection: Connection): void {
    const { onMessage } = this.#options;
    if (onMessage === undefined || connection.state === 'closed') return;
    try {
      connection.deliver(onMessage, MESSAGES_PER_POLL);
    } catch (error) {
      // What the peer wrote into the ring is its fault; what a handler throws is the caller's to see.
      if (connection.violation === null || connection.violation !== error) throw error;
      this.#disconnect(connection);
    }
  }

  #disconnect(connection: Connection): void {
    if (connection.attached) connection.disconnect(this.#options, () => {});
  }

  #forget(connection: Connection): void {
    for (const [key, known] of this.#connections) if (known === connection) this.#connections.delete(key);
    if (this.#current === connection) this.#current = null;
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', `the client '${this.name}' is closed`);
  }
}

const CALLBACKS = ['onMessage', 'onDisconnect', 'onSequenceMismatch'] as const;

function sessionKey(welcome: Welcome): string {
  return `${welcome.server}@${welcome.transport}`;
}
