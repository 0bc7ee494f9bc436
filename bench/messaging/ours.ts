/** Ours: a messenger over a connection, both sides driven by `run({ idle: 'yield' })`, whose event loops stay alive. */
import { tmpdir } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Client, type Messenger, messenger } from '../../lib/index.js';
import { startChild } from '../child.js';
import { SHARED_MEMORY, temporaryFolder } from '../cleanup.js';
import type { Asked, Asker } from './asking.js';

export type Carrier = 'inproc' | 'shm' | 'tcp';

/** A messenger in this thread, and who answers it in a worker thread or in a child process. */
export interface Talk extends Asker {
  readonly messenger: Messenger;
}

export function askedOurs(carrier: Carrier, name: string): Asked {
  return {
    name,
    limit: carrier === 'tcp' ? 'tcp-loopback' : 'core-to-core',
    busyThreads: 2,
    start: (far) => startTalk(carrier, far),
  };
}

export async function startTalk(carrier: Carrier, far: number): Promise<Talk> {
  const folders = [temporaryFolder(tmpdir()), temporaryFolder(tmpdir()), temporaryFolder(SHARED_MEMORY)];
  const [directory, farDirectory, sharedDirectory] = folders.map(({ path }) => path) as [
    string,
    string,
    string,
  ];
  const client = new Client({ name: 'bench', directory, sharedDirectory });
  let stopFar = async (): Promise<void> => {};
  const stop = async (): Promise<void> => {
    await client.close();
    await stopFar();
    for (const folder of folders) folder.remove();
  };
  try {
    const words = [String(far), farDirectory, sharedDirectory];
    let port = 0;
    if (carrier === 'inproc') {
      const worker = await startThread(words);
      stopFar = async () => {
        worker.removeAllListeners();
        await worker.terminate();
      };
    } else {
      const child = await startChild('./messaging/far.js', words);
      port = child.port;
      stopFar = () => child.stop();
    }
    const connection = await client.connect(
      carrier === 'inproc' ? { transport: 'inproc', server: 'bench-far' } : { port, transport: carrier },
    );
    const near = messenger(connection);
    // What it rejects with, the requests are rejected with too.
    client.run({ idle: 'yield' }).catch(() => {});
    return { messenger: near, ask: (question) => near.request('ask', question), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startThread(words: readonly string[]): Promise<Worker> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./far.js', import.meta.url), { workerData: words });
    worker.once('error', reject);
    worker.once('message', () => resolve(worker));
  });
}
