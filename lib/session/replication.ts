import { TcpshmError } from '../errors.js';
import type { Block } from '../memory/copy.js';
import { advance, distance, shown } from '../memory/wrap.js';
import type { RingConsumer } from '../ring/consumer.js';
import { RECORDS } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import type { RingProducer } from '../ring/producer.js';
import type { RingReplica, Unfinished } from '../ring/replica.js';
import type { Durability } from './durability.js';
import { FrameHeader, FrameKind } from './frame.js';

/** Most payload of one frame: acknowledgements ride in headers, so a frame should not take long. */
const MAX_FRAME_BYTES = 256 * 1024;

/** Empty polls after which popped messages are acknowledged without waiting for something to send. */
const IDLE_POLLS = 2;

/** The rings of a session whose two copies are kept equal over a socket, with the ends that stand in for the peer. */
export interface ReplicatedRings {
  /** What this side writes. */
  readonly outgoing: RingMemory;
  readonly producer: RingProducer;
  /** Pops, in the journal, what the peer has popped from its copy. */
  readonly acknowledger: RingConsumer;
  /** What this side reads. */
  readonly incoming: RingMemory;
  readonly replica: RingReplica;
  readonly consumer: RingConsumer;
  /** What may leave this side, where it is not the producer and the consumer who say it. */
  readonly durability: Durability | null;
}

/** What a replication knows beside its rings, as plain data: another one can go on in the same rings. */
export interface ReplicationState {
  /** What has arrived of a record that is not whole. A frame may end in the middle of one. */
  readonly unfinished: Unfinished;
  readonly sent: number;
  readonly told: number;
  readonly greeted: boolean;
  readonly acknowledged: number;
  readonly acknowledgedSequence: number;
  /** The frame that is going out: its header, how much of that went, and the rest of its payload. Null between frames. */
  readonly frame: {
    readonly header: Uint8Array;
    readonly headerSent: number;
    readonly from: number;
    readonly to: number;
  } | null;
}

/**
 * Keeps two copies of two rings equal: decides what to send next, and takes what arrives. Without I/O or clock.
 *
 * Sending is: `prepare` a frame, hand its header and ranges to a wire, and say how much went with `sent`, until
 * `prepare` gives false. A frame that was begun must be finished. Invariant: acknowledged ≤ sent ≤ published.
 */
export class Replication {
  readonly header = new FrameHeader();
  readonly #rings: ReplicatedRings;
  /** Who says up to where messages may be sent, and which pops may be told. */
  readonly #sendable: { readonly published: number };
  readonly #tellable: { readonly position: number; readonly popped: number };
  readonly #acknowledgeBytes: number;
  /** Position up to which bytes are in frames, this one included. */
  #sent: number;
  /** The frame that is going out: how much of its header went, and its payload's place. */
  #headerSent = 0;
  #from = 0;
  #to = 0;
  #sending = false;
  /** The consumer's position as last told. */
  #told: number;
  /** Whether it was told since the login, during which more may have been popped than the login said. */
  #greeted = false;
  #idlePolls = 0;
  /** What the last frame acknowledged. */
  #acknowledged: number;
  #acknowledgedSequence = 0;

  /**
   * `start` is the position up to which the peer has our bytes, as a login has told, or where another replication was:
   * whose replica must have been made with what it has left unfinished.
   */
  constructor(rings: ReplicatedRings, start: number | ReplicationState) {
    this.#rings = rings;
    this.#sendable = rings.durability ?? rings.producer;
    this.#tellable = rings.durability ?? rings.consumer;
    this.#acknowledgeBytes = rings.incoming.capacity / 4;
    // What was popped was told the peer, by the login or a frame, or will be: it may write there from then on.
    rings.consumer.reclaim();
    if (typeof start === 'number') {
      this.#sent = start;
      this.#told = this.#tellable.position;
      this.#acknowledged = rings.acknowledger.position;
      rings.replica.discard();
    } else {
      this.#sent = start.sent;
      this.#told = start.told;
      this.#greeted = start.greeted;
      this.#acknowledged = start.acknowledged;
      this.#acknowledgedSequence = start.acknowledgedSequence;
      this.#resume(start.frame);
    }
  }

