import { Client } from '../client.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import type { ConnectOptions } from '../login/dial.js';
import type { RunOptions } from '../poll/drive.js';
import type { Caller, Started } from './call.js';
import type { DestinationOptions } from './destinationOptions.js';
import { messenger } from './messenger.js';

/** What a member tells of its connection. */
export interface MemberHost {
  /** Its link has ended; `final` when its session cannot go on. */
  ended(final: boolean, error: TcpshmError | null): void;
}

/** A connection of a destination: a client of its own, with one session, and what sends requests over it. */
export class Member {
  readonly name: string;
  readonly #client: Client;
  readonly #options: DestinationOptions;
  readonly #address: ConnectOptions;
  #connection: Connection | null = null;
  #caller: Caller | null = null;

  constructor(name: string, address: ConnectOptions, options: DestinationOptions, host: MemberHost) {
    this.name = name;
    this.#options = options;
    this.#address = address;
    this.#client = new Client({
      ...peerOptions(options),
      name,
      onDisconnect: (_, reason, error) => {
        host.ended(reason === 'taken over' || reason === 'protocol violated', error);
      },
    });
  }

  /** Throws ERR_CLOSED before it is connected. */
  get caller(): Caller {
    if (this.#caller !== null) return this.#caller;
    throw new TcpshmError('ERR_CLOSED', `the connection '${this.name}' is not there`);
  }

  get connection(): Connection | null {
    return this.#connection;
  }

  /** Whether its session has come to its end. */
  get over(): boolean {
    return this.#connection?.state === 'closed';
  }

  /**
   * Logs in for the first time, or again to the same server and session. Rejects with what `Client.connect` rejects with,
   * and ERR_SEQUENCE_MISMATCH when it would be another session.
   */
  async connect(): Promise<Connection> {
    const before = this.#connection;
    const { login } = this.#options;
    const to = { ...this.#address, ...(login && { login }) };
    if (before === null) {
      const connection = await this.#client.connect(to);
      this.#connection = connection;
      this.#caller = this.#options.caller?.(connection) ?? messenger(connection);
      return connection;
    }
    const { transport, remoteName: server } = before;
    const again = await this.#client.connect({ ...to, server, transport } as ConnectOptions);
    if (again === before) return again;
    // Somebody has closed the other one, whose requests have been told of: nothing of them is to be run.
    again.close({ remove: true });
    throw new TcpshmError(
      'ERR_SEQUENCE_MISMATCH',
      `the session of '${this.name}' with '${server}' is another one`,
    );
  }

  start(...start: Parameters<Caller['start']>): Started {
    return this.caller.start(...start);
  }

  poll(now: number): void {
    if (!this.#client.closed) this.#client.poll(now);
  }

  /** Polls by itself until it is closed or the signal aborts. */
  async run(options: RunOptions): Promise<void> {
    if (!this.#client.closed) await this.#client.run(options);
  }

  /** Ends the connection, with `remove` its session too. Twice is harmless. */
  async close(remove: boolean): Promise<void> {
    this.#caller?.close();
    if (this.#connection !== null && this.#connection.state !== 'closed') this.#connection.close({ remove });
    await this.#client.close();
  }
}

/** Of all the options those that a client knows. */
function peerOptions(options: DestinationOptions): Omit<DestinationOptions, 'name' | 'caller' | 'onEvent'> {
  const { onEvent: _onEvent, caller: _caller, ...rest } = options;
  return rest;
}
