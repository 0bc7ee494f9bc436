import type { MessageSink } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import type { Scratch } from '../port/scratch.js';
import type { Message } from '../ring/message.js';
import { Payoff } from './compression.js';
import type { Exchange } from './exchange.js';
import type { IncomingFlow } from './incoming.js';
import { Outgoing, OutgoingFlow } from './outgoing.js';
import {
  Flag,
  HEADER_BYTES,
  type Hello,
  helloBytes,
  MAX_FRAGMENT_BYTES,
  type MethodName,
  MOST_HEADER_BYTES,
  openHeaderBytes,
  PacketKind,
  typeOf,
  WHOLE,
  writeHeader,
  writeHello,
} from './packet.js';
import type { MessengerSettings } from './settings.js';

/**
 * Through shared memory so much of what is large is on its way at once: what is small goes behind that, and the peer takes
 * some µs for each fragment. (Over a socket it depends on how far the peer is.)
 */
const AHEAD_BYTES = 32_768;

/** A value that codecs need not carry: it goes as no bytes that are not of the codec. */
const NOTHING = new Uint8Array(0);

/** A flow with what the sender has to know of it. */
export class SentFlow extends OutgoingFlow {
  /** Of a request: what its first packet says, and who is told when that goes out. */
  name: MethodName | null = null;
  openFlags = 0;
  exchange: Exchange | null = null;
  /** What to call when its value has gone out, or all of it. */
  onSent: (() => void) | null = null;
  /** What to call when it is given up. */
  onGone: (() => void) | null = null;
}

/** A packet that is no fragment, and waits for room. */
interface Control {
  readonly kind: number;
  readonly flags: number;
  readonly id: number;
  readonly word: number;
  readonly payload: Uint8Array;
}

/** Gives an exchange its id, when its first packet goes out in the message of this number. */
export type Leaves = (exchange: Exchange, message: number) => number;

/**
 * Writes packets into the ring of a connection: small ones at once while nothing waits, all else as it is their turn and
 * there is room. Values are encoded in place where they fit a packet, else in memory, from where they go in fragments.
 */
export class Sender implements MessageSink {
  /** To be sent before all else. */
  hello: Hello | null = null;
  /** Whether the peer inflates what this side compresses. */
  compresses = false;
  readonly outgoing: Outgoing;
  readonly #connection: Connection;
  readonly #settings: MessengerSettings;
  readonly #leaves: Leaves;
  readonly #scratch: Scratch;
  readonly #payoff = new Payoff();
  readonly #controls: Control[] = [];
  /** Room that there has to be for a further fragment of what is large, so that what is small has some too, and is soon taken. */
  readonly #leastRoom: number;
  /** Of the value that is encoded now: its header, whether it may go at once, and whether it does. */
  #headerBytes = 0;
  #mayBeDirect = false;
  #direct = false;
  #pumping = false;

  constructor(connection: Connection, settings: MessengerSettings, scratch: Scratch, leaves: Leaves) {
    this.#connection = connection;
    this.#settings = settings;
    this.#scratch = scratch;
    this.#leaves = leaves;
    const { maxMessageBytes, transport } = connection;
    const reserved = 2 * (settings.fragmentBytes + 2 * HEADER_BYTES) + maxMessageBytes;
    const ahead = transport === 'tcp' ? Number.POSITIVE_INFINITY : AHEAD_BYTES;
    this.#leastRoom = Math.max(reserved, 4 * maxMessageBytes - ahead);
    this.outgoing = new Outgoing(settings.maxInterleaved);
  }

  /** Whether a peer is there: nothing goes out before. */
  get connected(): boolean {
    return this.#connection.state === 'connected';
  }

  /** Packets that wait for room and are no fragments: what the peer has to be told. */
  get owed(): number {
    return this.#controls.length;
  }

