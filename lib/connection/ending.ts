import { Topic } from '../diagnostics/channels.js';
import type { Closing } from '../diagnostics/events.js';
import { TcpshmError } from '../errors.js';
import type { Transport } from '../session/loginMessages.js';
import type { Outlet } from '../writer/writers.js';
import type { Copies } from './copies.js';
import type { Ends } from './ends.js';
import { type Handover, handOver } from './handover.js';
import type { Inlet } from './inlet.js';
import type { Measures } from './measures.js';
import type { Peer } from './peer.js';

const CLOSED = new Topic('tcpshm:closed');

/** What of a side comes to its end. */
export interface EndingParts {
  readonly ends: Ends;
  readonly peer: Peer;
  readonly delivery: { close(error: TcpshmError): void };
  readonly inlet: Inlet;
  readonly copies: Copies | null;
  readonly measures: Measures;
}

/** How a side comes to its end, which it does once: closed, handed to another thread, or lost to another process. */
export class Ending<C extends Outlet & { readonly transport: Transport }> {
  readonly #connection: C;
  readonly #parts: EndingParts;
  readonly #onClosed: (connection: C) => void;

  constructor(connection: C, parts: EndingParts, onClosed: (connection: C) => void) {
    this.#connection = connection;
    this.#parts = parts;
    this.#onClosed = onClosed;
  }

  /** @see Connection.close */
  close(remove: boolean): void {
    const { ends, inlet } = this.#parts;
    if (ends.closed) return;
    const there = ends.follow();
    if (there && !remove) inlet.closeInOrder();
    this.end(there ? 'close' : 'abandon', remove ? 'removed' : 'closed', () => {
      if (remove) ends.open.remove();
      else ends.open.close();
    });
  }

  /** The session is another process's: not a word to the peer. */
  shut(): void {
    this.end('abandon', 'taken over', () => this.#parts.ends.open.close());
  }

  /**
   * Gives session and link up for another thread, where a connection goes on as if it were this one. Null where that
   * cannot be now: without a link, while a message is allocated or a batch is open, and while the session moves to a
   * fresh file or is another process's (which the next poll tells). Throws ERR_FILE when a journal with durability 'disk'
   * cannot be written, ERR_OPTION when the session is kept in what no other thread can open, ERR_CLOSED. Else, and when
   * it throws, the connection is closed here.
   */
  handOver(now: number): Handover | null {
    const { ends, peer, measures } = this.#parts;
    if (ends.closed) throw closedError(this.#connection);
    const { link, loginData, protocolVersion } = peer;
    if (link === null || ends.producer.busy || !ends.follow()) return null;
    const leaving = {
      transport: this.#connection.transport,
      open: ends.open,
      loginData,
      protocolVersion,
      link,
      violation: ends.violation,
      tally: measures.tally(peer.traffic),
    };
    let handover: Handover | null = null;
    this.end('keep', 'handed over', () => {
      try {
        handover = handOver(leaving, now);
      } finally {
        // Unless it was handed over.
        link.abandon();
      }
    });
    return handover;
  }

  /** Closes everything, the link and the session in the ways given. Throws what `closeSession` throws, closed all the same. */
  end(linkGoes: 'close' | 'abandon' | 'keep', how: Closing, closeSession: () => void): void {
    const { ends, peer, delivery, inlet, copies, measures } = this.#parts;
    const connection = this.#connection;
    if (ends.closed) return;
    measures.closing(peer.traffic);
    ends.closed = true;
    peer.leave(linkGoes);
    inlet.close();
    const tellPeer = ends.end();
    let failure: TcpshmError | null = null;
    try {
      closeSession();
    } catch (error) {
      failure = error as TcpshmError;
      throw error;
    } finally {
      tellPeer();
      copies?.flusher?.close(failure);
      delivery.close(closedError(connection));
      this.#onClosed(connection);
      if (CLOSED.listened) CLOSED.tell({ connection, how });
    }
  }
}

export function closedError({ localName, remoteName }: Outlet): TcpshmError {
  return new TcpshmError('ERR_CLOSED', `the connection of '${localName}' to '${remoteName}' is closed`);
}
