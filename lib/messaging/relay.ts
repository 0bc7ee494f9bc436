import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { otherRole } from '../session/names.js';
import type { Audience } from './broadcast.js';
import { RelayLeg } from './relayLeg.js';

/**
 * Forwards between two connections, without a look at what the messages are: two clients of a server that name each other,
 * or a client and a server behind this one. To both it is as if they had one connection, so messengers, channels and
 * streams work over it unchanged.
 *
 *     const relay = new Relay(server);
 *     onConnection(connection) { relay.join(connection, 'back'); }
 *
 * - **Memory.** A message is taken when the other queue has room for it, else it stays where it is: a reader that is slow or
 *   away holds the other side back, by its queue. Nothing waits here.
 * - **Once.** Each of the two sessions is for the other one alone, from its beginning, and nothing else is sent over either.
 *   So the numbers of both tell, also after this process has died, whether a message was forwarded: none is lost or repeated.
 * - **Ends.** A link that breaks is waited for. A side that closes is followed by the other one, once what it had sent
 *   before is on its way; it is told 'closed by peer'.
 */
export class Relay {
  readonly #audience: Audience;
  readonly #peers = new Map<Connection, Connection>();

  /** Of the clients of this server. */
  constructor(audience: Audience) {
    this.#audience = audience;
  }

  /** Whom a connection is joined to. */
  peerOf(connection: Connection): Connection | null {
    return this.#peers.get(connection) ?? null;
  }

  /**
   * Joins a connection to the client of this name, letter by letter. Again, after a login, does nothing. Throws
   * ERR_NOT_CONNECTED when no client of that name is connected, and what `link` throws.
   */
  join(connection: Connection, remoteName: string): void {
    const peer = this.#peers.get(connection);
    if (peer?.remoteName === remoteName) return;
    const found = this.#audience.connections.find(
      (one) => one.remoteName === remoteName && one.state === 'connected' && one !== connection,
    );
    if (found === undefined) {
      throw new TcpshmError('ERR_NOT_CONNECTED', `no client of the name '${remoteName}' is connected`);
    }
    this.link(connection, found);
  }

  /**
   * Joins two connections of this thread. Throws ERR_BUSY when one of them is joined or read already, ERR_CAPACITY when
   * what one may send can be too large for the other one, ERR_SEQUENCE_MISMATCH when something else was sent over one of
   * the sessions, ERR_OPTION, ERR_CLOSED.
   */
  link(one: Connection, other: Connection): void {
    if (one === other) throw new TcpshmError('ERR_OPTION', `'${one.remoteName}' cannot be joined to itself`);
    one.side.throwIfRead();
    other.side.throwIfRead();
    checkRoom(one, other);
    checkRoom(other, one);
    const repairs = [behind(one, other), behind(other, one)];
    // What was forwarded when this process died, and not taken away yet.
    for (const from of repairs) from?.pop();
    this.#peers.set(one, other);
    this.#peers.set(other, one);
    const over = (): void => {
      this.#peers.delete(one);
      this.#peers.delete(other);
    };
    new RelayLeg(one, other, over);
    new RelayLeg(other, one, over);
  }
}

function checkRoom(from: Connection, to: Connection): void {
  const { segment, role } = from.side.ends.open;
  const there = to.side.ends.open;
  const sends = segment.outgoing(otherRole(role)).capacity;
  const takes = there.segment.outgoing(there.role).capacity;
  if (sends <= takes) return;
  throw new TcpshmError(
    'ERR_CAPACITY',
    `messages of '${from.remoteName}', whose queue has ${sends} bytes, may be too large for that to` +
      ` '${to.remoteName}', which has ${takes}`,
  );
}

/** The connection whose oldest message is in the other's queue already; null when all is as it must be. */
function behind(from: Connection, to: Connection): Connection | null {
  const ahead = to.pushed - from.popped;
  if (ahead === 0) return null;
  if (ahead === 1 && from.front() !== null) return from;
  throw new TcpshmError(
    'ERR_SEQUENCE_MISMATCH',
    `the sessions of '${from.remoteName}' and '${to.remoteName}' are not each other's alone: ${from.popped} messages` +
      ` were taken from the one, ${to.pushed} sent to the other`,
  );
}
