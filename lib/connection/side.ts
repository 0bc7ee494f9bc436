import { Topic } from '../diagnostics/channels.js';
import type { Closing } from '../diagnostics/events.js';
import { TcpshmError } from '../errors.js';
import { distance } from '../memory/wrap.js';
import type { Message } from '../ring/message.js';
import type { DisconnectReason } from '../session/disconnect.js';
import type { LivenessOptions } from '../session/liveness.js';
import type { Transport } from '../session/loginMessages.js';
import { isMoved } from '../session/notices.js';
import type { Bell } from '../session/parking.js';
import type { ReplicationState } from '../session/replication.js';
import { isFresh, type SideState } from '../session/state.js';
import type { OpenSegment } from '../store/openSegment.js';
import type { Conversation } from '../wire/conversation.js';
import type { Link, LinkState, LinkTraffic } from '../wire/link.js';
import type { Wire } from '../wire/wire.js';
import { resumeLink, WireLink } from '../wire/wireLink.js';
import type { WriterHandle } from '../writer/handle.js';
import { type Outlet, type WriterOptions, Writers } from '../writer/writers.js';
import { Copies } from './copies.js';
import { Ends } from './ends.js';
import { type Handover, handOver } from './handover.js';
import { Idle } from './idle.js';
import { Measures } from './measures.js';
import { Room } from './room.js';
import type { ConnectionState } from './stats.js';
import type { Tally } from './tally.js';

const CONNECTED = new Topic('tcpshm:connected');
const DISCONNECTED = new Topic('tcpshm:disconnected');
const CLOSED = new Topic('tcpshm:closed');
const RESET = new Topic('tcpshm:session-reset');
const DELIVERED = new Topic('tcpshm:delivered');

/** What a poll calls, of a connection as its user has it. */
export interface SideHandlers<C> {
  /** A message has arrived. It comes again with the next poll, while connected, until `connection.pop()`. */
  onMessage?: (connection: C, message: Message) => void;
  /** The peer is gone, with the reason, and the error where there was one. The session stays. */
  onDisconnect?: (connection: C, reason: DisconnectReason, error: TcpshmError | null) => void;
}

/** Whoever reads a connection in place of the handlers of its client or server. */
export interface Reader {
  /** Whether it takes messages now. */
  readonly wants: boolean;
  /** A visit of a poll: takes up to `limit` messages. True if it took some. Throws what a handler throws. */
  visit(limit: number): boolean;
  /** The connection was closed. */
  closed(error: TcpshmError): void;
  /** Its link has ended, after what had arrived was handed out; the session goes on with the next login. */
  ended?(reason: DisconnectReason): void;
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
  /** What the peer sent along with the last login. */
  loginData: Uint8Array = new Uint8Array(0);
  /** Of the user's protocol, as the last login has agreed on it; 0 where one side said nothing. */
  protocolVersion = 0;
  /** For how many milliseconds it may be connected without a message. */
  idleTimeoutMs = Number.POSITIVE_INFINITY;
  /** Whether it keeps the process alive while `run` sleeps. */
  refed = true;
  /** What to call when the event loop has told that a journal was written: the next poll has something to do. */
  onWritten: (() => void) | null = null;
  /** Who reads, if not the handlers of whoever polls. */
  reader: Reader | null = null;
  readonly #connection: C;
  readonly #transport: Transport;
  readonly #copies: Copies | null;
  readonly #onClosed: (connection: C) => void;
  #link: Link | null = null;
  #keeps = false;
  /** Whether messages were handed out since that was last asked. */
  #moved = false;
  readonly #idle = new Idle();
  #onStir: (() => void) | null = null;
  /** Those of other threads, once there was one. */
  #writers: Writers | null = null;
  /** Those who wait for room, once there was one. */
  #room: Room | null = null;
  readonly measures: Measures;

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
    this.#onClosed = onClosed;
    this.ends = new Ends(open, () => this.#shut(), tally);
    this.measures = new Measures(this.ends);
    this.#copies = transport === 'tcp' ? new Copies(this.ends, replicated, () => this.onWritten?.()) : null;
  }

