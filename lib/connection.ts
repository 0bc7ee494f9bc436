import { TcpshmError } from './errors.js';
import { checkOptions } from './options.js';
import { RingConsumer } from './ring/consumer.js';
import type { Message } from './ring/message.js';
import { RingProducer } from './ring/producer.js';
import { RingReplica } from './ring/replica.js';
import type { DisconnectReason } from './session/disconnect.js';
import { Durability, type JournalEnds } from './session/durability.js';
import type { LivenessOptions } from './session/liveness.js';
import type { Transport } from './session/loginMessages.js';
import { otherRole } from './session/names.js';
import { isMoved, isNoticed } from './session/notices.js';
import type { Bell } from './session/parking.js';
import { Replication, type ReplicationState } from './session/replication.js';
import { NOTICE_PARKED } from './session/segment.js';
import { isFresh, readSideState, type SideState } from './session/state.js';
import { Flusher } from './store/flusher.js';
import type { OpenSegment, Place } from './store/openSegment.js';
import { Pursuit } from './store/pursuit.js';
import type { Conversation } from './wire/conversation.js';
import type { Link, LinkState } from './wire/link.js';
import { Rouser } from './wire/rouser.js';
import type { Wire } from './wire/wire.js';
import { resumeLink, WireLink } from './wire/wireLink.js';
import type { WriterHandle } from './writer/handle.js';
import { type WriterOptions, Writers } from './writer/writers.js';

/** Most messages that one connection delivers before the others have their turn. */
export const MESSAGES_PER_POLL = 64;

/** How long a call that has published or popped waits at most while the session is moved to a fresh file. */
const MOVING_MS = 100;
const NOBODY = new Int32Array(new SharedArrayBuffer(4));

/** What a poll calls. */
export interface ConnectionHandlers {
  /** A message has arrived. It comes again with the next poll until `connection.pop()`. */
  onMessage?: (connection: Connection, message: Message) => void;
  /** The peer is gone, with the reason, and the error where there was one. The session stays. */
  onDisconnect?: (connection: Connection, reason: DisconnectReason, error: TcpshmError | null) => void;
}

export type ConnectionState = 'connected' | 'disconnected' | 'closed';

/** @internal A connection on its way to another thread, as plain data: where its session is, and its link. */
export interface Handover {
  readonly transport: Transport;
  readonly place: Place;
  readonly client: string;
  readonly server: string;
  readonly sessionId: string;
  readonly loginData: Uint8Array;
  readonly link: LinkState;
}

/** @internal A connection of a session that was opened: if it cannot be one, the session is given up again. */
export function makeConnection(
  open: OpenSegment,
  transport: Transport,
  onClosed: (connection: Connection) => void,
  replicated: ReplicationState | null = null,
): Connection {
  try {
    return new Connection(open, transport, onClosed, replicated);
  } catch (error) {
    open.close();
    throw error;
  }
}

/**
 * One session as one side has it: two queues, one in each direction, with the same calls whatever lies between the
 * peers. Outlives disconnects: while disconnected, `alloc` and `push` go on until the queue is full, and `front`
 * and `pop` give what has arrived; the next login resumes it.
 *
 * Belongs to one thread, the one that polls it; others can send through a `writer`. Nothing here blocks, but for a
 * `push` or `pop` while another process moves the session to a fresh file, which takes milliseconds (store/takeOver.ts).
 */
export class Connection {
  /** What lies between the peers. */
  readonly transport: Transport;
  readonly localName: string;
  readonly remoteName: string;
  /** Whatever its user wants to keep with it. */
  userData: unknown = undefined;
  /** @internal What to call when the event loop has told that a journal was written: the next poll has something to do. */
  onWritten: (() => void) | null = null;
  #open: OpenSegment;
  #producer: RingProducer;
  #consumer: RingConsumer;
  /** What the file that the producer is in has to say: that the session has moved, or that the peer sleeps. */
  #notices: Int32Array;
  /** Index in it of the peer's parking. */
  readonly #peerParked: number;
  #rouser: Rouser;
  /** The ends that stand in for the peer where this side has copies of its own: over tcp. */
  readonly #acknowledger: RingConsumer | null;
  readonly #replica: RingReplica | null;
  /** With durability 'disk': what is safe there, and what writes it. */
  readonly #durability: Durability | null = null;
  readonly #flusher: Flusher | null = null;
  readonly #onClosed: (connection: Connection) => void;
  #link: Link | null = null;
  /** The link, if it moves the rings. */
  #pump: WireLink | null = null;
  /** What the peer wrote into the rings and must not have: ends the link at the next poll. */
  #violation: TcpshmError | null = null;
  readonly #pursuit: Pursuit;
  /** Why this process can no longer use the session: noticed in a poll, which tells it and closes the connection. */
  #fence: TcpshmError | null = null;
  #closed = false;
  #keeps = false;
  /** Whether messages were handed out since that was last asked. */
  #moved = false;
  #onStir: (() => void) | null = null;
  #refed = true;
  #loginData: Uint8Array = new Uint8Array(0);
  /** Those of other threads, once there was one. */
  #writers: Writers | null = null;

