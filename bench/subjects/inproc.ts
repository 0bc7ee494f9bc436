/**
 * Ours between threads: a RingChannel, busy polled at both ends.
 *
 *   main thread, near cpu               worker thread, far cpu
 *   alloc, push ──► [ ring in a SharedArrayBuffer ] ──► front, copy, pop
 *   front, pop  ◄── [ ring in a SharedArrayBuffer ] ◄── push
 */
import { Worker } from 'node:worker_threads';
import { type Connection, RingChannel } from '../../lib/index.js';
import type { RoundTrip, Subject } from '../subject.js';
import { SharedRoundTrip } from './sharedRoundTrip.js';

export const subject: Subject = {
  name: 'rtt/inproc',
  limit: 'core-to-core',
  busyThreads: 2,
  batch: 1000,
  async start([, far]) {
    const channel = new RingChannel();
    const worker = new Worker(new URL('./inprocEcho.js', import.meta.url), {
      workerData: { handle: channel.remote, cpu: far },
    });
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', reject);
    });
    return new InprocRoundTrip(channel.local, worker);
  },
};

class InprocRoundTrip extends SharedRoundTrip implements RoundTrip {
  readonly #worker: Worker;

  constructor(connection: Connection, worker: Worker) {
    super(connection);
    this.#worker = worker;
  }

  async stop(): Promise<void> {
    this.connection.close();
    await this.#worker.terminate();
  }
}