  get state(): ConnectionState {
    if (this.ends.closed) return 'closed';
    return this.#link?.connected ? 'connected' : 'disconnected';
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

  // The login.

  /** The peer may take the login for complete from here on, so the session stays, whatever becomes of the login here. */
  keep(): void {
    this.#keeps = true;
  }

  /** Whether the session stays: if not, it is not certain yet that the peer has it. */
  get kept(): boolean {
    return this.#keeps;
  }

  /**
   * After a login that failed: a connection that was only made for it goes again, and so does the session if it was
   * begun for it. (One that was found stays, even if nothing was sent in it yet: the peer may have sent.)
   */
  abandonLogin(): void {
    if (this.ends.closed || this.#keeps) return;
    this.#connection.close({ remove: this.ends.open.begun && isFresh(this.readState()) });
  }

  /** The peer did what the protocol does not allow: the link ends with the next poll. */
  violate(error: TcpshmError): void {
    this.ends.violation = error;
  }

  /** Shared memory: a link that tells of the peer. `moved` where it is that of a login in another thread. */
  attach(link: Link, loginData: Uint8Array, moved = false): void {
    this.#keeps = true;
    this.#link = link;
    this.#idle.begin(this.idleTimeoutMs);
    this.loginData = loginData;
    const resumed = this.measures.attached(moved);
    const connection = this.#connection;
    if (link.traffic !== null) link.traffic.owner = connection;
    if (CONNECTED.listened) {
      const { role, segment } = this.ends.open;
      CONNECTED.tell({ connection, role, sessionId: segment.identity.sessionId, resumed, moved });
    }
  }

  /** A shared segment whose liveness is told over a wire. */
  attachShared({ wire, reader }: Conversation, options: LivenessOptions, loginData: Uint8Array): void {
    this.attach(new WireLink(wire, reader, options, null, null), loginData);
  }

  /** Two copies: a link that keeps them equal, from where the peer has them. */
  attachReplicated(
    { wire, reader }: Conversation,
    options: LivenessOptions,
    peer: SideState,
    loginData: Uint8Array,
  ): void {
    const copies = this.#copies as Copies;
    this.ends.pump = new WireLink(wire, reader, options, copies.begin(peer), copies.outgoing);
    this.attach(this.ends.pump, loginData);
  }

  /** The link of another thread's connection, over its wire: goes on there, whatever was in the middle. */
  resume(
    wire: Wire,
    state: Extract<LinkState, { readonly kind: 'wire' }>,
    options: LivenessOptions,
    loginData: Uint8Array,
  ): void {
    if (state.replication === null) {
      this.attach(resumeLink(wire, state, options, null, null), loginData, true);
      return;
    }
    const copies = this.#copies as Copies;
    this.ends.pump = resumeLink(wire, state, options, copies.resume(state.replication), copies.outgoing);
    this.attach(this.ends.pump, loginData, true);
  }

  /**
   * Gives session and link up for another thread, where a connection goes on as if it were this one. Null where that
   * cannot be now: without a link, while a message is allocated or a batch is open, and while the session moves to a
   * fresh file or is another process's (which the next poll tells). Throws ERR_FILE when a journal with durability 'disk'
   * cannot be written, ERR_OPTION when the session is kept in what no other thread can open. Else, and when it throws,
   * the connection is closed here.
   */
  handOver(now: number): Handover | null {
    const { ends } = this;
    if (ends.closed) throw this.closedError();
    const link = this.#link;
    if (link === null || ends.producer.busy || !ends.follow()) return null;
    const leaving = {
      transport: this.#transport,
      open: ends.open,
      loginData: this.loginData,
      protocolVersion: this.protocolVersion,
      link,
      violation: ends.violation,
      tally: this.tally,
    };
    let handover: Handover | null = null;
    this.#end('keep', 'handed over', () => {
      try {
        handover = handOver(leaving, now);
      } finally {
        // Unless it was handed over.
        link.abandon();
      }
    });
    return handover;
  }

  // The polls.

  /** Whether there is something to disconnect: a link that has ended stays until then, and a fence. */
  get attached(): boolean {
    return this.#link !== null || this.ends.fence !== null;
  }

