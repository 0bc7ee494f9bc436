/** The echo server in a thread of the client's process, for transport 'inproc': both ends of it. */
import { once } from 'node:events';
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import type { EchoArguments } from './arguments.js';
import { createEchoServer } from './echoServer.js';
import { pollUntil } from './polling.js';

/** Starts it. Resolves once it listens, with a function that ends it. */
export async function startServerThread(options: EchoArguments): Promise<() => Promise<void>> {
  const worker = new Worker(new URL(import.meta.url), { workerData: options });
  await once(worker, 'message');
  return async () => {
    const exit = once(worker, 'exit');
    worker.postMessage('stop');
    await exit;
  };
}

async function serve(options: EchoArguments, client: MessagePort): Promise<void> {
  const server = createEchoServer(options);
  await server.listen({ transport: 'inproc' });
  const stop = new AbortController();
  client.once('message', () => stop.abort());
  client.postMessage('listening');
  await pollUntil(stop.signal, server, options.idle);
  await server.close();
}

if (!isMainThread) await serve(workerData as EchoArguments, parentPort as MessagePort);
