/**
 * What `shm.ts` and `tcp.ts` have in common: a Client in this process, logged in to the Server of `serverEcho.ts` in
 * a child process. Session files go to a folder of their own and shared segments to another, so that nothing is left
 * behind however the bench ends.
 */
import { tmpdir } from 'node:os';
import { Client, type Connection } from '../../lib/index.js';
import { temporaryFolder } from '../cleanup.js';
import { type EchoProcess, startEchoProcess } from '../echoProcess.js';

/** Where memory that processes share has no disk behind it. */
const SHARED_MEMORY = '/dev/shm';

export interface Peers {
  readonly client: Client;
  readonly connection: Connection;
  /** Closes both sides and removes what they kept. Twice is harmless. */
  stop(): Promise<void>;
}

export async function startPeers(transport: 'shm' | 'tcp', serverCpu: number): Promise<Peers> {
  const folders = [temporaryFolder(tmpdir()), temporaryFolder(tmpdir()), temporaryFolder(SHARED_MEMORY)];
  const [directory, serverDirectory, sharedDirectory] = folders.map(({ path }) => path) as [
    string,
    string,
    string,
  ];
  const client = new Client({ name: 'bench', directory, sharedDirectory });
  let echo: EchoProcess | null = null;
  const stop = async (): Promise<void> => {
    await client.close();
    await echo?.stop();
    for (const folder of folders) folder.remove();
  };
  try {
    const words = [transport, String(serverCpu), serverDirectory, sharedDirectory];
    echo = await startEchoProcess('./subjects/serverEcho.js', words);
    const connection = await client.connect({ port: echo.port, transport });
    return { client, connection, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