  /** Lets the link work. False once it has ended, for good: then `disconnect` tells why. */
  pollLink(now: number): boolean {
    const { ends } = this;
    // Over tcp nothing must go out while it is not known whether the session is still this process's.
    if (isMoved(ends.notices) && !ends.follow()) return ends.fence === null;
    const link = this.#link;
    const flusher = this.#copies?.flusher ?? null;
    flusher?.poll();
    if (link === null) return true;
    if (flusher !== null && flusher.failure !== null) return false;
    if (ends.violation !== null) return false;
    if (link.ended === null) link.poll(now);
    ends.producer.sample();
    return link.ended === null && !this.#idle.check(now, ends.producer.pushed + ends.consumer.popped);
  }

  /**
   * Gives up to `limit` messages to a handler; stops when it leaves one un-popped. Throws ERR_PROTOCOL as `front` does,
   * and ERR_FENCED, also where the handler runs into it: `disconnect` tells of both. Throws what the handler throws.
   */
  deliver(onMessage: (connection: C, message: Message) => void, limit: number): void {
    const { ends } = this;
    const connection = this.#connection;
    ends.served = true;
    let delivered = 0;
    let from = 0;
    try {
      for (; delivered < limit; delivered++) {
        // A fence is for `pollLink` to notice.
        if (isMoved(ends.notices) && !ends.follow()) return;
        const message = connection.front();
        if (message === null) return;
        const { position } = ends.consumer;
        if (delivered === 0) from = position;
        onMessage(connection, message);
        if (ends.closed || ends.consumer.position === position) return;
        this.#moved = true;
      }
    } finally {
      ends.served = false;
      if (delivered !== 0 && DELIVERED.listened) this.#traceDelivery(delivered, from);
    }
  }

  /** Whether somebody reads, or waits for room, whom `attend` serves. */
  get attended(): boolean {
    return this.reader !== null || this.#room !== null;
  }

  /**
   * Serves those who read and those who wait for room. True if one of them has something to go on with, for which promises
   * need their turn. Throws as `deliver` does.
   */
  attend(limit: number): boolean {
    const { ends, reader } = this;
    if (isMoved(ends.notices) && !ends.follow()) return false;
    let settled = false;
    if (this.#room !== null) {
      try {
        settled = this.#room.tend();
      } catch (error) {
        throw ends.noticed(error);
      }
    }
    if (ends.closed || reader === null) return settled;
    ends.served = true;
    const { popped, position } = ends.consumer;
    try {
      if (!reader.visit(limit)) return settled;
    } finally {
      ends.served = false;
      const delivered = ends.consumer.popped - popped;
      if (delivered > 0 && DELIVERED.listened) this.#traceDelivery(delivered, position);
    }
    this.#moved = true;
    return true;
  }