  /** For another replication: this one must do nothing any more. */
  get state(): ReplicationState {
    return {
      unfinished: this.#rings.replica.unfinished,
      sent: this.#sent,
      told: this.#told,
      greeted: this.#greeted,
      acknowledged: this.#acknowledged,
      acknowledgedSequence: this.#acknowledgedSequence,
      frame: this.#sending
        ? { header: this.header.bytes.slice(), headerSent: this.#headerSent, from: this.#from, to: this.#to }
        : null,
    };
  }

  /** Bytes that are published, may be sent, and are in no frame yet. */
  get unsent(): number {
    return distance(this.#sent, this.#sendable.published);
  }

  /** Whether a frame is on its way that the wire has not taken whole. */
  get sending(): boolean {
    return this.#sending;
  }

  /** Whether something was pushed or popped that is not safe yet, and so not to be told: a poll has it written. */
  get unsafe(): boolean {
    return this.#rings.durability?.clean === false;
  }

  /** Whether the peer does not know yet of all that was popped: the next polls tell it, if they bring nothing. */
  get owes(): boolean {
    return this.#told !== this.#tellable.position;
  }

  /** Says that a poll brought nothing: after some of those, what was popped is acknowledged. */
  idle(): void {
    if (this.#idlePolls < IDLE_POLLS) this.#idlePolls++;
  }

  /**
   * Makes the next frame if there is something to say: ring bytes, an acknowledgement that is due (or the first one).
   * With the word of a heartbeat, one without ring bytes that says it. True while there is one to send.
   */
  prepare(heartbeat = 0): boolean {
    if (this.#sending) return true;
    const { outgoing } = this.#rings;
    const tellable = this.#tellable;
    const length = heartbeat === 0 ? Math.min(this.unsent, MAX_FRAME_BYTES) : 0;
    if (length === 0 && heartbeat === 0 && this.#greeted && !this.#mustAcknowledge()) return false;
    this.#greeted = true;
    this.#told = tellable.position;
    this.#from = this.#sent;
    this.#to = advance(this.#sent, length);
    this.#sent = this.#to;
    const header = this.header;
    header.fill(FrameKind.data, length, length === 0 ? heartbeat : this.#from, this.#told, tellable.popped);
    if (length !== 0) {
      const start = this.firstStart >> 2;
      header.cover(outgoing.words, start, start + (this.firstLength >> 2));
      header.cover(outgoing.words, RECORDS >> 2, (RECORDS + this.secondLength) >> 2);
    }
    header.seal();
    this.#headerSent = 0;
    this.#sending = true;
    return true;
  }

  /** The unsent rest of the header: from this byte to its end. */
  get headerStart(): number {
    return this.#headerSent;
  }

  /** The unsent rest of the payload: bytes of the outgoing ring from here, and then from its first record. */
  get firstStart(): number {
    return RECORDS + (this.#from & this.#rings.outgoing.mask);
  }
  get firstLength(): number {
    return Math.min(
      distance(this.#from, this.#to),
      this.#rings.outgoing.capacity - (this.#from & this.#rings.outgoing.mask),
    );
  }
  get secondLength(): number {
    return distance(this.#from, this.#to) - this.firstLength;
  }

  /** Says that the wire took so many bytes of header and ranges. */
  sent(bytes: number): void {
    // The answer will be written where we said that we have popped: clear that, now that the frame is on its way.
    this.#rings.consumer.reclaim();
    const header = Math.min(bytes, this.header.bytes.length - this.#headerSent);
    this.#headerSent += header;
    this.#from = advance(this.#from, bytes - header);
    this.#sending = this.#headerSent < this.header.bytes.length || this.#from !== this.#to;
  }

  dataBegins(position: number, length: number): void {
    const { written } = this.#rings.replica;
    this.#idlePolls = 0;
    if (length !== 0 && position !== written) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `expected the peer's bytes from position ${shown(written)}, got some from ${shown(position)}`,
      );
    }
  }

  dataArrives(block: Block, start: number, length: number): void {
    this.#rings.replica.append(block, start, length);
  }

  dataEnds(acknowledged: number, acknowledgedSequence: number): void {
    this.#rings.replica.publish();
    this.#acknowledged = acknowledged;
    this.#acknowledgedSequence = acknowledgedSequence;
  }

  /**
   * Frees what the peer has acknowledged. To be called with every poll, and waits for an idle one unless much has
   * gathered: a message that has just arrived should not have to wait for it. Throws ERR_PROTOCOL when the
   * acknowledgement cannot be true.
   */
  settle(idle: boolean): void {
    const { acknowledger, outgoing } = this.#rings;
    const freed = distance(acknowledger.position, this.#acknowledged);
    if (freed === 0 || (!idle && freed < outgoing.capacity / 4)) return;
    acknowledger.popUpTo(this.#acknowledged, this.#sent);
    // With durability on disk what is safe there still speaks of these bytes: they are cleared by the next safe state.
    if (this.#rings.durability === null) acknowledger.reclaim();
    if ((acknowledger.popped | 0) !== this.#acknowledgedSequence) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `the peer says that it has popped ${this.#acknowledgedSequence >>> 0} messages (modulo 2^32) up to position` +
          ` ${shown(this.#acknowledged)}: here they are ${acknowledger.popped}`,
      );
    }
  }

  /** The frame must go out as it was begun: the peer may have a part of it, and the header covers the rest. */
  #resume(frame: ReplicationState['frame']): void {
    if (frame === null) return;
    this.header.bytes.set(frame.header);
    this.#headerSent = frame.headerSent;
    this.#from = frame.from;
    this.#to = frame.to;
    this.#sending = true;
  }

  #mustAcknowledge(): boolean {
    const untold = distance(this.#told, this.#tellable.position);
    return untold !== 0 && (untold >= this.#acknowledgeBytes || this.#idlePolls >= IDLE_POLLS);
  }
}
