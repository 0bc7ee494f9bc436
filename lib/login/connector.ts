import type { Connection } from '../connection/connection.js';
import { Topic } from '../diagnostics/channels.js';
import { TcpshmError } from '../errors.js';
import type { PeerSettings } from '../options.js';
import type { Hello, Transport } from '../session/loginMessages.js';
import type { SequenceNumbers } from '../session/state.js';
import type { Patience, Wire } from '../wire/wire.js';
import { ClientLogin } from './clientLogin.js';
import type { ClientSessions } from './clientSessions.js';
import { dial, type Target } from './dial.js';
import { patienceFor } from './patience.js';
import type { Attempt } from './reconnection.js';
import { bootId } from './sessions.js';

const CONNECTING = new Topic('tcpshm:connecting');
const FAILED = new Topic('tcpshm:connect-failed');

/** Whose connections they are. */
export interface ConnectorHost {
  /** Throws once it is closed, which ends an attempt. */
  throwIfClosed(): void;
  /** A login is complete, and its link attached. */
  connected(connection: Connection, target: Target, attempt: Attempt | null): void;
  onSequenceMismatch(connection: Connection, numbers: SequenceNumbers): void;
}

/** How a client gets its connections: connects to a server, logs in, and counts the attempts. */
export class Connector {
  readonly #client: string;
  readonly #settings: PeerSettings;
  readonly #sessions: ClientSessions;
  readonly #host: ConnectorHost;
  #attempts = 0;
  #logins = 0;
  #failures = 0;
  #acts = false;

  constructor(client: string, settings: PeerSettings, sessions: ClientSessions, host: ConnectorHost) {
    this.#client = client;
    this.#settings = settings;
    this.#sessions = sessions;
    this.#host = host;
  }

  /** Attempts that have begun; that were successful; that have failed. */
  get counts(): { readonly attempts: number; readonly logins: number; readonly failures: number } {
    return { attempts: this.#attempts, logins: this.#logins, failures: this.#failures };
  }

  /** Whether it is a login that closes a connection now, to replace it, and not the user. */
  get acts(): boolean {
    return this.#acts;
  }

  /** Logs in. Stops with an error as soon as the attempt that this is was stopped. */
  async open(target: Target, attempt: Attempt | null, signal?: AbortSignal): Promise<Connection> {
    const patience = this.#patience(attempt, signal);
    const who = { client: this.#client, server: target.server, attempt: attempt?.number ?? null };
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
    const sessions = this.#sessions;
    let mismatch: { connection: Connection; numbers: SequenceNumbers } | null = null;
    const guest = {
      liveness: this.#settings,
      known: sessions.known.bind(sessions),
      find: sessions.find.bind(sessions),
      begin: sessions.begin.bind(sessions),
      connection: sessions.add.bind(sessions),
      mismatch: (connection: Connection, numbers: SequenceNumbers) => {
        mismatch = { connection, numbers };
      },
    };
    const login = new ClientLogin(wire, this.#hello(target), guest, target.key);
    try {
      for (;;) {
        const connection = this.#acting(() => login.poll());
        if (connection !== null) {
          this.#host.connected(connection, target, again);
          return connection;
        }
        await patience.pause();
      }
    } catch (error) {
      const refused = mismatch as { connection: Connection; numbers: SequenceNumbers } | null;
      try {
        if (refused !== null) this.#host.onSequenceMismatch(refused.connection, refused.numbers);
      } catch (thrown) {
        if (again === null) throw thrown;
        again.thrown.push(thrown);
      } finally {
        this.#acting(() => login.abandon());
      }
      if (error instanceof TcpshmError) throw error;
      throw new TcpshmError('ERR_CONNECT', `the login failed: ${(error as Error).message}`, error);
    }
  }

  #hello({ transport, server, login }: Target): Hello {
    const { heartbeatIntervalMs, connectionTimeoutMs, codec, protocol } = this.#settings;
    const { sendCapacityBytes, receiveCapacityBytes } = this.#settings;
    const kind: Transport = transport === 'auto' ? 'shm' : transport;
    return {
      client: this.#client,
      server,
      transport,
      bootId: bootId(),
      clientToServer: sendCapacityBytes[kind],
      serverToClient: receiveCapacityBytes[kind],
      overTcp: { clientToServer: sendCapacityBytes.tcp, serverToClient: receiveCapacityBytes.tcp },
      heartbeatIntervalMs,
      connectionTimeoutMs,
      codec,
      protocol,
      login,
    };
  }

  /** Does what a login does. */
  #acting<T>(act: () => T): T {
    this.#acts = true;
    try {
      return act();
    } finally {
      this.#acts = false;
    }
  }

  #patience(attempt: Attempt | null, signal: AbortSignal | undefined): Patience {
    return patienceFor(this.#client, this.#settings.loginTimeoutMs, () => {
      this.#host.throwIfClosed();
      if (signal?.aborted) throw new TcpshmError('ERR_CLOSED', 'the attempt to connect was aborted');
      if (attempt?.stopped) throw new TcpshmError('ERR_CLOSED', 'the attempt to connect again was stopped');
    });
  }
}