  /** @internal With `replicated`, goes on where another connection of the session was, whose link is to be resumed. */
  constructor(
    open: OpenSegment,
    transport: Transport,
    onClosed: (connection: Connection) => void,
    replicated: ReplicationState | null = null,
  ) {
    const { segment, role } = open;
    const { client, server } = segment.identity;
    this.transport = transport;
    this.localName = role === 'client' ? client : server;
    this.remoteName = role === 'client' ? server : client;
    this.#open = open;
    this.#producer = new RingProducer(segment.outgoing(role));
    this.#consumer = new RingConsumer(segment.incoming(role));
    this.#notices = segment.notices;
    this.#peerParked = NOTICE_PARKED[otherRole(role)];
    this.#rouser = new Rouser(segment.parking[otherRole(role)]);
    segment.parking[role].leave();
    this.#pursuit = new Pursuit(open, this.#producer, this.#consumer);
    this.#acknowledger = transport === 'tcp' ? new RingConsumer(segment.outgoing(role)) : null;
    this.#replica =
      transport === 'tcp' ? new RingReplica(segment.incoming(role), replicated?.unfinished ?? null) : null;
    this.#onClosed = onClosed;
    const journal = open.journal;
    if (journal !== null && journal.disk !== null) {
      this.#durability = new Durability(this.#ends(), journal.checkpoints);
      this.#flusher = new Flusher(this.#durability, journal.disk, open.where, () => this.onWritten?.());
    }
  }

