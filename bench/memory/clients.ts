/** A client process with one connection over shared memory, and the process of its server. */
import { type Child, startChild } from '../child.js';
import { SHARED_MEMORY, temporaryFolder } from '../cleanup.js';
import type { FarSettings } from '../flow/settings.js';
import type { MemoryUse } from '../idle/usage.js';

export interface ClientProcess {
  /** Once what is garbage was collected. */
  residentBytes(): Promise<number>;
  stop(): Promise<void>;
}

export async function startClient(): Promise<ClientProcess> {
  const folders = [temporaryFolder(), temporaryFolder(SHARED_MEMORY)] as const;
  const [directory, sharedDirectory] = folders.map(({ path }) => path) as [string, string];
  const children: Child[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.splice(0).reverse()) await child.stop();
    for (const folder of folders) folder.remove();
  };
  try {
    const settings: FarSettings = {
      carrier: 'shm',
      duty: 'echo',
      bytes: 64,
      capacityBytes: 2 ** 20,
      batch: 1,
      cpu: -1,
      directory,
      sharedDirectory,
    };
    const server = await startChild('./flow/far.js', [JSON.stringify(settings)]);
    children.push(server);
    const client = await startChild('./memory/client.js', [String(server.port), sharedDirectory]);
    children.push(client);
    return { residentBytes: async () => ((await client.order('memory')) as MemoryUse).residentBytes, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
