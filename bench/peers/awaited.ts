import { HEADER_BYTES, MESSAGE_BYTES, payloadBytes, stamp, verify } from '../mix.js';
import type { RoundTrip } from '../subject.js';

/**
 * Round trips of a peer that is asleep in its event loop meanwhile: the next message goes when the answer to the last
 * one has come. A subclass sends, hands in what comes back, and reports what goes wrong.
 */
export abstract class AwaitedRoundTrip implements RoundTrip {
  readonly asynchronous = true;
  /** One message of each size with a buffer of its own: a clone takes the whole buffer along. */
  readonly #messages = MESSAGE_BYTES.map((bytes) => new Uint8Array(bytes));
  readonly #views = this.#messages.map((message) => new DataView(message.buffer));
  #sequence = 0;
  #last = 0;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  roundTrips(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#last = this.#sequence + count - 1;
      this.#send();
    });
  }

  abstract stop(): Promise<void>;

  /** Sends a message to the echo. */
  protected abstract transmit(message: Uint8Array): void;

  /** Number of the message that is on its way. */
  protected get sequence(): number {
    return this.#sequence;
  }

  /** Takes what came back: the first `bytes` of a view. */
  protected answered(view: DataView, bytes: number): void {
    try {
      verify(view, HEADER_BYTES, bytes - HEADER_BYTES, this.#sequence);
    } catch (error) {
      this.#reject(error as Error);
      return;
    }
    const done = this.#sequence === this.#last;
    this.#sequence++;
    if (done) this.#resolve();
    else this.#send();
  }

  protected failed(error: Error): void {
    this.#reject(error);
  }

  #send(): void {
    const index = this.#sequence & 3;
    stamp(this.#views[index] as DataView, HEADER_BYTES, payloadBytes(this.#sequence), this.#sequence);
    this.transmit(this.#messages[index] as Uint8Array);
  }
}
