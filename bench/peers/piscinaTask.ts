/** The worker of `piscina.ts`: a task that gives back what it is given. */
import { workerData } from 'node:worker_threads';
import { pinThread } from '../pinning.js';

pinThread(cpuOf(workerData));

export default function task(message: Uint8Array): Uint8Array {
  return message;
}

/** Piscina hands a worker the data of its user behind its own. */
function cpuOf(data: unknown): number {
  return Number(Array.isArray(data) ? data.at(-1) : data);
}
