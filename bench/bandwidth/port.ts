/**
 * Peer: `MessagePort` with large messages, which it clones or transfers.
 *
 *   main thread                                  worker thread
 *   clone:     postMessage(cargo) ── a copy in, a copy out ──►  read it
 *   transfer:  copy into a buffer, postMessage ── the buffer ──►  read it
 *                                              ◄── and back ──   so that none has to be allocated anew
 */
import { Worker } from 'node:worker_threads';
import { Cargo } from '../flow/bulk.js';
import { measureBatches, type Timed } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { Measurable } from '../subject.js';
import { SIZES, type Size } from './sizes.js';

export type Way = 'clone' | 'transfer';

/** What is on its way at most. */
const WINDOW_BYTES = 16 * 2 ** 20;
const LEAST_WINDOW = 4;
const MOST_WINDOW = 64;

export function portSubject(way: Way, size: Size): Measurable {
  const { bytes, batch } = SIZES[size];
  const name = `peer/message-port-${way}/${size}`;
  return {
    name,
    limit: 'core-to-core',
    floor: `memcpy-shm/${size}`,
    busyThreads: 0,
    batch,
    rate: { unit: 'B/s', bytes },
    async measure(cpus, count, effort) {
      const flow = await PortFlow.start(way, bytes, cpus[1]);
      const timed: Timed = { asynchronous: true, run: (many) => flow.move(many) };
      return pinnedWhile(cpus, flow, () => measureBatches(name, timed, count, effort));
    },
  };
}

/** What the worker says of each message that it has read: its number, and its buffer where that was transferred. */
export interface Read {
  readonly number: number;
  readonly buffer: ArrayBuffer | null;
}

export class PortFlow {
  readonly #worker: Worker;
  readonly #transfers: boolean;
  readonly #cargo: Cargo;
  /** Messages that may be on their way. */
  readonly #window: number;
  /** What is transferred, one for each of them: they come back in turn. */
  readonly #buffers: ArrayBuffer[];
  #sent = 0;
  #read = 0;
  #end = 0;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  /** `cpu` is the worker's. */
  static async start(way: Way, bytes: number, cpu: number): Promise<PortFlow> {
    const worker = new Worker(new URL('./portSink.js', import.meta.url), {
      workerData: { bytes, cpu, way },
    });
    await new Promise<void>((resolve, reject) => {
      worker.once('online', resolve);
      worker.once('error', reject);
    });
    return new PortFlow(worker, way, bytes);
  }

  private constructor(worker: Worker, way: Way, bytes: number) {
    this.#worker = worker;
    this.#transfers = way === 'transfer';
    this.#cargo = new Cargo(bytes);
    this.#window = Math.max(LEAST_WINDOW, Math.min(MOST_WINDOW, WINDOW_BYTES / bytes));
    this.#buffers = Array.from({ length: this.#transfers ? this.#window : 0 }, () => new ArrayBuffer(bytes));
    worker.on('message', (read: Read) => this.#onRead(read));
    worker.on('error', (error) => this.#reject(error as Error));
    worker.on('exit', (code) => this.#reject(new Error(`the worker ended with ${code}`)));
  }

  /** Resolves when the last of `count` messages was read. */
  move(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#end = this.#sent + count;
      this.#fill();
    });
  }

  async stop(): Promise<void> {
    this.#worker.removeAllListeners();
    await this.#worker.terminate();
  }

  #fill(): void {
    const window = this.#window;
    while (this.#sent < this.#end && this.#sent - this.#read < window) {
      const message = this.#cargo.message(this.#sent);
      if (this.#transfers) {
        const bytes = new Uint8Array(this.#buffers[this.#sent % window] as ArrayBuffer);
        bytes.set(message);
        this.#worker.postMessage(bytes, [bytes.buffer]);
      } else {
        this.#worker.postMessage(message);
      }
      this.#sent++;
    }
  }

  #onRead({ number, buffer }: Read): void {
    if (number !== this.#read) {
      this.#reject(new Error(`expected message ${this.#read} to be read, got ${number}`));
      return;
    }
    if (buffer !== null) this.#buffers[number % this.#window] = buffer;
    this.#read++;
    if (this.#read === this.#end) this.#resolve();
    else this.#fill();
  }
}
