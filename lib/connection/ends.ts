import { TcpshmError } from '../errors.js';
import { barrier } from '../memory/order.js';
import { Clearing } from '../ring/clearing.js';
import { RingConsumer } from '../ring/consumer.js';
import { Lingering } from '../ring/lingering.js';
import type { Message } from '../ring/message.js';
import { RingProducer } from '../ring/producer.js';
import { otherRole } from '../session/names.js';
import { isMoved } from '../session/notices.js';
import type { Bell } from '../session/parking.js';
import { NOTICE_PARKED } from '../session/segment.js';
import { readSideState, type SideState } from '../session/state.js';
import type { OpenSegment } from '../store/openSegment.js';
import { Pursuit } from '../store/pursuit.js';
import { Rouser } from '../wire/rouser.js';
import type { WireLink } from '../wire/wireLink.js';
import { NO_TALLY, type Tally } from './tally.js';

/** How long a call that has published or popped waits at most while the session is moved to a fresh file. */
const MOVING_MS = 100;
const NOBODY = new Int32Array(new SharedArrayBuffer(4));

/**
 * The ends of the two queues that a side works with, in the memory where its session is now: goes along when that is
 * moved to a fresh file, and wakes a peer that sleeps on the same memory. What each call of the user looks at is here.
 */
export class Ends {
  /** Set by who ends the side. */
  closed = false;
  producer: RingProducer;
  consumer: RingConsumer;
  /** What the file that the producer is in has to say: that the session has moved, or that the peer sleeps. */
  notices: Int32Array;
  /** Index in it of the peer's parking. */
  readonly peerParked: number;
  /** Where the session is kept. */
  open: OpenSegment;
  /** What the peer wrote into the rings and must not have: ends the link at the next poll. */
  violation: TcpshmError | null = null;
  /** Why this process can no longer use the session, where a poll has noticed it: that tells it, and closes the side. */
  fence: TcpshmError | null = null;
  /** Set while a poll serves who reads: a fence is the poll's to tell then, whoever in it has run into it. */
  served = false;
  /** The link, if it moves what is in the rings: to be told of each push and pop. */
  pump: WireLink | null = null;
  readonly #pursuit: Pursuit;
  readonly #shut: () => void;
  readonly #lingering: Lingering | null;
  readonly #clearing: Clearing | null;
  #rouser: Rouser;
  /** What was counted by others before: in another thread, and by the ends in files that the session has left. */
  #before: Tally;
  readonly #pushedBefore: number;
  readonly #poppedBefore: number;

  /**
   * `shared` says that the peer is at work in the same memory. `shut` ends the side, before a call of the user throws that
   * the session is another process's. `before` is what was counted of the same connection in another thread.
   */
  constructor(open: OpenSegment, shared: boolean, shut: () => void, before: Tally = NO_TALLY) {
    const { segment, role } = open;
    this.producer = new RingProducer(segment.outgoing(role));
    this.consumer = new RingConsumer(segment.incoming(role));
    this.notices = segment.notices;
    this.peerParked = NOTICE_PARKED[otherRole(role)];
    this.open = open;
    this.#pursuit = new Pursuit(open, this.producer, this.consumer);
    this.#shut = shut;
    this.#rouser = new Rouser(segment.parking[otherRole(role)]);
    this.#lingering = shared ? new Lingering(this, this.consumer.popped) : null;
    this.#clearing = shared ? new Clearing(segment.incoming(role).capacity) : null;
    this.#equip();
    this.#before = before;
    this.#pushedBefore = this.producer.pushed;
    this.#poppedBefore = this.consumer.popped;
    segment.parking[role].leave();
  }

  /** What went through the queues, and how often the peer was rung for it. */
  get tally(): Tally {
    const { producer, consumer } = this;
    const before = this.#before;
    return {
      ...before,
      sentMessages: before.sentMessages + producer.pushed - this.#pushedBefore,
      sentBytes: before.sentBytes + producer.publishedBytes,
      fullAllocs: before.fullAllocs + producer.refusals,
      fullPeriods: before.fullPeriods + producer.stalls,
      highWaterBytes: Math.max(before.highWaterBytes, producer.highWater),
      receivedMessages: before.receivedMessages + consumer.popped - this.#poppedBefore,
      receivedBytes: before.receivedBytes + consumer.poppedBytes,
      rings: before.rings + this.#rouser.rings,
    };
  }

  /** Largest message that can be sent, in bytes. */
  get maxMessageBytes(): number {
    return this.open.segment.outgoing(this.open.role).maxMessageBytes;
  }

  /** What this side knows of both queues. */
  get state(): SideState {
    return readSideState(this.open.segment, this.open.role);
  }

  /**
   * Goes to the file that the session has moved to, if it has. False when that cannot be now, because it is being moved
   * or, with a `fence`, at all.
   */
  follow(): boolean {
    if (!isMoved(this.notices)) return true;
    try {
      return this.#search();
    } catch (error) {
      if (!(error instanceof TcpshmError)) throw error;
      this.fence = error;
      return false;
    }
  }

  /** The same for calls of the user, to whom a fence is thrown: nothing else tells him, unless a poll does. */
  followOrThrow(): boolean {
    try {
      return this.#search();
    } catch (error) {
      if (!this.served || !(error instanceof TcpshmError)) {
        this.#shut();
        throw error;
      }
      this.fence ??= error;
      throw this.fence;
    }
  }

