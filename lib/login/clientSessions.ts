import { type Connection, makeConnection } from '../connection/connection.js';
import { NO_TALLY, sumOf, type Tally, totalOf } from '../connection/tally.js';
import { TcpshmError } from '../errors.js';
import type { PeerSettings } from '../options.js';
import type { Welcome } from '../session/loginMessages.js';
import type { OpenSegment } from '../store/openSegment.js';
import { Sessions } from './sessions.js';

/** Every session that is open in a client, by server and transport: each stays open over disconnects. */
export class ClientSessions {
  readonly #client: string;
  readonly #sessions: Sessions;
  readonly #closed: (connection: Connection) => void;
  readonly #connections = new Map<string, Connection>();
  /** Of connections that it had. */
  #gone = NO_TALLY;

  /** `closed` is called when a connection was closed, and is forgotten. */
  constructor(client: string, settings: PeerSettings, closed: (connection: Connection) => void) {
    this.#client = client;
    this.#sessions = new Sessions(settings, 'client');
    this.#closed = closed;
  }

  get all(): readonly Connection[] {
    return [...this.#connections.values()];
  }

  get size(): number {
    return this.#connections.size;
  }

  /** What has gone through all that it has, or had. */
  get tally(): Tally {
    return totalOf(this.#gone, this.#connections.values());
  }

  /** One that is open here, in the file where it is now. Throws ERR_FENCED, ERR_ALREADY_CONNECTED. */
  known(welcome: Welcome): Connection | null {
    const connection = this.#connections.get(sessionKey(welcome)) ?? null;
    if (connection === null || connection.side.ends.follow()) return connection;
    const { fence, open } = connection.side.ends;
    if (fence === null) {
      throw new TcpshmError(
        'ERR_ALREADY_CONNECTED',
        `${open.where} is moving to a fresh file at this moment: connect again`,
      );
    }
    connection.close();
    throw fence;
  }

  /** That of a journal, if there is one. */
  find({ transport, server }: Welcome): OpenSegment | null {
    return this.#sessions.find(transport, this.#client, server);
  }

  begin(welcome: Welcome): OpenSegment {
    const { transport, server, sessionId } = welcome;
    return this.#sessions.begin(transport, this.#client, server, welcome, sessionId);
  }

  /** Makes the connection of one. */
  add(open: OpenSegment, welcome: Welcome): Connection {
    const connection = makeConnection(open, welcome.transport, (closed) => this.#forget(closed));
    this.#connections.set(sessionKey(welcome), connection);
    return connection;
  }

  /** Moves what writers have pushed where there is no connection: the others do that with their messages. */
  drainUnattached(): void {
    for (const { side } of this.#connections.values()) if (!side.attached) side.drainWriters();
  }

  /** Shows that the sessions have an owner. `lost` is called for those that are another one's by now. */
  renew(lost: (connection: Connection) => void): void {
    for (const connection of this.all) if (!connection.side.renew()) lost(connection);
  }

  close(remove: boolean): void {
    for (const connection of this.all) {
      connection.side.abandonLogin();
      connection.close({ remove });
    }
    this.#sessions.close();
  }

  #forget(connection: Connection): void {
    for (const [key, known] of this.#connections) {
      if (known !== connection) continue;
      this.#connections.delete(key);
      this.#gone = sumOf(this.#gone, connection.side.tally);
    }
    this.#closed(connection);
  }
}

function sessionKey({ server, transport }: Welcome): string {
  return `${server}@${transport}`;
}
