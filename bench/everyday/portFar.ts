/** The worker thread of `ports.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { RingPort, type RingPortHandle } from '../../lib/index.js';
import { pinThread } from '../pinning.js';
import { quoteOf } from './messages.js';
import type { Port, PortWork } from './ports.js';

const { cpu, port: given, kind, duty } = workerData as PortWork;
/** Messages from one turn of the event loop to the next. */
const TURN = 500;

pinThread(cpu);
const port: Port = kind === 'ring' ? RingPort.open(given as RingPortHandle) : (given as Port);
let sequence = 0;
if (duty === 'echo') port.on('message', (value) => port.postMessage(value));
else port.on('message', (count) => produce(sequence + (count as number)));
parentPort?.postMessage('ready');

function produce(end: number): void {
  for (let i = 0; i < TURN && sequence < end; i++) port.postMessage(quoteOf(sequence++));
  if (sequence < end) setImmediate(() => produce(end));
}
