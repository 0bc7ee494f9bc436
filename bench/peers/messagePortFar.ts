/** The worker of `messagePort.ts`. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { pinThread } from '../pinning.js';
import { type Duty, farDuty } from './link.js';

const { cpu, duty } = workerData as { readonly cpu: number; readonly duty: Duty };
pinThread(cpu);
const port = parentPort as MessagePort;
port.on(
  'message',
  farDuty(duty, (message) => port.postMessage(message)),
);
port.postMessage('ready');
