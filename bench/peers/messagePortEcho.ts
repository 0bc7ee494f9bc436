/** The worker of `messagePort.ts`: posts back what it gets. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { pinThread } from '../pinning.js';

pinThread(workerData as number);
const port = parentPort as MessagePort;
port.on('message', (message) => port.postMessage(message));
