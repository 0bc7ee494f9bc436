/** Both sides of a flow of ours: a connection in this thread, and what is at the other end of it. */
import { tmpdir } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Client, type Connection, RingChannel } from '../../lib/index.js';
import { type Child, startChild } from '../child.js';
import { SHARED_MEMORY, temporaryFolder } from '../cleanup.js';
import type { MemoryUse } from '../idle/usage.js';
import type { FlowSettings } from './settings.js';

export interface Sides {
  readonly connection: Connection;
  /** Polls this side of it; null where there is nothing to poll. */
  readonly client: Client | null;
  /** What the far process takes. Rejects where it is a thread of this one. */
  farMemory(): Promise<MemoryUse>;
  /** Closes both and removes what they kept. Twice is harmless. */
  stop(): Promise<void>;
}

/** `cpu` is that of the far side. */
export function startSides(settings: FlowSettings, cpu: number): Promise<Sides> {
  return settings.carrier === 'inproc' ? startThreads(settings, cpu) : startProcesses(settings, cpu);
}

async function startThreads(settings: FlowSettings, cpu: number): Promise<Sides> {
  const channel = new RingChannel({ capacityBytes: settings.capacityBytes });
  const worker = new Worker(new URL('./far.js', import.meta.url), {
    workerData: { ...settings, cpu, handle: channel.remote },
  });
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
  });
  return {
    connection: channel.local,
    client: null,
    farMemory: () => Promise.reject(new Error('the far side has no process of its own')),
    async stop() {
      channel.local.close();
      await worker.terminate();
    },
  };
}

async function startProcesses(settings: FlowSettings, cpu: number): Promise<Sides> {
  const folders = [temporaryFolder(tmpdir()), temporaryFolder(tmpdir()), temporaryFolder(SHARED_MEMORY)];
  const [own, directory, sharedDirectory] = folders.map(({ path }) => path) as [string, string, string];
  const { carrier } = settings;
  const client = new Client({
    name: 'bench',
    directory: own,
    sendCapacityBytes: settings.capacityBytes,
    sharedDirectory,
    ...(carrier === 'tcp-net' ? { wire: 'net' } : {}),
  });
  let far: Child | null = null;
  const stop = async (): Promise<void> => {
    await client.close();
    await far?.stop();
    for (const folder of folders) folder.remove();
  };
  try {
    const words = JSON.stringify({ ...settings, cpu, directory, sharedDirectory });
    far = await startChild('./flow/far.js', [words]);
    const connection = await client.connect({ port: far.port, transport: carrier === 'shm' ? 'shm' : 'tcp' });
    const { order } = far;
    const farMemory = async (): Promise<MemoryUse> => (await order('memory')) as MemoryUse;
    return { connection, client, farMemory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
