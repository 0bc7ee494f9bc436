import { Topic } from '../diagnostics/channels.js';
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import type { DisconnectReason } from '../session/disconnect.js';
import type { Transport } from '../session/loginMessages.js';
import { isMoved } from '../session/notices.js';
import type { ReplicationState } from '../session/replication.js';
import { isFresh, type SideState } from '../session/state.js';
import type { OpenSegment } from '../store/openSegment.js';
import type { WriterHandle } from '../writer/handle.js';
import type { Outlet, WriterOptions } from '../writer/writers.js';
import type { ConnectionState } from './connectionStats.js';
import { Copies } from './copies.js';
import { Delivery } from './delivery.js';
import { closedError, Ending } from './ending.js';
import { Ends } from './ends.js';
import type { Handover } from './handover.js';
import { Inlet } from './inlet.js';
import { Measures } from './measures.js';
import { Peer } from './peer.js';
import type { Room } from './room.js';
import { Sleep } from './sleep.js';
import type { Tally } from './tally.js';

const DISCONNECTED = new Topic('tcpshm:disconnected');
const RESET = new Topic('tcpshm:session-reset');

/** What a poll calls, of a connection as its user has it. */
export interface SideHandlers<C> {
  /** A message has arrived. It comes again with the next poll, while connected, until `connection.pop()`. */
  onMessage?: (connection: C, message: Message) => void;
  /** The peer is gone, with the reason, and the error where there was one. The session stays. */
  onDisconnect?: (connection: C, reason: DisconnectReason, error: TcpshmError | null) => void;
}

/** The connection, as its side needs it. */
export interface SideUser extends Outlet {
  readonly transport: Transport;
  front(): Message | null;
  close(options?: { readonly remove?: boolean }): void;
}

/**
 * One side of a session, for whoever keeps the connection up: logs it in, polls it, lets it sleep and ends it. The user
 * has the connection.
 */
export class Side<C extends SideUser> {
  readonly ends: Ends;
  readonly peer: Peer;
  readonly delivery: Delivery<C>;
  readonly sleep: Sleep;
  readonly measures: Measures;
  /** Whether it keeps the process alive while `run` sleeps. */
  refed = true;
  /** What to call when the event loop has told that a journal was written: the next poll has something to do. */
  onWritten: (() => void) | null = null;
  readonly #connection: C;
  readonly #transport: Transport;
  readonly #inlet: Inlet;
  readonly #copies: Copies | null;
  readonly #ending: Ending<C>;

