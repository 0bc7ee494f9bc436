import { randomBytes } from 'node:crypto';
import type { Hello } from './packet.js';
import type { Requester } from './requester.js';
import type { Responder } from './responder.js';
import type { Sender } from './sender.js';
import type { MessengerSettings } from './settings.js';

/**
 * What the two messengers of a connection say to each other of themselves, in their hellos: each is an incarnation, which
 * the ring outlives, and learns which one of the peer's it talks to.
 */
export class Greeting {
  readonly #settings: MessengerSettings;
  readonly #sender: Sender;
  readonly #requester: Requester;
  readonly #responder: Responder;
  readonly #incarnation = (randomBytes(4).readUInt32LE() | 1) >>> 0;
  /** Messages that were popped of the ring before this incarnation began. */
  readonly #popped: number;
  /** The peer's incarnation, as far as it is known. */
  #peer = 0;

  /** Has the sender say that this incarnation begins. */
  constructor(
    settings: MessengerSettings,
    popped: number,
    sender: Sender,
    requester: Requester,
    responder: Responder,
  ) {
    this.#settings = settings;
    this.#popped = popped;
    this.#sender = sender;
    this.#requester = requester;
    this.#responder = responder;
    sender.hello = this.#hello(true);
  }

  /** The peer has said hello. */
  heard(hello: Hello): void {
    const isNew = hello.incarnation !== this.#peer;
    const known = hello.answering === this.#incarnation;
    this.#peer = hello.incarnation;
    this.#sender.compresses =
      hello.compression !== '' && hello.compression === this.#settings.compression?.name;
    // What was to be told to the one that is gone would be wrong for this one.
    if (hello.begins) this.#sender.forgetControls();
    if (isNew) this.#sender.hello = this.#hello(this.#sender.hello?.begins ?? false);
    this.#responder.greeted(hello, known);
    this.#requester.greeted(hello, known, isNew);
  }

  #hello(begins: boolean): Hello {
    const { windowBytes, maxRequests, compression } = this.#settings;
    return {
      incarnation: this.#incarnation,
      begins,
      popped: this.#popped,
      windowBytes,
      requests: maxRequests,
      answering: this.#peer,
      compression: compression?.name ?? '',
    };
  }
}
