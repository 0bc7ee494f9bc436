/**
 * A client here and a server in a worker thread, both driven by `run`, whose event loops stay alive meanwhile.
 *
 *   this thread, near cpu                            worker thread, far cpu
 *   channel: send, receive ══ [ two rings ] ══ channel: what its duty says (far.ts)
 */
import { Client, type Connection, type RunOptions } from '../../lib/index.js';
import { SHARED_MEMORY, temporaryFolder } from '../cleanup.js';
import { startWorker } from '../peers/worker.js';

/** How both are driven. */
export const RUN: RunOptions = { idle: 'yield' };
export const SERVER = 'bench-everyday';

/** What the far side does: sends back what comes, in several ways, or sends as many quotes as it is asked for. */
export type Duty = 'handlers' | 'records' | 'receive' | 'bytes' | 'struct' | 'produce';

export interface FarWork {
  readonly duty: Duty;
  readonly cpu: number;
  readonly sharedDirectory: string;
}

export interface Sides {
  readonly connection: Connection;
  stop(): Promise<void>;
}

export async function startSides(duty: Duty, cpu: number, failed: (error: Error) => void): Promise<Sides> {
  const folder = temporaryFolder(SHARED_MEMORY);
  const client = new Client({ name: 'bench', sharedDirectory: folder.path });
  const work: FarWork = { duty, cpu, sharedDirectory: folder.path };
  let driven: Promise<void> = Promise.resolve();
  let worker: Awaited<ReturnType<typeof startWorker>> | null = null;
  const stop = async (): Promise<void> => {
    await client.close();
    await driven;
    worker?.removeAllListeners();
    await worker?.terminate();
    folder.remove();
  };
  try {
    worker = await startWorker('../everyday/far.js', work);
    worker.once('error', (error) => failed(error as Error));
    const connection = await client.connect({ transport: 'inproc', server: SERVER });
    driven = client.run(RUN).catch((error: Error) => failed(error));
    return { connection, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
