/**
 * Peer: `MessagePort`, what Node offers between worker threads. Bytes are cloned in both directions; both sides
 * sleep in their event loop while there is nothing to do.
 *
 *   main thread  ── postMessage ──►  worker thread
 *                ◄── postMessage ──
 */
import { Worker } from 'node:worker_threads';
import { HEADER_BYTES, MESSAGE_BYTES, payloadBytes, stamp, verify } from '../mix.js';
import type { RoundTrip, Subject } from '../subject.js';

export const subject: Subject = {
  name: 'peer/message-port',
  limit: 'core-to-core',
  busyThreads: 0,
  batch: 100,
  async start([, far]) {
    const worker = new Worker(new URL('./messagePortEcho.js', import.meta.url), { workerData: far });
    await new Promise<void>((resolve, reject) => {
      worker.once('online', resolve);
      worker.once('error', reject);
    });
    return new MessagePortRoundTrip(worker);
  },
};

class MessagePortRoundTrip implements RoundTrip {
  readonly asynchronous = true;
  readonly #worker: Worker;
  /** One message of each size with a buffer of its own: a clone takes the whole buffer along. */
  readonly #messages = MESSAGE_BYTES.map((bytes) => new Uint8Array(bytes));
  readonly #views = this.#messages.map((message) => new DataView(message.buffer));
  #sequence = 0;
  #last = 0;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (message: Uint8Array) => this.#onMessage(message));
    worker.on('error', (error) => this.#reject(error as Error));
    worker.on('exit', (code) => this.#reject(new Error(`the echo worker ended with ${code}`)));
  }

  roundTrips(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#last = this.#sequence + count - 1;
      this.#send();
    });
  }

  async stop(): Promise<void> {
    this.#worker.removeAllListeners();
    await this.#worker.terminate();
  }

  #send(): void {
    const index = this.#sequence & 3;
    stamp(this.#views[index] as DataView, HEADER_BYTES, payloadBytes(this.#sequence), this.#sequence);
    this.#worker.postMessage(this.#messages[index]);
  }

  #onMessage(message: Uint8Array): void {
    try {
      const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
      verify(view, HEADER_BYTES, message.byteLength - HEADER_BYTES, this.#sequence);
    } catch (error) {
      this.#reject(error as Error);
      return;
    }
    const done = this.#sequence === this.#last;
    this.#sequence++;
    if (done) this.#resolve();
    else this.#send();
  }
}
