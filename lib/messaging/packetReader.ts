import type { Connection } from '../connection/connection.js';
import type { Reader } from '../connection/delivery.js';
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import { Flag, type Hello, PacketHeader, PacketKind, readHello } from './packet.js';
import type { Requester } from './requester.js';
import type { Responder } from './responder.js';
import { isTakenRaw } from './states.js';

/** Who takes what packets bring. */
export interface PacketTakers {
  readonly requester: Requester;
  readonly responder: Responder;
  /** Raw bytes, if anybody takes them. */
  readonly onRaw: ((bytes: Uint8Array) => void) | null;
  readonly onHello: (hello: Hello) => void;
  /** What is to be done after each visit of a poll; true if something was sent. */
  readonly visited: () => boolean;
  /** The connection was closed. */
  readonly closed: (error: TcpshmError) => void;
}

/**
 * Takes the packets of a messenger out of the ring, and gives each to whom it is for. One that cannot be is popped too, and
 * ends the link.
 */
export class PacketReader implements Reader {
  settles = false;
  readonly #connection: Connection;
  readonly #takers: PacketTakers;
  readonly #header = new PacketHeader();
  /** Whether requests, and what belongs to them, wait in the ring. */
  #rawOnly: boolean;
  #stopped = false;
  /** Whether the oldest packet waits until all are taken. */
  #waiting = false;
  /** Whoever acts on a packet may poll. */
  #reading = false;

  constructor(connection: Connection, takers: PacketTakers, rawOnly: boolean) {
    this.#connection = connection;
    this.#takers = takers;
    this.#rawOnly = rawOnly;
  }

  /** Whether it takes what comes now. Once it is no longer overloaded, that is by what a visit has sent. */
  get wants(): boolean {
    return !this.#waiting && !this.#stopped && !this.#takers.responder.overloaded;
  }

  /** Takes all packets from here on. */
  admitAll(): void {
    this.#rawOnly = false;
    this.#waiting = false;
  }

  /** Takes no more packets, also in the middle of a visit. */
  stop(): void {
    this.#stopped = true;
  }

  visit(limit: number): boolean {
    if (this.#reading) return false;
    const { requester, responder } = this.#takers;
    const { open, waiting } = requester.exchanges;
    const taken = this.#read(limit);
    // A handler that has answered at once, as most do, leaves nothing under way.
    this.settles = open + waiting > 0 || responder.underWay > 0;
    const sent = !this.#stopped && this.#takers.visited();
    return taken > 0 || sent;
  }

  closed(error: TcpshmError): void {
    this.#takers.closed(error);
  }

  /** Hands back the packet that is being read, once its reader is done with the bytes. */
  pop(): void {
    const { ends } = this.#connection.side;
    if (!ends.closed && ends.consumer.held) this.#connection.pop();
  }

  /** Takes up to `limit` packets, and gives how many they were. */
  #read(limit: number): number {
    const { ends } = this.#connection.side;
    const { responder } = this.#takers;
    this.#reading = true;
    let taken = 0;
    try {
      while (taken < limit && !responder.overloaded && !this.#stopped && ends.violation === null) {
        const message = this.#connection.front();
        if (message === null) break;
        if (this.#rawOnly && !isTakenRaw(message.type)) {
          this.#waiting = true;
          break;
        }
        this.#receive(message);
        taken++;
      }
    } finally {
      this.#reading = false;
    }
    return taken;
  }

  /** Takes a packet. It is popped before anybody acts on it: who dies with it does not have it again. */
  #receive(message: Message): void {
    const header = this.#header;
    let wrong: string | null = null;
    try {
      wrong = header.read(message) ?? this.#dispatch(header, message);
    } finally {
      this.pop();
    }
    const { side } = this.#connection;
    if (wrong === null || side.ends.closed) return;
    side.violate(new TcpshmError('ERR_PROTOCOL', `a packet that cannot be: ${wrong}`));
  }

  /** Gives what cannot be, if it is that. */
  #dispatch(header: PacketHeader, message: Message): string | null {
    const { requester, responder, onRaw } = this.#takers;
    const answer = (header.flags & Flag.answer) !== 0;
    const to = answer ? requester : responder;
    switch (header.kind) {
      case PacketKind.open:
        responder.open(header, message);
        return null;
      case PacketKind.data:
        return to.data(header, message);
      case PacketKind.credit:
        return to.credit(header);
      case PacketKind.fail: {
        const payload = this.#takePayload(header, message);
        return answer ? requester.fail(header, payload) : responder.cancel(header, payload);
      }
      case PacketKind.raw:
        if (onRaw === null) return 'raw bytes, which nobody takes here';
        onRaw(this.#takePayload(header, message));
        return null;
      case PacketKind.cancel:
        this.pop();
        return responder.cancel(header, null);
      default: {
        const hello = readHello(message);
        if (typeof hello === 'string') return hello;
        this.pop();
        this.#takers.onHello(hello);
        return null;
      }
    }
  }

  /** A copy of what is behind the header, and the packet popped. */
  #takePayload(header: PacketHeader, message: Message): Uint8Array {
    const payload = Uint8Array.prototype.slice.call(message.bytes().subarray(header.headerBytes));
    this.pop();
    return payload;
  }
}
