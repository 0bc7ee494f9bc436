/** The far side of `sides.ts`, in a worker or in a child process: a Server, driven by `run`, whose messengers answer. */
import { messenger, Server } from '../../lib/index.js';
import { farWords, runFar } from '../farServer.js';
import { answerTo, StreamCheck } from './questions.js';

const [cpu, directory, sharedDirectory] = farWords<[string, string, string]>();
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
        for await (const part of body.reusing()) stream.take(part as Uint8Array);
        return stream.taken;
      });
  },
});
await runFar(server, cpu, { idle: 'yield' });
