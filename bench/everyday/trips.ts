/** Round trips of values between two threads, each in its event loop, whatever carries them. */
import type { RoundTrip } from '../subject.js';

/** The near side of what carries values of one kind. */
export interface Lane<T> {
  /** Sends the value of this number. */
  send(sequence: number): void;
  /** Throws unless this is the value of this number. */
  verify(value: T, sequence: number): void;
  /** Ends both sides and leaves nothing behind. Twice is harmless. */
  stop(): Promise<void>;
}

/** Who gets what comes back. */
export interface Listener<T> {
  answered(value: T): void;
  failed(error: Error): void;
}

const PATIENCE_MS = 10_000;

/** The next value goes from the handler that has got the last one. */
export class HandlerTrips<T> implements RoundTrip, Listener<T> {
  readonly asynchronous = true;
  #lane: Lane<T> | null = null;
  #sequence = 0;
  #last = 0;
  #failure: Error | null = null;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  #watchdog: NodeJS.Timeout | null = null;
  #looked = -1;

  static async start<T>(connect: (listener: Listener<T>) => Promise<Lane<T>>): Promise<RoundTrip> {
    const trips = new HandlerTrips<T>();
    trips.#lane = await connect(trips);
    return trips;
  }

  roundTrips(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#failure !== null) throw this.#failure;
      this.#watch();
      this.#last = this.#sequence + count - 1;
      this.#send();
    });
  }

  answered(value: T): void {
    try {
      this.#lane?.verify(value, this.#sequence);
      const done = this.#sequence === this.#last;
      this.#sequence++;
      if (done) this.#resolve();
      else this.#send();
    } catch (error) {
      this.failed(error as Error);
    }
  }

  failed(error: Error): void {
    this.#failure ??= error;
    this.#reject(error);
  }

  async stop(): Promise<void> {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#watchdog = null;
    this.#reject = () => {};
    await this.#lane?.stop();
  }

  #send(): void {
    this.#lane?.send(this.#sequence);
  }

  /** Both event loops turn: so a timer tells when no answer comes. */
  #watch(): void {
    this.#watchdog ??= setInterval(() => {
      if (this.#sequence <= this.#last && this.#looked === this.#sequence) {
        this.failed(new Error(`no answer to message ${this.#sequence} within ${PATIENCE_MS} ms`));
      }
      this.#looked = this.#sequence;
    }, PATIENCE_MS);
  }
}