  /**
   * Moves what writers have pushed into the queue: to be called by every poll, before the link sends. False when nothing
   * was moved. What is wrong with the queue is for `pollLink` to tell, what is wrong with a writer is thrown.
   */
  drainWriters(): boolean {
    if (this.#writers === null) return false;
    try {
      return this.#drain(this.#writers, false);
    } catch (error) {
      if (error === this.ends.violation) return false;
      throw error;
    }
  }

  /** Whether something moved since this was last asked. */
  takeMoved(): boolean {
    const moved = this.#moved || (this.ends.pump?.received ?? false);
    this.#moved = false;
    return moved;
  }

  /** One round for an end that no client or server polls. */
  poll(handlers: SideHandlers<C>, limit: number): void {
    const link = this.#link;
    if (this.#writers !== null) this.#drain(this.#writers, false);
    if (this.attended) this.attend(limit);
    if (this.ends.closed) return;
    if (this.reader === null && handlers.onMessage !== undefined) this.deliver(handlers.onMessage, limit);
    if (link === null || this.ends.closed) return;
    link.poll(0);
    this.ends.producer.sample();
    if (link.ended !== null) handlers.onDisconnect?.(this.#connection, link.ended, link.error);
  }

  /** The other thread's end has gone, which the link has told: it may be opened again, so the link goes on. */
  tellGone(handlers: SideHandlers<C>): void {
    const link = this.#link;
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
    return true;
  }

  /**
   * After the end of the link: hands out what has arrived before, which is the user's, forgets the link, and tells him.
   * If a handler throws, nothing is forgotten, and the next call goes on there. `left` is called before `onDisconnect`.
   */
  disconnect(handlers: SideHandlers<C>, left: () => void): void {
    const { ends } = this;
    const { onMessage } = handlers;
    if (ends.violation === null && ends.fence === null && (onMessage !== undefined || this.attended)) {
      try {
        if (this.attended) this.attend(Number.POSITIVE_INFINITY);
        if (!ends.closed && this.reader === null && onMessage !== undefined) {
          this.deliver(onMessage, Number.POSITIVE_INFINITY);
        }
      } catch (error) {
        if (!ends.isTold(error)) throw error;
      }
      if (ends.closed) return;
    }
    const { fence, violation } = ends;
    if (fence !== null) {
      this.#shut();
      left();
      const reason = fence.code === 'ERR_FENCED' ? 'taken over' : 'protocol violated';
      this.tellDisconnected(reason, fence);
      handlers.onDisconnect?.(this.#connection, reason, fence);
      return;
    }
    const { reason, error } = this.#whyEnded();
    this.#link?.close();
    this.#leaveLink();
    this.ends.pump = null;
    ends.violation = null;
    left();
    this.tellDisconnected(reason, error);
    try {
      this.reader?.ended?.(reason);
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
    return this.measures.tally(this.#traffic);
  }

  /** All that is told of it but its name and state, also once it is closed. */
  measure(): ReturnType<Measures['all']> {
    return this.measures.all(this.#traffic);
  }

  get #traffic(): LinkTraffic | null {
    return this.#link?.traffic ?? null;
  }

  #leaveLink(): void {
    this.measures.left(this.#traffic);
    this.#link = null;
  }

  #traceDelivery(messages: number, from: number): void {
    const bytes = distance(from, this.ends.consumer.position);
    DELIVERED.tell({ connection: this.#connection, messages, bytes });
  }

  // Sleep.

  /** What to call when a push or a pop needs a poll to go out, while nobody polls. */
  set onStir(call: (() => void) | null) {
    this.#onStir = call;
    if (this.ends.pump !== null) this.ends.pump.onStir = call;
  }

  /** There is something for a poll to do, which may sleep. */
  stir(): void {
    this.#onStir?.();
  }

  /** The socket of the link, if it has one. */
  get wire(): Wire | null {
    return this.#link?.wire ?? null;
  }

  /** Whether something is to be sent that the socket did not take yet. */
  get sending(): boolean {
    return this.ends.pump?.sending ?? false;
  }

  /** Whether some more polls are needed before it may sleep: to acknowledge what was popped. */
  get owes(): boolean {
    return this.ends.pump?.owes ?? false;
  }

  /** Whether there is something to do that no bell and no socket will tell of. */
  get restless(): boolean {
    const { fence, violation, consumer } = this.ends;
    return (
      fence !== null ||
      (consumer.held && this.reader === null) ||
      this.#room?.restless === true ||
      this.#writers?.waiting === true ||
      violation !== null ||
      (this.#link !== null && this.#link.ended !== null) ||
      this.#copies?.unsafe === true
    );
  }

  /** Whether others ring when it sleeps: its peer, or its writers. */
  get rung(): boolean {
    return this.#transport !== 'tcp' || this.#writers !== null;
  }

  /**
   * Goes to sleep: from here on the peer that shares memory with it rings `bell` when it has published something or
   * handed space back. It stays awake when there is something already ('stirring'), or when bells cannot be relied on
   * ('restless'). Without `delivers` its user looks for messages when he likes.
   */
  park(bell: Bell, delivers: boolean): 'parked' | 'stirring' | 'restless' {
    const shared = this.#transport !== 'tcp';
    const relied = !shared || this.ends.park(bell);
    this.#writers?.park(bell);
    const stirring = (shared && this.ends.stirs(delivers)) || this.#writers?.waiting === true;
    if (relied && !stirring) return 'parked';
    this.unpark();
    return stirring ? 'stirring' : 'restless';
  }

  /** Awake again. */
  unpark(): void {
    if (this.ends.closed) return;
    if (this.#transport !== 'tcp') this.ends.unpark();
    this.#writers?.unpark();
  }

  // What the user's calls need.

  /** @see Connection.writer */
  writer(options: WriterOptions): WriterHandle {
    const { ends } = this;
    const { segment, role } = ends.open;
    this.#writers ??= new Writers(this.#connection, () => ends.producer, segment.outgoing(role).capacity);
    // One that sleeps does not know of it yet.
    this.#onStir?.();
    return this.#writers.add(options);
  }

  /** Those who wait for room. One that sleeps learns of them by what it finds when it is woken. */
  get room(): Room {
    this.#room ??= new Room(() => this.ends.producer);
    return this.#room;
  }

  /** @see Connection.flush */
  flush(): Promise<void> {
    if (this.#writers !== null) this.#drain(this.#writers, true);
    return this.#copies?.flusher?.flush() ?? Promise.resolve();
  }

  /** @see Connection.close */
  close(remove: boolean): void {
    const { ends } = this;
    if (ends.closed) return;
    const there = ends.follow();
    if (there && !remove) this.#closeWriters();
    this.#end(there ? 'close' : 'abandon', remove ? 'removed' : 'closed', () => {
      if (remove) ends.open.remove();
      else ends.open.close();
    });
  }

  /** @see Connection.resetSession */
  resetSession(): string | null {
    const { ends } = this;
    const there = ends.followOrThrow();
    const worthKeeping = !isFresh(this.readState());
    let aside: string | null = null;
    this.#end(there ? 'close' : 'abandon', 'reset', () => {
      if (worthKeeping) aside = ends.open.setAside();
      else ends.open.remove();
    });
    if (RESET.listened) RESET.tell({ connection: this.#connection, aside });
    return aside;
  }

  closedError(): TcpshmError {
    const { localName, remoteName } = this.#connection;
    return new TcpshmError('ERR_CLOSED', `the connection of '${localName}' to '${remoteName}' is closed`);
  }

  #whyEnded(): { readonly reason: DisconnectReason; readonly error: TcpshmError | null } {
    const { violation } = this.ends;
    const link = this.#link;
    const failure = this.#copies?.flusher?.failure ?? null;
    const idle = this.#idle.over && failure === null ? 'idle' : null;
    const ended = link?.ended ?? idle ?? (failure === null ? 'protocol violated' : 'journal failed');
    const reason = violation === null ? ended : 'protocol violated';
    return { reason, error: violation ?? link?.error ?? failure };
  }

  #drain(writers: Writers, all: boolean): boolean {
    const { ends } = this;
    // A fence is for `pollLink` to notice.
    if (isMoved(ends.notices) && !ends.follow()) return false;
    try {
      if (!all) return writers.drain();
      writers.drainAll();
      return false;
    } catch (error) {
      throw ends.noticed(error);
    }
  }

  /** Before the end: what they have pushed is moved into the queue, as far as it has room. */
  #closeWriters(): void {
    if (this.#writers === null) return;
    // What was not published here would be in the way, and goes anyway.
    this.ends.producer.retract();
    this.#writers.close(true);
  }

  /** The end of a connection whose session is another process's, without a word to the peer. */
  #shut(): void {
    this.#end('abandon', 'taken over', () => this.ends.open.close());
  }

  /** Closes everything, the link and the session in the ways given. */
  #end(linkGoes: 'close' | 'abandon' | 'keep', how: Closing, closeSession: () => void): void {
    if (this.ends.closed) return;
    this.measures.closing(this.#traffic);
    this.ends.closed = true;
    if (linkGoes === 'close') this.#link?.close();
    else if (linkGoes === 'abandon') this.#link?.abandon();
    this.#leaveLink();
    this.ends.pump = null;
    this.#writers?.close(false);
    this.#writers = null;
    const tellPeer = this.ends.end();
    let failure: TcpshmError | null = null;
    try {
      closeSession();
    } catch (error) {
      failure = error as TcpshmError;
      throw error;
    } finally {
      tellPeer();
      this.#copies?.flusher?.close(failure);
      this.#room?.end(this.closedError());
      this.reader?.closed(this.closedError());
      this.#onClosed(this.#connection);
      if (CLOSED.listened) CLOSED.tell({ connection: this.#connection, how });
    }
  }
}