  /** Before a claim, which replaces the one before: that one need not be taken along. */
  followToClaim(): boolean {
    this.producer.forget();
    return this.followOrThrow() && !isMoved(this.notices);
  }

  /**
   * A message was published, and there is something to notice. Either the message is in the copy of who moves the
   * session, or this sees it: then it is taken along from here.
   */
  published(): void {
    if (isMoved(this.notices)) this.#followNow();
    this.#rouser.published();
  }

  /**
   * A message was popped, and the session has moved: the pop is in the copy, or is repeated there. Or, when this side is
   * fenced, the message comes again to its successor, and this throws before anybody can answer it.
   */
  popped(): void {
    this.#followNow();
  }

  /**
   * A message was found, or none, and the session has moved: gives the one that counts. Called behind the look into the
   * ring: what a fenced peer has pushed into a file that the session has left does not count, and what was pushed before
   * is in the copy.
   */
  frontThere(): Message | null {
    return this.followOrThrow() ? this.consumer.front() : null;
  }

  /** Whether this was thrown for what the next `disconnect` tells of. */
  isTold(thrown: unknown): boolean {
    return thrown !== null && (thrown === this.violation || thrown === this.fence);
  }

  /**
   * What the rings threw: if it is the peer's fault, it is known as that from here on. But where a part of the file is
   * gone, or the session is another process's, that is what is thrown: what reads there is nobody's fault.
   */
  noticed(error: unknown): unknown {
    if (this.closed || !(error instanceof TcpshmError) || error.code !== 'ERR_PROTOCOL') return error;
    if (isMoved(this.notices)) {
      try {
        this.followOrThrow();
      } catch (reason) {
        return reason;
      }
    }
    this.violation = error;
    return error;
  }

  /**
   * From here on the peer rings `bell` when it has published something or handed space back. False where that cannot be
   * relied on (parking.ts).
   */
  park(bell: Bell): boolean {
    const { segment, role } = this.open;
    const place = segment.parking[role];
    place.hang(bell);
    place.park();
    return barrier();
  }

  /** Whether there is something other than messages to be awake for, seen after `park`. */
  get stirs(): boolean {
    return this.producer.relieved || isMoved(this.open.segment.notices);
  }

  unpark(): void {
    const { segment, role } = this.open;
    segment.parking[role].leave();
  }

  /** Once per heartbeat interval: shows who wants this side that its owner is alive. May leave a `fence`. */
  renew(): void {
    if (!this.consumer.held) this.#pursuit.closeUnused();
    try {
      this.open.renew();
    } catch (error) {
      if (!(error instanceof TcpshmError)) throw error;
      this.fence = error;
    }
  }

  /** Before `open` is closed: gives what tells the peer, to be called after. */
  end(): () => void {
    this.fence = null;
    this.producer.message.expire();
    this.consumer.message.expire();
    this.#pursuit.closeLeft();
    return this.#rouser.end();
  }

  /** Space was handed back, for which the peer may sleep. */
  readonly #reclaimed = (): void => this.#rouser.reclaimed(this.consumer);

  /** Gives the consumer what it has of this side, in whatever file it is. */
  #equip(): void {
    this.consumer.onReclaimed = this.#reclaimed;
    this.consumer.lingering = this.#lingering;
    this.consumer.clearing = this.#clearing;
  }

  /** Others go on in the place of these ends. The consumer may have popped again what this one has counted. */
  #replace(producer: RingProducer, consumer: RingConsumer): void {
    const { producer: lastProducer, consumer: lastConsumer } = this;
    const before = this.#before;
    if (producer !== lastProducer) {
      this.#before = {
        ...this.#before,
        sentBytes: before.sentBytes + lastProducer.publishedBytes,
        fullAllocs: before.fullAllocs + lastProducer.refusals,
        fullPeriods: before.fullPeriods + lastProducer.stalls,
        highWaterBytes: Math.max(before.highWaterBytes, lastProducer.highWater),
      };
    }
    if (consumer !== lastConsumer) {
      const receivedBytes = before.receivedBytes + lastConsumer.poppedBytes - consumer.poppedBytes;
      this.#before = { ...this.#before, receivedBytes };
    }
    this.producer = producer;
    this.consumer = consumer;
  }

  /**
   * After a message was published or popped: that must not be lost if this process dies at once, so the move is waited
   * for, if it takes no longer than a move of a usual queue.
   */
  #followNow(): void {
    for (let i = 0; i < MOVING_MS && !this.followOrThrow(); i++) Atomics.wait(NOBODY, 0, 0, 1);
  }

  /** Goes after a session that has moved, as `Pursuit.search` does, and works in the file that it has led to. */
  #search(): boolean {
    const pursuit = this.#pursuit;
    try {
      return pursuit.search();
    } finally {
      this.open = pursuit.open;
      this.#replace(pursuit.producer, pursuit.consumer);
      if (this.notices !== pursuit.notices) {
        this.notices = pursuit.notices;
        const { segment, role } = pursuit.open;
        this.#before = { ...this.#before, rings: this.#before.rings + this.#rouser.rings };
        this.#rouser = new Rouser(segment.parking[otherRole(role)]);
        segment.parking[role].leave();
      }
      this.#equip();
    }
  }
}
