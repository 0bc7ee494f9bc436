/**
 * A Client in this process, logged in to the Server of an echo in a child process. Session files go to a folder of
 * their own and shared segments to another, so that nothing is left behind however the bench ends.
 */
import { tmpdir } from 'node:os';
import { Client, type ClientOptions, type Connection } from '../../lib/index.js';
import { type Child, startChild } from '../child.js';
import { SHARED_MEMORY, temporaryFolder } from '../cleanup.js';

export interface Peers {
  readonly client: Client;
  readonly connection: Connection;
  /** Closes both sides and removes what they kept. Twice is harmless. */
  stop(): Promise<void>;
}

/** The echo to start: a module, relative to the folder of the bench, and its arguments before those of `startPeers`. */
export interface Echo {
  readonly module: string;
  readonly words: readonly string[];
}

/** The polled Server of `serverEcho.ts`. */
export function polledEcho(transport: 'shm' | 'tcp', cpu: number): Echo {
  return { module: './subjects/serverEcho.js', words: [transport, String(cpu)] };
}

/** The echo is given two more arguments: its folder for session files, and the one for shared memory. */
export async function startPeers(
  transport: 'shm' | 'tcp',
  { module, words }: Echo,
  handlers: Pick<ClientOptions, 'onMessage' | 'onDisconnect'> = {},
): Promise<Peers> {
  const folders = [temporaryFolder(tmpdir()), temporaryFolder(tmpdir()), temporaryFolder(SHARED_MEMORY)];
  const [directory, serverDirectory, sharedDirectory] = folders.map(({ path }) => path) as [
    string,
    string,
    string,
  ];
  const client = new Client({ name: 'bench', directory, sharedDirectory, ...handlers });
  let echo: Child | null = null;
  const stop = async (): Promise<void> => {
    await client.close();
    await echo?.stop();
    for (const folder of folders) folder.remove();
  };
  try {
    echo = await startChild(module, [...words, serverDirectory, sharedDirectory]);
    const connection = await client.connect({ port: echo.port, transport });
    return { client, connection, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
