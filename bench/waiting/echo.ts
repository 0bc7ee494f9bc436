/**
 * The other side of `driven.ts`, in a worker or in a child process: a Server, driven by `run`, that sends back what
 * comes.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Server } from '../../lib/index.js';
import { announce, onStop } from '../child.js';
import { pinThread } from '../pinning.js';
import { answer } from '../subjects/exchange.js';
import { WAYS, type Way } from './ways.js';

const [way, cpu, directory, sharedDirectory] = (isMainThread ? process.argv.slice(2) : workerData) as [
  Way,
  string,
  string,
  string,
];
const server = new Server({ name: 'bench-echo', directory, sharedDirectory, onMessage: answer });
if (isMainThread) {
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  onStop(() => {
    server.close().finally(() => process.exit());
  });
  announce(port);
} else {
  await server.listen({ transport: 'inproc' });
  (parentPort as MessagePort).postMessage('ready');
}
pinThread(Number(cpu));
await server.run(WAYS[way]);
