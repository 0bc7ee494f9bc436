import { abortSignal, checkOptions, type WaitOptions } from '../options.js';
import type { Message } from '../ring/message.js';
import type { Transport } from '../session/loginMessages.js';
import { isMoved as isMovedThere, isNoticed as isNoticedThere } from '../session/notices.js';
import type { ReplicationState } from '../session/replication.js';
import type { OpenSegment } from '../store/openSegment.js';
import type { WriterHandle } from '../writer/handle.js';
import type { WriterOptions } from '../writer/writers.js';
import type { ConnectionState, ConnectionStats } from './connectionStats.js';
import type { Ends } from './ends.js';
import type { Watermarks } from './room.js';
import { Side, type SideHandlers } from './side.js';
import { NO_TALLY, type Tally } from './tally.js';
import { untilAborted } from './waiter.js';

// Copied for the hot paths: an imported binding is loaded and checked at each use (ring/README.md).
const isMoved = isMovedThere;
const isNoticed = isNoticedThere;

/** Most messages that one connection delivers before the others have their turn. */
export const MESSAGES_PER_POLL = 64;

/** What a poll calls. */
export interface ConnectionHandlers extends SideHandlers<Connection> {}

/** @internal A connection of a session that was opened: if it cannot be one, the session is given up again. */
export function makeConnection(
  open: OpenSegment,
  transport: Transport,
  onClosed: (connection: Connection) => void,
  replicated: ReplicationState | null = null,
  tally: Tally = NO_TALLY,
): Connection {
  try {
    return new Connection(open, transport, onClosed, replicated, tally);
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
  /**
   * Of a connection that a server polls in its own thread: which of those that are connected it is. The lowest number
   * that was free when the client logged in; free again once `onDisconnect` was told. Null before, and elsewhere.
   */
  number: number | null = null;
  /** @internal What keeps it up. */
  readonly side: Side<Connection>;
  private readonly _ends: Ends;

  /**
   * @internal With `replicated`, goes on where another connection of the session was, whose link is to be resumed, and
   * with `tally` counts on.
   */
  constructor(
    open: OpenSegment,
    transport: Transport,
    onClosed: (connection: Connection) => void,
    replicated: ReplicationState | null = null,
    tally: Tally = NO_TALLY,
  ) {
    const { role } = open;
    const { client, server } = open.segment.identity;
    this.transport = transport;
    this.localName = role === 'client' ? client : server;
    this.remoteName = role === 'client' ? server : client;
    this.side = new Side<Connection>(this, open, transport, onClosed, replicated, tally);
    this._ends = this.side.ends;
  }

  /**
   * Room for a message of `sizeBytes`, to be filled in and pushed; null when the queue is full. It reads zero; from
   * 32 KiB on, or an eighth of a smaller queue, it reads anything. Allocating again before the push replaces it. Throws a
   * RangeError for a size that no message can have (larger than a quarter of the capacity), ERR_CLOSED after `close`,
   * ERR_PROTOCOL when the peer's position in the queue cannot be true, ERR_FENCED, as all calls do, when another process
   * has taken over this side because this one was silent.
   */
  alloc(sizeBytes: number): Message | null {
    const ends = this._ends;
    if (ends.closed) throw this.side.closedError();
    // What is claimed in a file that the session has left is published there: so it is looked at first.
    if (isMoved(ends.notices) && !ends.followToClaim()) return null;
    try {
      return ends.producer.claim(sizeBytes);
    } catch (error) {
      throw ends.noticed(error);
    }
  }

  /**
   * Makes the allocated message shorter before it is pushed: for when its size is known only once it is written. Costs
   * the clearing of what is given back. Throws ERR_NO_MESSAGE without one, a RangeError for what is longer.
   */
  truncate(sizeBytes: number): void {
    this._throwIfClosed();
    this._ends.producer.truncate(sizeBytes);
  }

  /** Sends the allocated message, and those of `pushMore` with it. Throws ERR_NO_MESSAGE without one. */
  push(): void {
    const ends = this._ends;
    if (ends.closed) throw this.side.closedError();
    ends.producer.push();
    if (isNoticed(ends.notices, ends.peerParked)) ends.published();
    if (ends.pump !== null) ends.pump.pushed();
  }

  /**
   * Completes the allocated message as part of a batch: the batch becomes visible to the peer with the next `push`
   * or `publish`, at once or, if this process dies before, not at all.
   */
  pushMore(): void {
    const ends = this._ends;
    if (ends.closed) throw this.side.closedError();
    ends.producer.pushMore();
    if (isMoved(ends.notices)) ends.followOrThrow();
  }

  /** Sends what `pushMore` has gathered: for when `alloc` finds no room for the last message of a batch. */
  publish(): void {
    const ends = this._ends;
    if (ends.closed) throw this.side.closedError();
    ends.producer.publish();
    ends.published();
    if (ends.pump !== null) ends.pump.pushed();
  }

  /**
   * The oldest message that has arrived, or null. The same one again, also after a crash, until `pop`. Throws
   * ERR_PROTOCOL when the peer wrote what cannot be a message.
   */
  front(): Message | null {
    const ends = this._ends;
    if (ends.closed) throw this.side.closedError();
    try {
      const message = ends.consumer.front();
      return isMoved(ends.notices) ? ends.frontThere() : message;
    } catch (error) {
      throw ends.noticed(error);
    }
  }

  /** Done with the message that `front` gave, or that a handler got. Throws ERR_NO_MESSAGE without one. */
  pop(): void {
    const ends = this._ends;
    if (ends.closed) throw this.side.closedError();
    ends.consumer.pop();
    if (isMoved(ends.notices)) ends.popped();
    if (ends.pump !== null) ends.pump.popped();
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
      this._ends.producer.forget();
      throw error;
    }
    this.push();
    return true;
  }

  /**
   * Resolves when there is room for a message of `sizeBytes`, at once if there is, else by a poll that sees it; after
   * those who have waited before. Others may take it before the promise's turn, so `alloc` has the last word. Rejects with
   * a RangeError for a size that no message can have, ERR_CLOSED when the connection is closed, and the signal's reason.
   * A disconnect rejects nothing, as the session goes on after it.
   */
  writable(sizeBytes: number, options: WaitOptions = {}): Promise<void> {
    if (this._ends.closed) return Promise.reject(this.side.closedError());
    return this.side.room.add(() => this._ends.producer.hasRoom(sizeBytes), options.signal);
  }

  /**
   * Has polls tell when the queue that this side writes becomes too full, and when it is in order again after that. What
   * was popped but is not handed back yet counts as full: up to 32 KiB while the peer is busy. Replaces the ones before.
   * Throws ERR_OPTION, ERR_CLOSED.
   */
  watermarks(marks: Watermarks): void {
    this._throwIfClosed();
    checkOptions(marks, ['onHigh', 'onLow']);
    this.side.room.watch(marks);
  }

  /**
   * Lets another thread of this process send: gives a handle to be posted to it, and opened there with
   * {@link ConnectionWriter.open}. One writer for each thread, any number of them. What they push is moved into the queue
   * by every poll of this connection, connected or not, in turn, as far as there is room and while no message is
   * allocated here and no batch open. Then `pushed` counts it; before, it is lost if this process dies. A writer lasts
   * until it or the connection is closed. Throws ERR_CAPACITY, ERR_OPTION, ERR_CLOSED.
   */
  writer(options: WriterOptions = {}): WriterHandle {
    this._throwIfClosed();
    checkOptions(options);
    return this.side.writer(options);
  }

  /**
   * Resolves once everything pushed and popped so far is safe as its durability words it: with 'process' at once, with
   * 'disk' when it is on the disk. (The write ends in another thread: the event loop must turn to hear of it, and no
   * poll is needed.) What writers have pushed is moved into the queue first; what finds no room there is not covered.
   * Rejects with ERR_FILE when the disk fails, ERR_CLOSED after `close`, and the signal's reason: the write goes on then.
   */
  async flush(options: WaitOptions = {}): Promise<void> {
    this._throwIfClosed();
    checkOptions(options);
    const signal = abortSignal(options.signal);
    signal?.throwIfAborted();
    await untilAborted(this.side.flush(), signal);
  }

  /** Whether it keeps the process alive while `run` sleeps: it does, until `unref`. */
  ref(): void {
    this.side.refed = true;
  }
  /** Lets the process end while `run` sleeps, though this is open. */
  unref(): void {
    this.side.refed = false;
  }

  /** Messages pushed since the session began, by this process and by those before it. */
  get pushed(): number {
    return this._ends.producer.pushed;
  }

  /** Messages popped since the session began. */
  get popped(): number {
    return this._ends.consumer.popped;
  }

  /**
   * What has gone through this connection, how full its queues are, and how fast its peer answers. Costs the hot path
   * nothing and this call some microseconds, more the more messages wait (up to 4096 are counted). May be called at any
   * time, also after `close`: then it gives what it was. Never throws.
   */
  stats(): ConnectionStats {
    const { localName, remoteName, transport, state, side } = this;
    return Object.freeze({ localName, remoteName, transport, state, ...side.measure() });
  }

  /** Largest message that can be sent, in bytes. */
  get maxMessageBytes(): number {
    return this._ends.maxMessageBytes;
  }

  /**
   * Whether the peer is there. Disconnected, messages can be pushed and popped all the same; closed, whatever
   * reads or writes messages throws ERR_CLOSED.
   */
  get state(): ConnectionState {
    return this.side.state;
  }

  /** What the peer sent along with the last login: the client's user data, or the server's reply to it. */
  get loginData(): Uint8Array {
    return this.side.peer.loginData;
  }

  /** The version of the user's protocol that the last login has agreed on; null where a side said nothing of it. */
  get protocolVersion(): number | null {
    return this.side.peer.protocolVersion || null;
  }

  /**
   * Ends the connection and tells the peer. What was pushed and what was not popped stays in the session for the
   * next login, where it is kept in a file; with `remove` it is deleted, for good. The object is of no use
   * afterwards, nor are its writers: what they have pushed is moved into the queue first, as far as there is room (and
   * not with `remove`), and the rest is lost. Twice is harmless. With durability 'disk' all is safe when this returns;
   * throws ERR_FILE when the disk fails, closed all the same.
   */
  close(options: { readonly remove?: boolean } = {}): void {
    this.side.close(options.remove ?? false);
  }

  /** As `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** As `flush` and then `close`, for `await using`. Harmless once it is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this._ends.closed) return;
    try {
      await this.side.flush();
    } finally {
      this.close();
    }
  }

  /**
   * Gives the session up to begin it anew: for when both sides cannot go on with it (`onSequenceMismatch`). Closes the
   * connection, and its writers with what was not moved yet; the file of the session is kept under another name, which
   * this gives (null where there is none), and is listed by `listSessions`. The next login begins a new session, once the
   * other side has done the same. Throws ERR_FILE when the file cannot be renamed, ERR_CLOSED.
   */
  resetSession(): string | null {
    this._throwIfClosed();
    return this.side.resetSession();
  }

  /**
   * One round for an end of a RingChannel, which no client or server polls (`RingChannel.run` does it): moves what
   * writers have pushed into the queue, hands what has arrived to `onMessage`, which pops it, and tells `onDisconnect`
   * when the other end was closed or its thread has ended (another thread may open it again).
   */
  poll(handlers: ConnectionHandlers): void {
    this._throwIfClosed();
    this.side.poll(handlers, MESSAGES_PER_POLL);
  }

  private _throwIfClosed(): void {
    if (this._ends.closed) throw this.side.closedError();
  }
}
