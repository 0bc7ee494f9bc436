/** The worker of `pools.ts`: a task that is next to no work. */
import { workerData } from 'node:worker_threads';
import { pinThread } from '../pinning.js';

pinThread(workerData as number);

export default function task(value: number): number {
  return value + 1;
}
