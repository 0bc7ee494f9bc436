/**
 * Peer: `MessagePort`, what Node offers between worker threads. Bytes are cloned in both directions; both sides
 * sleep in their event loop while there is nothing to do.
 *
 *   main thread  ── postMessage ──►  worker thread
 *                ◄── postMessage ──
 */
import { Worker } from 'node:worker_threads';
import type { Subject } from '../subject.js';
import { AwaitedRoundTrip } from './awaited.js';

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

class MessagePortRoundTrip extends AwaitedRoundTrip {
  readonly #worker: Worker;

  constructor(worker: Worker) {
    super();
    this.#worker = worker;
    worker.on('message', ({ buffer, byteOffset, byteLength }: Uint8Array) =>
      this.answered(new DataView(buffer, byteOffset, byteLength), byteLength),
    );
    worker.on('error', (error) => this.failed(error as Error));
    worker.on('exit', (code) => this.failed(new Error(`the echo worker ended with ${code}`)));
  }

  async stop(): Promise<void> {
    this.#worker.removeAllListeners();
    await this.#worker.terminate();
  }

  protected override transmit(message: Uint8Array): void {
    this.#worker.postMessage(message);
  }
}
