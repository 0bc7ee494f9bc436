/** The far side of `sides.ts`, in a worker or in a child process: a Server, driven by `run`, whose messengers answer. */
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { messenger, Server } from '../../lib/index.js';
import { announce, onStop } from '../child.js';
import { pinThread } from '../pinning.js';
import { answerTo, StreamCheck } from './questions.js';

const [cpu, directory, sharedDirectory] = (isMainThread ? process.argv.slice(2) : workerData) as [
  string,
  string,
  string,
];
const server = new Server({
  name: 'bench-far',
  directory,
  sharedDirectory,
  onConnection(connection) {
    messenger(connection)
      .handle('ask', answerTo)
      .handle('echo', (bytes: Uint8Array) => bytes)
      .handle('take', async (_, { body }) => {
        const stream = new StreamCheck();
        for await (const part of body as AsyncIterable<Uint8Array>) stream.take(part);
        return stream.taken;
      });
  },
});
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
await server.run({ idle: 'yield' });
