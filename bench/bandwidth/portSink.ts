/** The worker of `port.ts`: reads every byte of what it gets, and says so; a buffer that was transferred goes back. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Cargo } from '../flow/bulk.js';
import { pinThread } from '../pinning.js';
import type { Read, Way } from './port.js';

const { bytes, cpu, way } = workerData as {
  readonly bytes: number;
  readonly cpu: number;
  readonly way: Way;
};
const port = parentPort as MessagePort;
const cargo = new Cargo(bytes);
let number = 0;
pinThread(cpu);
port.on('message', ({ buffer }: { readonly buffer: ArrayBuffer }) => {
  cargo.verify(Buffer.from(buffer), 0, buffer.byteLength, number);
  const transferred = way === 'transfer' ? buffer : null;
  const read: Read = { number: number++, buffer: transferred };
  port.postMessage(read, transferred === null ? [] : [transferred]);
});
