/** A Server as the far side of a benchmark, driven by `run`: in a worker, or in a child process, which listens over tcp. */
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { RunOptions, Server } from '../lib/index.js';
import { announce, onStop } from './child.js';
import { pinThread } from './pinning.js';

/** What its module was started with. */
export function farWords<Words extends readonly string[]>(): Words {
  return (isMainThread ? process.argv.slice(2) : workerData) as Words;
}

/** Listens, says that it is ready, and runs on this processor until the near side has ended it. */
export async function runFar(server: Server, cpu: string, options: RunOptions): Promise<void> {
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
  await server.run(options);
}
