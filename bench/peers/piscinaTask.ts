/** The worker of `piscina.ts`: a task that gives back what it is given. */
import { workerData } from 'node:worker_threads';
import { pinThread } from '../pinning.js';

pinThread(workerData as number);

export default function task(message: Uint8Array): Uint8Array {
  return message;
}
