/** The worker of `inproc.ts`: sends back what comes, until the other end is closed. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { RingChannel, type RingHandle } from '../../lib/index.js';
import { pinThread } from '../pinning.js';
import { answer } from './exchange.js';

const POLLS_BETWEEN_CHECKS = 100_000;

const { handle, cpu } = workerData as { readonly handle: RingHandle; readonly cpu: number };
pinThread(cpu);
const connection = RingChannel.open(handle);
(parentPort as MessagePort).postMessage('ready');
while (connection.state === 'connected') {
  for (let i = 0; i < POLLS_BETWEEN_CHECKS; i++) {
    const message = connection.front();
    if (message !== null) answer(connection, message);
  }
}
connection.close();