  /** Whether a small packet may go out at once, before others. */
  get #clear(): boolean {
    return (
      this.outgoing.empty &&
      this.#controls.length === 0 &&
      this.hello === null &&
      this.connected &&
      !this.#pumping
    );
  }

  /** Sends a request of one packet, if that can go out now; if not, gives the bytes of its value. Throws ERR_CODEC. */
  open(name: MethodName, flags: number, value: unknown, exchange: Exchange): Uint8Array | null {
    const message = this.#encode(name.headerBytes, value);
    if (!(message instanceof Uint8Array)) {
      const type = typeOf(
        PacketKind.open,
        flags | WHOLE | (message.size === 0 && value === undefined ? Flag.bytes : 0),
      );
      this.#widen(message, name.headerBytes, type);
      name.write(message, this.#leaves(exchange, this.#connection.pushed), exchange.level);
      this.#connection.push();
      return null;
    }
    return message;
  }

  /** The same with the answer to a request. */
  answer(id: number, value: unknown): Uint8Array | null {
    const message = this.#encode(HEADER_BYTES, value);
    if (message instanceof Uint8Array) return message;
    const nothing = message.size === 0 && value === undefined ? Flag.bytes : 0;
    this.#widen(message, HEADER_BYTES, typeOf(PacketKind.data, WHOLE | Flag.answer | nothing));
    writeHeader(message, id, 0);
    this.#connection.push();
    return null;
  }

  /** A value as bytes, to be sent by a flow. Throws ERR_CODEC. */
  bytesOf(value: unknown): Uint8Array {
    if (value === undefined) return NOTHING;
    this.#mayBeDirect = false;
    return this.#scratch.encode(this.#settings.codec, value);
  }

  /** Sends a packet that is no fragment, now or when there is room. */
  control(kind: number, flags: number, id: number, word: number, payload: Uint8Array = NOTHING): void {
    this.#controls.push({ kind, flags, id, word, payload });
    if (!this.#pumping && this.connected) this.#sendControls();
  }

  /** Sends bytes as they are. False where that cannot be at once. */
  raw(bytes: Uint8Array): boolean {
    if (!this.#clear) return false;
    const message = this.#connection.alloc(HEADER_BYTES + bytes.length);
    if (message === null) return false;
    message.type = typeOf(PacketKind.raw, 0);
    writeHeader(message, 0, 0);
    message.set(bytes, HEADER_BYTES);
    this.#connection.push();
    return true;
  }

  /** Forgets what the peer that is gone was to be told; its successor may have what is cancelled. */
  forgetControls(): void {
    const kept = this.#controls.filter(({ kind }) => kind === PacketKind.cancel);
    this.#controls.splice(0, this.#controls.length, ...kept);
  }

  /** Gives credit for what was taken of a flow, of a request or its answer, once it is enough. */
  giveCredit(flow: IncomingFlow, flags: number, id: number): void {
    const due = flow.dueCredit();
    if (due === 0) return;
    flow.grant(due);
    this.control(PacketKind.credit, flags, id, due);
  }

  /** The peer has given credit for a flow, if that has not gone out whole. */
  credited(flow: SentFlow | null, bytes: number): void {
    if (flow === null) return;
    flow.credit += bytes;
    this.stir(flow);
  }

  /** A flow has something: it goes out in its turn. */
  stir(flow: SentFlow): void {
    this.outgoing.stir(flow);
  }

  /** Nothing more of a flow goes out, and whoever fills it stops. */
  giveUp(flow: SentFlow): void {
    this.outgoing.remove(flow);
    flow.onGone?.();
    flow.onGone = null;
    flow.onSent?.();
  }

  /** Sends what waits, as far as there is room. `refill` lets those in who wait for others. True if anything was sent. */
  pump(refill: () => void): boolean {
    if (this.#pumping || !this.connected) return false;
    if (this.hello === null && this.#controls.length === 0 && this.outgoing.empty) return false;
    this.#pumping = true;
    const { pushed } = this.#connection;
    try {
      if (!this.#sendControls()) return this.#connection.pushed !== pushed;
      for (;;) {
        const flow = this.#nextFlow();
        if (flow === null || !this.#sendFragment(flow)) break;
        refill();
        if (this.#controls.length > 0 && !this.#sendControls()) break;
      }
      return this.#connection.pushed !== pushed;
    } finally {
      this.#pumping = false;
    }
  }

  /** @internal For the codec. */
  alloc(sizeBytes: number): Message {
    if (this.#mayBeDirect && sizeBytes <= this.#directBytes) {
      const message = this.#connection.alloc(sizeBytes + this.#headerBytes);
      if (message !== null) {
        this.#direct = true;
        return message.wrap(message.offset + this.#headerBytes, sizeBytes, 1);
      }
    }
    return this.#scratch.alloc(sizeBytes);
  }

  /** Largest value that goes out as it is encoded. */
  get #directBytes(): number {
    const { fragmentBytes, compression } = this.#settings;
    return compression === null || !this.compresses
      ? fragmentBytes
      : Math.min(fragmentBytes, compression.leastBytes - 1);
  }

  /** A message of the ring with the value behind room for the header, or the bytes of the value. */
  #encode(headerBytes: number, value: unknown): Message | Uint8Array {
    const { codec } = this.#settings;
    this.#headerBytes = headerBytes;
    this.#mayBeDirect = this.#clear;
    this.#direct = false;
    if (value === undefined) return this.#mayBeDirect ? (this.#room(headerBytes) ?? NOTHING) : NOTHING;
    if (!this.#mayBeDirect) return this.#scratch.encode(codec, value);
    try {
      const message = codec.encode(this, value) as Message;
      if (this.#direct) return message;
      return this.#scratch.taken(message);
    } catch (error) {
      if (this.#direct && this.#connection.state !== 'closed') this.#connection.side.ends.producer.forget();
      throw error;
    }
  }

  #room(headerBytes: number): Message | null {
    const message = this.#connection.alloc(headerBytes);
    return message === null ? null : message.wrap(message.offset + headerBytes, 0, 1);
  }

  /** The message that the codec has written is the payload of a packet. */
  #widen(message: Message, headerBytes: number, type: number): void {
    message.wrap(message.offset - headerBytes, message.size + headerBytes, type);
  }

  /** What is to be told first. False when there is no room for it. */
  #sendControls(): boolean {
    const { hello } = this;
    if (hello !== null) {
      const message = this.#connection.alloc(helloBytes(hello));
      if (message === null) return false;
      message.type = typeOf(PacketKind.hello, 0);
      writeHello(message, hello);
      this.#connection.push();
      this.hello = null;
    }
    let sent = 0;
    for (const control of this.#controls) {
      const message = this.#connection.alloc(HEADER_BYTES + control.payload.length);
      if (message === null) break;
      message.type = typeOf(control.kind, control.flags);
      writeHeader(message, control.id, control.word);
      message.set(control.payload, HEADER_BYTES);
      this.#connection.push();
      sent++;
    }
    if (sent > 0) this.#controls.splice(0, sent);
    return this.#controls.length === 0;
  }

  /** Whose turn it is: one that is under way leaves room for those that begin, unless they had theirs. */
  #nextFlow(): SentFlow | null {
    const { outgoing } = this;
    const flow = outgoing.next(true) as SentFlow | null;
    if (flow === null || !flow.begun || outgoing.owed(flow)) return flow;
    const { producer } = this.#connection.side.ends;
    return producer.fits(this.#leastRoom) ? flow : (outgoing.next(false) as SentFlow | null);
  }

  /** False when there is no room. */
  #sendFragment(flow: SentFlow): boolean {
    const { name } = flow;
    const opens = name !== null && !flow.begun;
    const size = flow.fragmentBytes(Math.min(this.#settings.fragmentBytes, MAX_FRAGMENT_BYTES));
    // What there is no room for need not be compressed.
    if (this.compresses && !this.#connection.side.ends.producer.hasRoom(size + MOST_HEADER_BYTES))
      return false;
    const plain = flow.bytes === null ? NOTHING : flow.bytes.subarray(flow.at, flow.at + size);
    const bytes = this.#compressed(plain);
    const deflated = bytes !== plain;
    const headerBytes = opens ? openHeaderBytes(name, deflated) : HEADER_BYTES;
    const message = this.#connection.alloc(headerBytes + bytes.length);
    if (message === null) return false;
    const flags = flow.fragmentFlags(size) | (deflated ? Flag.deflated : 0);
    message.type = opens ? typeOf(PacketKind.open, flags | flow.openFlags) : typeOf(PacketKind.data, flags);
    message.set(bytes, headerBytes);
    if (opens) {
      if (flow.exchange !== null) flow.id = this.#leaves(flow.exchange, this.#connection.pushed);
      name.write(message, flow.id, flow.level, deflated ? size : 0);
    } else {
      writeHeader(message, flow.id, deflated ? size : 0);
    }
    this.#connection.push();
    flow.sent(size);
    this.outgoing.went(flow);
    if (flow.bytes === null) flow.onSent?.();
    return true;
  }

  #compressed(plain: Uint8Array): Uint8Array {
    const { compression } = this.#settings;
    if (compression === null || !this.compresses || plain.length < compression.leastBytes) return plain;
    if (!this.#payoff.tries()) return plain;
    const bytes = compression.compress(plain);
    return this.#payoff.pays(plain.length, bytes.length) ? bytes : plain;
  }
}
