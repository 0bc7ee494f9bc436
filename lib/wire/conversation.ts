import { TcpshmError } from '../errors.js';
import type { Transfer } from '../memory/byteStream.js';
import { controlFrame, type FrameKind, FrameReader, type FrameSink } from '../session/frame.js';
import { receiveInto, receiverOf } from './inbox.js';
import type { Wire } from './wire.js';

/** Takes the messages of a login, one by one. */
export type ControlHandler = (kind: FrameKind, payload: Uint8Array) => void;

/** A wire during the login: whole control frames in both directions, and nothing else. */
export class Conversation implements FrameSink {
  readonly wire: Wire;
  /** Goes on with the link after the login, so that no byte behind the last login message is lost. */
  readonly reader = new FrameReader(this);
  readonly #handler: ControlHandler;
  readonly #receive: Transfer;
  #unsent: Uint8Array = new Uint8Array(0);

  constructor(wire: Wire, handler: ControlHandler) {
    this.wire = wire;
    this.#handler = handler;
    this.#receive = receiverOf(wire, false);
  }

  /** Sends a message, now or, if the wire does not take it, with the next polls. */
  say(kind: FrameKind, payload: Uint8Array): void {
    this.#unsent = Buffer.concat([this.#unsent, controlFrame(kind, payload)]);
    this.#flush();
  }

  /** Takes what has come. False when the peer has hung up. Throws what the wire, the reader or the handler throw. */
  poll(): boolean {
    this.#flush();
    return receiveInto(this.reader, this.#receive) >= 0;
  }

  /** Whether the wire has taken all that was said. */
  get flushed(): boolean {
    return this.#unsent.length === 0;
  }

  control(kind: FrameKind, payload: Uint8Array): void {
    this.#handler(kind, payload);
  }

  dataBegins(): void {
    throw new TcpshmError('ERR_PROTOCOL', 'expected the messages of a login, got data');
  }
  dataArrives(): void {}
  dataEnds(): void {}

  #flush(): void {
    if (this.#unsent.length === 0) return;
    this.#unsent = this.#unsent.subarray(this.wire.send(this.#unsent, 0, this.#unsent.length));
  }
}
