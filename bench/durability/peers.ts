/** A Client in this process, logged in to the Server of `burstServer.ts`, each with its journal in a folder on a disk. */
import { performance } from 'node:perf_hooks';
import { Client, type Connection, type DurabilityLevel } from '../../lib/index.js';
import { type Child, startChild } from '../child.js';
import { temporaryFolder } from '../cleanup.js';
import { noAnswer } from '../subjects/exchange.js';
import { Tally } from '../tally.js';

const PATIENCE_MS = 60_000;

export interface PeersSettings {
  /** A folder on a disk. */
  readonly directory: string;
  readonly durability: DurabilityLevel;
  readonly serverDurability: DurabilityLevel;
  /** How the server waits. */
  readonly pace: 'busy' | 'timer';
  /** Messages that the server answers as one. */
  readonly burst: number;
  /** Of the queue that the messages go through. */
  readonly capacityBytes: number;
}

export interface Peers {
  readonly client: Client;
  readonly connection: Connection;
  readonly tally: Tally;
  /** Polls until the answer to the whole burst is here, and gives the bytes that the server has written to the disk. */
  finishBurst(): number;
  /** Closes both sides and removes what they kept. Twice is harmless. */
  stop(): Promise<void>;
}

export async function startPeers(settings: PeersSettings): Promise<Peers> {
  const { durability, serverDurability, pace, burst, capacityBytes } = settings;
  const [folder, serverFolder] = [temporaryFolder(settings.directory), temporaryFolder(settings.directory)];
  const client = new Client({ name: 'bench', directory: folder.path, durability });
  let server: Child | null = null;
  const stop = async (): Promise<void> => {
    await client.close();
    await server?.stop();
    folder.remove();
    serverFolder.remove();
  };
  try {
    const words = [serverDurability, pace, String(burst), String(capacityBytes), serverFolder.path];
    server = await startChild('./durability/burstServer.js', words);
    const connection = await client.connect({ port: server.port, transport: 'tcp' });
    const tally = new Tally();
    return { client, connection, tally, finishBurst: () => finishBurst(client, connection, tally), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function finishBurst(client: Client, connection: Connection, tally: Tally): number {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const now = performance.now();
    if (now > end) throw noAnswer(tally.count);
    client.poll(now);
    const answer = connection.front();
    if (answer === null) continue;
    const written = tally.check(answer);
    connection.pop();
    return written;
  }
}
