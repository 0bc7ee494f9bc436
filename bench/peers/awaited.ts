import { HEADER_BYTES, MESSAGE_BYTES, payloadBytes, stamp, verify } from '../mix.js';
import type { RoundTrip, Subject } from '../subject.js';
import { type Link, type Peer, viewOf } from './link.js';

const BATCH = 100;

/** The round trips of a peer. */
export function roundTripsOf(peer: Peer): Subject {
  return {
    name: peer.name,
    limit: peer.limit,
    busyThreads: 0,
    batch: BATCH,
    async start([, far]) {
      return new AwaitedRoundTrip(await peer.connect(far, 'echo'));
    },
  };
}

/**
 * Round trips of a peer that is asleep in its event loop meanwhile: the next message goes when the answer to the last
 * one has come.
 */
class AwaitedRoundTrip implements RoundTrip {
  readonly asynchronous = true;
  readonly #link: Link;
  /** One message of each size with a buffer of its own: a clone takes the whole buffer along. */
  readonly #messages = MESSAGE_BYTES.map((bytes) => new Uint8Array(bytes));
  readonly #views = this.#messages.map(viewOf);
  #sequence = 0;
  #last = 0;
  #failure: Error | null = null;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(link: Link) {
    this.#link = link;
    link.listen(
      (message) => this.#answered(message),
      (error) => this.#failed(error),
    );
  }

  roundTrips(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#failure !== null) throw this.#failure;
      this.#last = this.#sequence + count - 1;
      this.#send();
    });
  }

  stop(): Promise<void> {
    return this.#link.stop();
  }

  #answered(message: Uint8Array): void {
    try {
      verify(viewOf(message), HEADER_BYTES, message.byteLength - HEADER_BYTES, this.#sequence);
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    const done = this.#sequence === this.#last;
    this.#sequence++;
    if (done) this.#resolve();
    else this.#send();
  }

  #failed(error: Error): void {
    this.#failure ??= error;
    this.#reject(error);
  }

  #send(): void {
    const index = this.#sequence & 3;
    stamp(this.#views[index] as DataView, HEADER_BYTES, payloadBytes(this.#sequence), this.#sequence);
    const sent = this.#link.send(this.#messages[index] as Uint8Array);
    if (sent !== undefined) sent.catch((error: Error) => this.#failed(error));
  }
}