  /**
   * Room for a message of `sizeBytes`, to be filled in and pushed; null when the queue is full. Allocating again
   * before the push replaces it. Throws a RangeError for a size that no message can have (larger than a quarter of
   * the capacity), ERR_CLOSED after `close`, ERR_PROTOCOL when the peer's position in the queue cannot be true,
   * ERR_FENCED, as all calls do, when another process has taken over this side because this one was silent.
   */
  alloc(sizeBytes: number): Message | null {
    if (this.#closed) throw this.#closedError();
    // What is claimed in a file that the session has left is published there: so it is looked at first.
    if (isMoved(this.#notices) && !this.#followToAlloc()) return null;
    try {
      return this.#producer.claim(sizeBytes);
    } catch (error) {
      throw this.#noticed(error);
    }
  }

  /** Sends the allocated message, and those of `pushMore` with it. Throws ERR_NO_MESSAGE without one. */
  push(): void {
    if (this.#closed) throw this.#closedError();
    this.#producer.push();
    if (isNoticed(this.#notices, this.#peerParked)) this.#published();
    if (this.#pump !== null) this.#pump.pushed();
  }

  /**
   * Completes the allocated message as part of a batch: the batch becomes visible to the peer with the next `push`
   * or `publish`, at once or, if this process dies before, not at all.
   */
  pushMore(): void {
    if (this.#closed) throw this.#closedError();
    this.#producer.pushMore();
    if (isMoved(this.#notices)) this.#follow();
  }

  /** Sends what `pushMore` has gathered: for when `alloc` finds no room for the last message of a batch. */
  publish(): void {
    if (this.#closed) throw this.#closedError();
    this.#producer.publish();
    this.#published();
    if (this.#pump !== null) this.#pump.pushed();
  }

  /**
   * The oldest message that has arrived, or null. The same one again, also after a crash, until `pop`. Throws
   * ERR_PROTOCOL when the peer wrote what cannot be a message.
   */
  front(): Message | null {
    if (this.#closed) throw this.#closedError();
    try {
      const message = this.#consumer.front();
      if (!isNoticed(this.#notices, this.#peerParked)) return message;
      // Behind the look into the ring: what a fenced peer has pushed into a file that the session has left does not
      // count, and what was pushed before is in the copy.
      if (isMoved(this.#notices)) return this.#frontThere();
      this.#rouser.reclaimed(this.#consumer);
      return message;
    } catch (error) {
      throw this.#noticed(error);
    }
  }

  /** Done with the message that `front` gave, or that a handler got. Throws ERR_NO_MESSAGE without one. */
  pop(): void {
    if (this.#closed) throw this.#closedError();
    this.#consumer.pop();
    if (isNoticed(this.#notices, this.#peerParked)) this.#popped();
    if (this.#pump !== null) this.#pump.popped();
  }

  /** Sends bytes, or text as UTF-8: `alloc`, copy and `push` in one. False when the queue is full. */
  send(data: Uint8Array | string, type = 1): boolean {
    const message = this.alloc(typeof data === 'string' ? Buffer.byteLength(data) : data.length);
    if (message === null) return false;
    try {
      message.type = type;
      if (typeof data === 'string') message.setText(data);
      else message.set(data);
    } catch (error) {
      // Nobody else could push it, and writers wait while it is allocated.
      this.#producer.forget();
      throw error;
    }
    this.push();
    return true;
  }

  /**
   * Lets another thread of this process send: gives a handle to be posted to it, and opened there with
   * {@link ConnectionWriter.open}. One writer for each thread, any number of them. What they push is moved into the queue
   * by every poll of this connection, connected or not, in turn, as far as there is room and while no message is
   * allocated here and no batch open. Then `pushed` counts it; before, it is lost if this process dies. A writer lasts
   * until it or the connection is closed. Throws ERR_CAPACITY, ERR_OPTION, ERR_CLOSED.
   */
  writer(options: WriterOptions = {}): WriterHandle {
    if (this.#closed) throw this.#closedError();
    checkOptions(options);
    const { capacity } = this.#open.segment.outgoing(this.#open.role);
    this.#writers ??= new Writers(this, () => this.#producer, capacity);
    // One that sleeps does not know of it yet.
    this.#onStir?.();
    return this.#writers.add(options);
  }

  /**
   * Resolves once everything pushed and popped so far is safe as its durability words it: with 'process' at once, with
   * 'disk' when it is on the disk. (The write ends in another thread: the event loop must turn to hear of it, and no
   * poll is needed.) What writers have pushed is moved into the queue first; what finds no room there is not covered.
   * Rejects with ERR_FILE when the disk fails, ERR_CLOSED after `close`.
   */
  async flush(): Promise<void> {
    if (this.#closed) throw this.#closedError();
    if (this.#writers !== null) this.#drain(this.#writers, true);
    await this.#flusher?.flush();
  }

  /** Whether it keeps the process alive while `run` sleeps: it does, until `unref`. */
  ref(): void {
    this.#refed = true;
  }
  unref(): void {
    this.#refed = false;
  }

  /** @internal */
  get refed(): boolean {
    return this.#refed;
  }

  /** Messages pushed since the session began, by this process and by those before it. */
  get pushed(): number {
    return this.#producer.pushed;
  }

  /** Messages popped since the session began. */
  get popped(): number {
    return this.#consumer.popped;
  }

  /** Largest message that can be sent, in bytes. */
  get maxMessageBytes(): number {
    return this.#open.segment.outgoing(this.#open.role).maxMessageBytes;
  }

  get state(): ConnectionState {
    if (this.#closed) return 'closed';
    return this.#link?.connected ? 'connected' : 'disconnected';
  }

  /** What the peer sent along with the last login: the client's user data, or the server's reply to it. */
  get loginData(): Uint8Array {
    return this.#loginData;
  }

  /**
   * Ends the connection and tells the peer. What was pushed and what was not popped stays in the session for the
   * next login, where it is kept in a file; with `remove` it is deleted, for good. The object is of no use
   * afterwards, nor are its writers: what they have pushed is moved into the queue first, as far as there is room (and
   * not with `remove`), and the rest is lost. Twice is harmless. With durability 'disk' all is safe when this returns;
   * throws ERR_FILE when the disk fails, closed all the same.
   */
  close(options: { readonly remove?: boolean } = {}): void {
    if (this.#closed) return;
    const there = this.follow();
    if (there && !options.remove) this.#closeWriters();
    this.#end(there ? 'close' : 'abandon', () => {
      if (options.remove) this.#open.remove();
      else this.#open.close();
    });
  }

  /**
   * Gives the session up to begin it anew: for when both sides cannot go on with it (`onSequenceMismatch`). Closes the
   * connection, and its writers with what was not moved yet; the file of the session is kept under another name, which
   * this gives (null where there is none), and is listed by `listSessions`. The next login begins a new session, once the
   * other side has done the same. Throws ERR_FILE when the file cannot be renamed, ERR_CLOSED.
   */
  resetSession(): string | null {
    if (this.#closed) throw this.#closedError();
    const there = this.#follow();
    const worthKeeping = !isFresh(this.readState());
    let aside: string | null = null;
    this.#end(there ? 'close' : 'abandon', () => {
      if (worthKeeping) aside = this.#open.setAside();
      else this.#open.remove();
    });
    return aside;
  }

  /**
   * One round for an end of a RingChannel, which no client or server polls: moves what writers have pushed into the queue,
   * hands what has arrived to `onMessage`, which pops it, and tells `onDisconnect` when the other end was closed or its
   * thread has ended (another thread may open it again).
   */
  poll(handlers: ConnectionHandlers): void {
    if (this.#closed) throw this.#closedError();
    const link = this.#link;
    if (this.#writers !== null) this.#drain(this.#writers, false);
    if (handlers.onMessage !== undefined) this.deliver(handlers.onMessage, MESSAGES_PER_POLL);
    if (link === null || this.#closed) return;
    link.poll(0);
    if (link.ended !== null) handlers.onDisconnect?.(this, link.ended, link.error);
  }

  /**
   * @internal Once per heartbeat interval, connected or not: shows who wants this side that its owner is alive. False
   * when it is another one's by now: then `disconnect` tells it.
   */
  renew(): boolean {
    if (this.#closed) return true;
    if (!this.follow()) return this.#fence === null;
    if (!this.#consumer.held) this.#pursuit.closeUnused();
    this.#open.renew();
    return true;
  }

  /**
   * @internal Brings the connection to the file that its session has moved to, if it has. False when that cannot be now,
   * because it is being moved or, with a `fence`, at all.
   */
  follow(): boolean {
    if (!isMoved(this.#notices)) return true;
    try {
      return this.#search();
    } catch (error) {
      if (!(error instanceof TcpshmError)) throw error;
      this.#fence = error;
      return false;
    }
  }

  /** @internal Why this process can no longer use the session, where a poll has noticed it. */
  get fence(): TcpshmError | null {
    return this.#fence;
  }

  /** @internal Where the session is kept. */
  get open(): OpenSegment {
    return this.#open;
  }

  /** @internal What this side knows of both queues. */
  readState(): SideState {
    const state = readSideState(this.#open.segment, this.#open.role);
    if (this.#durability === null) return state;
    // The peer frees what it is told to be popped.
    const { position, popped } = this.#durability;
    return { ...state, popped: { position: position >>> 0, sequence: popped } };
  }

  /** @internal The session by its id, and how this side has it. */
  get mine(): { readonly sessionId: string; readonly state: SideState } {
    return { sessionId: this.#open.segment.identity.sessionId, state: this.readState() };
  }

  /** @internal What the peer wrote into the rings and must not have. */
  get violation(): TcpshmError | null {
    return this.#violation;
  }

  /**
   * @internal The peer may take the login for complete from here on, so the session stays, whatever becomes of the
   * login here.
   */
  keep(): void {
    this.#keeps = true;
  }

  /** @internal Whether the session stays: if not, it is not certain yet that the peer has it. */
  get kept(): boolean {
    return this.#keeps;
  }

  /**
   * @internal After a login that failed: a connection that was only made for it goes again, and so does the session
   * if it was begun for it. (One that was found stays, even if nothing was sent in it yet: the peer may have sent.)
   */
  abandonLogin(): void {
    if (!this.#closed && !this.#keeps) {
      this.close({ remove: this.#open.begun && isFresh(this.readState()) });
    }
  }

  /** @internal Shared memory: a link that tells of the peer. */
  attach(link: Link, loginData: Uint8Array): void {
    this.#keeps = true;
    this.#link = link;
    this.#loginData = loginData;
  }

  /** @internal Two copies: a link that keeps them equal, from where the peer has them. */
  attachReplicated(
    talk: Conversation,
    options: LivenessOptions,
    peer: SideState,
    loginData: Uint8Array,
  ): void {
    const ends = this.#ends();
    const { acknowledger, outgoing } = ends;
    acknowledger.popUpTo(peer.popped.position | 0, this.#producer.published);
    if (this.#durability === null) acknowledger.reclaim();
    const replication = new Replication(
      { ...ends, replica: this.#replica as RingReplica, durability: this.#durability },
      peer.received.position | 0,
    );
    this.#pump = new WireLink(talk.wire, talk.reader, options, replication, outgoing);
    this.attach(this.#pump, loginData);
  }

  /** @internal The link of another thread's connection, over its wire: goes on there, whatever was in the middle. */
  resume(
    wire: Wire,
    state: Extract<LinkState, { readonly kind: 'wire' }>,
    options: LivenessOptions,
    loginData: Uint8Array,
  ): void {
    const { replication: replicated } = state;
    if (replicated === null) {
      this.attach(resumeLink(wire, state, options, null, null), loginData);
      return;
    }
    const ends = this.#ends();
    const rings = { ...ends, replica: this.#replica as RingReplica, durability: this.#durability };
    const replication = new Replication(rings, replicated);
    this.#pump = resumeLink(wire, state, options, replication, ends.outgoing);
    this.attach(this.#pump, loginData);
  }

  /**
   * @internal Gives session and link up for another thread, where a connection goes on as if it were this one. Null
   * where that cannot be now: without a link, while a message is allocated or a batch is open, and while the session
   * moves to a fresh file or is another process's (which the next poll tells). Throws ERR_FILE when a journal with
   * durability 'disk' cannot be written, ERR_OPTION when the session is kept in what no other thread can open. Else, and
   * when it throws, the connection is closed here.
   */
  handOver(now: number): Handover | null {
    if (this.#closed) throw this.#closedError();
    const link = this.#link;
    if (link === null || this.#producer.busy || !this.follow()) return null;
    let handover: Handover | null = null;
    this.#end('keep', () => {
      try {
        handover = this.#pass(link, now);
      } finally {
        // Unless it was handed over.
        link.abandon();
      }
    });
    return handover;
  }

  /** @internal A shared segment whose liveness is told over a wire. */
  attachShared(talk: Conversation, options: LivenessOptions, loginData: Uint8Array): void {
    this.attach(new WireLink(talk.wire, talk.reader, options, null, null), loginData);
  }

  /** @internal Whether there is something to disconnect: a link that has ended stays until then, and a fence. */
  get attached(): boolean {
    return this.#link !== null || this.#fence !== null;
  }

  /** @internal Lets the link work. False once it has ended, for good: then `disconnect` tells why. */
  pollLink(now: number): boolean {
    // Over tcp nothing must go out while it is not known whether the session is still this process's.
    if (isMoved(this.#notices) && !this.follow()) return this.#fence === null;
    const link = this.#link;
    this.#flusher?.poll();
    if (link === null) return true;
    if (this.#flusher !== null && this.#flusher.failure !== null) return false;
    if (this.#violation !== null) return false;
    if (link.ended === null) link.poll(now);
    return link.ended === null;
  }

  /** @internal What to call when a push or a pop needs a poll to go out, while nobody polls. */
  set onStir(call: (() => void) | null) {
    this.#onStir = call;
    if (this.#pump !== null) this.#pump.onStir = call;
  }

  /** @internal Whether something moved since this was last asked. */
  takeMoved(): boolean {
    const moved = this.#moved || (this.#pump?.received ?? false);
    this.#moved = false;
    return moved;
  }

  /** @internal The socket of the link, if it has one. */
  get wire(): Wire | null {
    return this.#link?.wire ?? null;
  }

  /** @internal Whether something is to be sent that the socket did not take yet. */
  get sending(): boolean {
    return this.#pump?.sending ?? false;
  }

  /** @internal Whether some more polls are needed before it may sleep: to acknowledge what was popped. */
  get owes(): boolean {
    return this.#pump?.owes ?? false;
  }

  /** @internal Whether there is something to do that no bell and no socket will tell of. */
  get restless(): boolean {
    return (
      this.#fence !== null ||
      this.#consumer.held ||
      this.#writers?.waiting === true ||
      this.#violation !== null ||
      (this.#link !== null && this.#link.ended !== null) ||
      (this.#durability !== null && (this.#durability.writing || !this.#durability.clean))
    );
  }

  /**
   * @internal Goes to sleep: from here on the peer that shares memory with it rings `bell` when it has published something
   * or handed space back. False when there is something already: then it stays awake. Without `delivers` its user looks
   * for messages when he likes.
   */
  park(bell: Bell, delivers: boolean): boolean {
    const { segment, role } = this.#open;
    const place = segment.parking[role];
    const shared = this.transport !== 'tcp';
    if (shared) {
      place.hang(bell);
      place.park();
    }
    this.#writers?.park(bell);
    const stirs =
      (shared &&
        ((delivers && this.#consumer.unseen) || this.#producer.relieved || isMoved(segment.notices))) ||
      this.#writers?.waiting === true;
    if (!stirs) return true;
    this.unpark();
    return false;
  }

  /** @internal Whether others ring when it sleeps: its peer, or its writers. */
  get rung(): boolean {
    return this.transport !== 'tcp' || this.#writers !== null;
  }

  /** @internal Awake again. */
  unpark(): void {
    if (this.#closed) return;
    const { segment, role } = this.#open;
    if (this.transport !== 'tcp') segment.parking[role].leave();
    this.#writers?.unpark();
  }

  /**
   * @internal After the end of the link: hands out what has arrived before, which is the user's, forgets the link,
   * and tells him. If a handler throws, nothing is forgotten, and the next call goes on there. `left` is called
   * before `onDisconnect`.
   */
  disconnect(handlers: ConnectionHandlers, left: () => void): void {
    if (this.#violation === null && this.#fence === null && handlers.onMessage !== undefined) {
      try {
        this.deliver(handlers.onMessage, Number.POSITIVE_INFINITY);
      } catch (error) {
        if (this.#violation !== error) throw error;
      }
      if (this.#closed) return;
    }
    if (this.#fence !== null) {
      const fence = this.#fence;
      this.#shut();
      left();
      handlers.onDisconnect?.(this, fence.code === 'ERR_FENCED' ? 'taken over' : 'protocol violated', fence);
      return;
    }
    const link = this.#link;
    const violation = this.#violation;
    const failure = this.#flusher?.failure ?? null;
    const ended = link?.ended ?? (failure === null ? 'protocol violated' : 'journal failed');
    const reason = violation === null ? ended : 'protocol violated';
    link?.close();
    this.#link = null;
    this.#pump = null;
    this.#violation = null;
    left();
    try {
      handlers.onDisconnect?.(this, reason, violation ?? link?.error ?? failure);
    } finally {
      // Between threads there is no wire whose end would tell the peer.
      if (violation !== null && this.transport === 'inproc') this.close();
    }
  }

  /**
   * @internal Gives up to `limit` messages to a handler; stops when it leaves one un-popped. Throws ERR_PROTOCOL as
   * `front` does, which is the `violation` then, and what the handler throws.
   */
  deliver(onMessage: (connection: Connection, message: Message) => void, limit: number): void {
    for (let i = 0; i < limit; i++) {
      // A fence is for `pollLink` to notice.
      if (isMoved(this.#notices) && !this.follow()) return;
      const message = this.front();
      if (message === null) return;
      const { position } = this.#consumer;
      onMessage(this, message);
      if (this.#closed || this.#consumer.position === position) return;
      this.#moved = true;
    }
  }

  /**
   * @internal Moves what writers have pushed into the queue: to be called by every poll, before the link sends. False
   * when nothing was moved. What is wrong with the queue is for `pollLink` to tell, what is wrong with a writer is thrown.
   */
  drainWriters(): boolean {
    if (this.#writers === null) return false;
    try {
      return this.#drain(this.#writers, false);
    } catch (error) {
      if (error === this.#violation) return false;
      throw error;
    }
  }

  /** @internal The peer did what the protocol does not allow: the link ends with the next poll. */
  violate(error: TcpshmError): void {
    this.#violation = error;
  }

  #drain(writers: Writers, all: boolean): boolean {
    // A fence is for `pollLink` to notice.
    if (isMoved(this.#notices) && !this.follow()) return false;
    try {
      if (!all) return writers.drain();
      writers.drainAll();
      return false;
    } catch (error) {
      throw this.#noticed(error);
    }
  }

  /** Before the end: what they have pushed is moved into the queue, as far as it has room. */
  #closeWriters(): void {
    if (this.#writers === null) return;
    // What was not published here would be in the way, and goes anyway.
    this.#producer.retract();
    this.#writers.close(true);
  }

  /** `search` for the calls of the user, to whom a fence is thrown: nothing else tells him. */
  #follow(): boolean {
    try {
      return this.#search();
    } catch (error) {
      this.#shut();
      throw error;
    }
  }

  /** Before a claim, which replaces the one before: that one need not be taken along. */
  #followToAlloc(): boolean {
    this.#producer.forget();
    return this.#follow() && !isMoved(this.#notices);
  }

  /**
   * A message was published, and there is something to notice. Either the message is in the copy of who moves the
   * session, or this sees it: then it is taken along from here.
   */
  #published(): void {
    if (isMoved(this.#notices)) this.#followNow();
    this.#rouser.published();
  }

  /**
   * The same for a pop, which is in the copy, or is repeated there. Or, when this side is fenced, the message comes again
   * to its successor, and this throws before anybody can answer it.
   */
  #popped(): void {
    if (isMoved(this.#notices)) this.#followNow();
    this.#rouser.reclaimed(this.#consumer);
  }

  /**
   * After a message was published or popped: that must not be lost if this process dies at once, so the move is waited
   * for, if it takes no longer than a move of a usual queue.
   */
  #followNow(): void {
    for (let i = 0; i < MOVING_MS && !this.#follow(); i++) Atomics.wait(NOBODY, 0, 0, 1);
  }

  #frontThere(): Message | null {
    return this.#follow() ? this.#consumer.front() : null;
  }

  /** Goes after a session that has moved, as `Pursuit.search` does, and works in the file that it has led to. */
  #search(): boolean {
    const pursuit = this.#pursuit;
    try {
      return pursuit.search();
    } finally {
      this.#open = pursuit.open;
      this.#producer = pursuit.producer;
      this.#consumer = pursuit.consumer;
      if (this.#notices !== pursuit.notices) {
        this.#notices = pursuit.notices;
        const { segment, role } = pursuit.open;
        this.#rouser = new Rouser(segment.parking[otherRole(role)]);
        segment.parking[role].leave();
      }
    }
  }

  /** The end of a connection whose session is another process's, without a word to the peer. */
  #shut(): void {
    this.#end('abandon', () => this.#open.close());
  }

  #pass(link: Link, now: number): Handover {
    const { client, server, sessionId } = this.#open.segment.identity;
    const place = this.#open.pass();
    if (place === null) {
      throw new TcpshmError('ERR_OPTION', `a session in ${this.#open.where} cannot be handed to a thread`);
    }
    return {
      transport: this.transport,
      place,
      client,
      server,
      sessionId,
      loginData: this.#loginData,
      link: this.#violation === null ? link.handOver(now) : endedBy(this.#violation),
    };
  }

  /** Closes everything, the link and the session in the ways given. */
  #end(linkGoes: 'close' | 'abandon' | 'keep', closeSession: () => void): void {
    if (this.#closed) return;
    this.#closed = true;
    if (linkGoes === 'close') this.#link?.close();
    else if (linkGoes === 'abandon') this.#link?.abandon();
    this.#link = null;
    this.#pump = null;
    this.#fence = null;
    this.#writers?.close(false);
    this.#writers = null;
    this.#producer.message.expire();
    this.#consumer.message.expire();
    this.#pursuit.closeLeft();
    const tellPeer = this.#rouser.end();
    let failure: TcpshmError | null = null;
    try {
      closeSession();
    } catch (error) {
      failure = error as TcpshmError;
      throw error;
    } finally {
      tellPeer();
      this.#flusher?.close(failure);
      this.#onClosed(this);
    }
  }

  #ends(): JournalEnds {
    const { segment, role } = this.#open;
    return {
      outgoing: segment.outgoing(role),
      producer: this.#producer,
      acknowledger: this.#acknowledger as RingConsumer,
      incoming: segment.incoming(role),
      consumer: this.#consumer,
    };
  }

  #noticed(error: unknown): unknown {
    if (error instanceof TcpshmError && error.code === 'ERR_PROTOCOL') this.#violation = error;
    return error;
  }

  #closedError(): TcpshmError {
    return new TcpshmError(
      'ERR_CLOSED',
      `the connection of '${this.localName}' to '${this.remoteName}' is closed`,
    );
  }
}

function endedBy({ code, message }: TcpshmError): LinkState {
  return { kind: 'ended', reason: 'protocol violated', error: { code, message } };
}