  /** With `replicated`, goes on where another thread was, whose link is to be resumed, and with `tally` counts on. */
  constructor(
    connection: C,
    open: OpenSegment,
    transport: Transport,
    onClosed: (connection: C) => void,
    replicated: ReplicationState | null,
    tally: Tally,
  ) {
    this.#connection = connection;
    this.#transport = transport;
    const ends = new Ends(open, transport !== 'tcp', () => this.#ending.shut(), tally);
    const measures = new Measures(ends);
    const copies = transport === 'tcp' ? new Copies(ends, replicated, () => this.onWritten?.()) : null;
    const inlet = new Inlet(connection, ends);
    const delivery = new Delivery(connection, ends);
    const peer = new Peer(connection, ends, measures, copies);
    const parts = { ends, peer, delivery, inlet, copies, measures };
    this.ends = ends;
    this.measures = measures;
    this.#copies = copies;
    this.#inlet = inlet;
    this.delivery = delivery;
    this.peer = peer;
    this.sleep = new Sleep(parts, transport);
    this.#ending = new Ending(connection, parts, onClosed);
  }

  get state(): ConnectionState {
    if (this.ends.closed) return 'closed';
    return this.peer.connected ? 'connected' : 'disconnected';
  }

  /** What this side knows of both queues, as the peer may be told. */
  readState(): SideState {
    const { state } = this.ends;
    return this.#copies === null ? state : this.#copies.told(state);
  }

  /** The session by its id, and how this side has it. */
  get mine(): { readonly sessionId: string; readonly state: SideState } {
    return { sessionId: this.ends.open.segment.identity.sessionId, state: this.readState() };
  }

  /**
   * After a login that failed: a connection that was only made for it goes again, and so does the session if it was
   * begun for it. (One that was found stays, even if nothing was sent in it yet: the peer may have sent.)
   */
  abandonLogin(): void {
    if (this.ends.closed || this.peer.kept) return;
    this.#connection.close({ remove: this.ends.open.begun && isFresh(this.readState()) });
  }

  /** The peer did what the protocol does not allow: the link ends with the next poll. */
  violate(error: TcpshmError): void {
    this.ends.violation = error;
  }

  // The polls.

  /** Whether there is something to disconnect: a link that has ended stays until then, and a fence. */
  get attached(): boolean {
    return this.peer.link !== null || this.ends.fence !== null;
  }

  /** Lets the link work. False once it has ended, for good: then `disconnect` tells why. */
  pollLink(now: number): boolean {
    const { ends } = this;
    // Over tcp nothing must go out while it is not known whether the session is still this process's.
    if (isMoved(ends.notices) && !ends.follow()) return ends.fence === null;
    return this.peer.poll(now);
  }

  /**
   * Moves what writers have pushed into the queue: to be called by every poll, before the link sends. False when nothing
   * was moved. What is wrong with the queue is for `pollLink` to tell, what is wrong with a writer is thrown.
   */
  drainWriters(): boolean {
    try {
      return this.#inlet.drain();
    } catch (error) {
      if (error === this.ends.violation) return false;
      throw error;
    }
  }

  /** One round for an end that no client or server polls. */
  poll(handlers: SideHandlers<C>, limit: number): void {
    const { ends, peer } = this;
    const { link } = peer;
    this.#inlet.drain();
    this.delivery.serve(handlers.onMessage, limit);
    if (link === null || ends.closed) return;
    link.poll(0);
    ends.producer.sample();
    if (link.ended !== null) handlers.onDisconnect?.(this.#connection, link.ended, link.error);
  }

  /** The other thread's end has gone, which the link has told: it may be opened again, so the link goes on. */
  tellGone(handlers: SideHandlers<C>): void {
    const { link } = this.peer;
    if (link === null || link.ended === null) return;
    const { ended, error } = link;
    // It tells of the last change only.
    link.poll(0);
    handlers.onDisconnect?.(this.#connection, ended, error);
  }

  /**
   * Once per heartbeat interval, connected or not: shows who wants this side that its owner is alive. False when it is
   * another one's by now: then `disconnect` tells it.
   */
  renew(): boolean {
    const { ends } = this;
    if (ends.closed) return true;
    if (!ends.follow()) return ends.fence === null;
    ends.renew();
    return ends.fence === null;
  }

  /**
   * After the end of the link: hands out what has arrived before, which is the user's, forgets the link, and tells him.
   * If a handler throws, nothing is forgotten, and the next call goes on there. `left` is called before `onDisconnect`.
   */
  disconnect(handlers: SideHandlers<C>, left: () => void): void {
    const { ends } = this;
    if (ends.violation === null && ends.fence === null) {
      try {
        this.delivery.serve(handlers.onMessage, Number.POSITIVE_INFINITY);
      } catch (error) {
        if (!ends.isTold(error)) throw error;
      }
      if (ends.closed) return;
    }
    const { fence, violation } = ends;
    if (fence !== null) {
      this.#ending.shut();
      left();
      const reason = whyFenced(fence);
      this.tellDisconnected(reason, fence);
      handlers.onDisconnect?.(this.#connection, reason, fence);
      return;
    }
    const { reason, error } = this.peer.whyEnded();
    this.peer.leave('close');
    ends.violation = null;
    left();
    this.tellDisconnected(reason, error);
    try {
      this.delivery.reader?.ended?.(reason);
      if (ends.closed) return;
      handlers.onDisconnect?.(this.#connection, reason, error);
    } finally {
      // Between threads there is no wire whose end would tell the peer.
      const own = violation !== null || reason === 'idle';
      if (own && this.#transport === 'inproc') this.#connection.close();
    }
  }

  /** That the connection has ended, as the handlers are told. */
  tellDisconnected(reason: DisconnectReason, error: TcpshmError | null): void {
    if (DISCONNECTED.listened) DISCONNECTED.tell({ connection: this.#connection, reason, error });
  }

  // Numbers.

  /** What has gone through it. */
  get tally(): Tally {
    return this.measures.tally(this.peer.traffic);
  }

  /** All that is told of it but its name and state, also once it is closed. */
  measure(): ReturnType<Measures['all']> {
    return this.measures.all(this.peer.traffic);
  }

  // What the user's calls need.

  /** Those who wait for room. */
  get room(): Room {
    return this.delivery.room;
  }

  /** @see Connection.writer */
  writer(options: WriterOptions): WriterHandle {
    // One that sleeps does not know of it yet.
    this.sleep.stir();
    return this.#inlet.add(options);
  }

  /** @see Connection.flush */
  flush(): Promise<void> {
    this.#inlet.drainAll();
    return this.#copies?.flusher?.flush() ?? Promise.resolve();
  }

  // Its end.

  /** @see Ending.handOver */
  handOver(now: number): Handover | null {
    return this.#ending.handOver(now);
  }

  /** @see Connection.close */
  close(remove: boolean): void {
    this.#ending.close(remove);
  }

  /** @see Connection.resetSession */
  resetSession(): string | null {
    const { ends } = this;
    const there = ends.followOrThrow();
    const worthKeeping = !isFresh(this.readState());
    let aside: string | null = null;
    this.#ending.end(there ? 'close' : 'abandon', 'reset', () => {
      if (worthKeeping) aside = ends.open.setAside();
      else ends.open.remove();
    });
    if (RESET.listened) RESET.tell({ connection: this.#connection, aside });
    return aside;
  }

  closedError(): TcpshmError {
    return closedError(this.#connection);
  }

  /** For whoever is to read it, as only one can: throws ERR_CLOSED, ERR_BUSY. */
  throwIfRead(): void {
    if (this.ends.closed) throw this.closedError();
    if (this.delivery.reader === null) return;
    throw new TcpshmError('ERR_BUSY', `the connection to '${this.#connection.remoteName}' is read already`);
  }
}

function whyFenced({ code }: TcpshmError): DisconnectReason {
  if (code === 'ERR_FENCED') return 'taken over';
  return code === 'ERR_PROTOCOL' ? 'protocol violated' : 'memory lost';
}
