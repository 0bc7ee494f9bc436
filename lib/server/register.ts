import { type Connection, type ConnectionHandlers, makeConnection } from '../connection/connection.js';
import { NO_TALLY, sumOf, type Tally, totalOf } from '../connection/tally.js';
import { TcpshmError } from '../errors.js';
import { checkCapacities, type Sessions } from '../login/sessions.js';
import type { Polled } from '../poll/polled.js';
import type { PolledSet } from '../poll/polledSet.js';
import type { Agreement } from '../session/agreement.js';
import { TRANSPORTS, type Transport } from '../session/loginMessages.js';
import { LowestFree } from './numbers.js';
import type { Tidings } from './tidings.js';

/** Of connections whose client is not there, so many are looked at by a poll. */
const UNATTACHED_AT_ONCE = 16;

/** Every session that is open in the server's thread, by client and transport, connected or not. */
export class Register {
  readonly #server: string;
  readonly #handlers: ConnectionHandlers;
  readonly #sessions: Sessions;
  readonly #polled: PolledSet;
  readonly #tidings: Tidings;
  readonly #connections = new Map<string, Connection>();
  /** Of connections that it had. */
  #gone = NO_TALLY;
  readonly #numbers = new LowestFree();
  #unattached: IterableIterator<Connection> | null = null;

  constructor(
    server: string,
    handlers: ConnectionHandlers,
    sessions: Sessions,
    polled: PolledSet,
    tidings: Tidings,
  ) {
    this.#server = server;
    this.#handlers = handlers;
    this.#sessions = sessions;
    this.#polled = polled;
    this.#tidings = tidings;
  }

  get all(): readonly Connection[] {
    return [...this.#connections.values()];
  }

  /** What has gone through all that it has, or had. */
  get tally(): Tally {
    return totalOf(this.#gone, this.#connections.values());
  }

  /** Those that the client has too, as far as is certain. */
  get kept(): readonly Connection[] {
    return this.all.filter(({ side }) => side.peer.kept);
  }

  /** Whether a session of a client is open here, over whatever transport. */
  has(client: string): boolean {
    return TRANSPORTS.some((transport) => this.#connections.has(sessionKey(client, transport)));
  }

  /** The connections of a client that are polled, over whatever transport. */
  polledOf(client: string): readonly Polled[] {
    return TRANSPORTS.flatMap((transport) => {
      const connection = this.#connections.get(sessionKey(client, transport));
      return (connection && this.#polled.find(connection)) ?? [];
    });
  }

  /** A client is logged in: it has a number from here on. */
  admit(connection: Connection, group: number): void {
    connection.number = this.#numbers.take();
    this.#polled.add(connection, group);
  }

  /** Ends what is left of connections of a client that logs in again. Throws ERR_ALREADY_CONNECTED while one is live. */
  vacate(client: string, now: number): void {
    for (const { connection } of this.polledOf(client)) {
      // The old link may have ended without anyone having looked since.
      if (connection.side.pollLink(now)) {
        throw alreadyConnected(
          `the client '${client}' is connected to '${this.#server}' already, over ${connection.transport}`,
        );
      }
      this.#leave(connection);
    }
  }

  /** The session of a client, open already, found or begun. Throws what opening throws, and ERR_ALREADY_CONNECTED. */
  session(client: string, agreement: Agreement): Connection {
    const { transport } = agreement;
    const key = sessionKey(client, transport);
    const known = this.#known(key);
    // If the client has removed the session, or somebody the file, no client could find it any more.
    if (known !== undefined && !(transport === 'shm' && known.side.ends.open.lost)) {
      checkCapacities(known.side.ends.open, agreement);
      return known;
    }
    known?.close();
    const open =
      this.#sessions.find(transport, client, this.#server) ??
      this.#sessions.begin(transport, client, this.#server, agreement);
    try {
      checkCapacities(open, agreement);
    } catch (error) {
      open.close();
      throw error;
    }
    const connection = makeConnection(open, transport, (closed) => this.#forget(closed));
    this.#connections.set(key, connection);
    return connection;
  }

  /** Shows that the sessions have an owner, and ends those that are another one's by now. */
  renew(): void {
    for (const connection of this.kept) if (!connection.side.renew()) this.#end(connection, this.#handlers);
  }

  /** The link of a connection has ended. */
  disconnect(connection: Connection): void {
    if (this.#polled.find(connection) === undefined || !connection.side.attached) return;
    this.#end(connection, this.#handlers);
  }

  /** Moves what writers have pushed where nobody is connected, for some of those at a time. */
  drainUnattached(): void {
    // All are connected: nothing is allocated in polls that find nothing.
    if (this.#connections.size === this.#polled.size) return;
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

  #end(connection: Connection, handlers: ConnectionHandlers): void {
    let left = false;
    try {
      connection.side.disconnect(handlers, () => {
        left = true;
        this.#polled.remove(connection);
      });
    } finally {
      // If a handler threw before, it comes to its end later.
      if (left) this.#giveBack(connection);
    }
  }

  #giveBack(connection: Connection): void {
    if (connection.number === null) return;
    this.#numbers.giveBack(connection.number);
    connection.number = null;
  }

  /** A session that is open here, in the file where it is now. One that is another process's by now is given up. */
  #known(key: string): Connection | undefined {
    const connection = this.#connections.get(key);
    if (connection === undefined) return undefined;
    const { ends } = connection.side;
    if (ends.follow()) return connection;
    if (ends.fence === null) throw alreadyConnected(`${ends.open.where} is moving to a fresh file`);
    this.#end(connection, {
      onDisconnect: (...ended) => this.#tidings.add(() => this.#handlers.onDisconnect?.(...ended)),
    });
    return undefined;
  }

  #leave(connection: Connection): void {
    try {
      this.disconnect(connection);
    } catch (error) {
      this.#tidings.addThrown(error);
      if (!connection.side.attached) return;
      throw alreadyConnected(
        `the last connection of '${connection.remoteName}' to '${this.#server}' has not come to its end yet`,
      );
    }
  }

  #forget(connection: Connection): void {
    if (this.#connections.delete(sessionKey(connection.remoteName, connection.transport))) {
      this.#gone = sumOf(this.#gone, connection.side.tally);
    }
    this.#polled.remove(connection);
    this.#giveBack(connection);
  }
}

export function alreadyConnected(reason: string): TcpshmError {
  return new TcpshmError('ERR_ALREADY_CONNECTED', reason);
}

export function sessionKey(client: string, transport: Transport): string {
  return `${client}@${transport}`;
}
