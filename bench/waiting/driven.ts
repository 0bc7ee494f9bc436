/**
 * Ours where no thread is given to polling: both sides are driven by `run`, and wait in one of several ways.
 *
 *   this thread, near cpu                    worker or child process, far cpu
 *   send ──► [ ring, or two over TCP ] ──►   onMessage: copy, pop
 *   onMessage: verify, pop, send the next ◄── [ ring, or two over TCP ] ◄── push
 *
 * A timer of the application goes on meanwhile, as the event loop turns; that it does is checked.
 */
import { Worker } from 'node:worker_threads';
import { Client, type Connection, type Message } from '../../lib/index.js';
import { SHARED_MEMORY, temporaryFolder } from '../cleanup.js';
import type { RoundTrip, Subject } from '../subject.js';
import { noAnswer, send, take } from '../subjects/exchange.js';
import { startPeers } from '../subjects/peers.js';
import { WAYS, type Way } from './ways.js';

export type Transport = 'inproc' | 'shm' | 'tcp';

const BATCH: Record<Way, number> = { yield: 100, park: 20, 'park-blocking': 20 };
const TIMER_MS = 10;
/** After so long without it the timer does not go on, or an answer does not come: a machine may be busy for some time. */
const PATIENCE_MS = 10_000;

/** A subject of ours, over this transport and waiting in this way. */
export function drivenSubject(name: string, transport: Transport, way: Way): Subject {
  return {
    name,
    limit: way === 'yield' ? 'core-to-core' : 'futex-wake',
    busyThreads: way === 'yield' ? 2 : 0,
    batch: BATCH[way],
    async start([, far]) {
      const trips = new DrivenRoundTrip();
      const sides = await (transport === 'inproc'
        ? startThreads(trips, [way, String(far)])
        : startPeers(transport, { module: './waiting/echo.js', words: [way, String(far)] }, trips.handlers));
      trips.begin(sides, way);
      return trips;
    },
  };
}

interface Sides {
  readonly client: Client;
  readonly connection: Connection;
  stop(): Promise<void>;
}

/** The same as `startPeers`, with the server in a worker thread of this process. */
async function startThreads(trips: DrivenRoundTrip, words: readonly string[]): Promise<Sides> {
  const folder = temporaryFolder(SHARED_MEMORY);
  const client = new Client({ name: 'bench', sharedDirectory: folder.path, ...trips.handlers });
  const worker = new Worker(new URL('./echo.js', import.meta.url), {
    workerData: [...words, undefined, folder.path],
  });
  const stop = async (): Promise<void> => {
    await client.close();
    worker.removeAllListeners();
    await worker.terminate();
    folder.remove();
  };
  try {
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', reject);
    });
    worker.once('error', (error) => trips.failed(error as Error));
    const connection = await client.connect({ transport: 'inproc', server: 'bench-echo' });
    return { client, connection, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Round trips within the handler of a driven client: the next message goes when the answer to the last one has come. */
class DrivenRoundTrip implements RoundTrip {
  readonly asynchronous = true;
  #sides: Sides | null = null;
  #driven: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #tickedAt = 0;
  /** When the first message of those under way was sent; null while none is. */
  #since: number | null = null;
  #sequence = 0;
  #last = 0;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  #failure: Error | null = null;

  readonly handlers = {
    onMessage: (connection: Connection, message: Message): void => {
      take(connection, message, this.#sequence);
      const done = this.#sequence === this.#last;
      this.#sequence++;
      if (done) {
        this.#since = null;
        this.#resolve();
      } else send(connection, this.#sequence);
    },
    onDisconnect: (_connection: Connection, reason: string): void => {
      this.failed(new Error(`the echo is gone: ${reason}`));
    },
  };

  begin(sides: Sides, way: Way): void {
    this.#sides = sides;
    this.#tickedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(performance.now()), TIMER_MS);
    this.#driven = sides.client.run(WAYS[way]).catch((error: Error) => this.failed(error));
  }

  roundTrips(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#last = this.#sequence + count - 1;
      if (this.#failure !== null) throw this.#failure;
      this.#since = performance.now();
      if (this.#since - this.#tickedAt > PATIENCE_MS) {
        throw new Error(`a timer of the application did not come for ${PATIENCE_MS} ms`);
      }
      send((this.#sides as Sides).connection, this.#sequence);
    });
  }

  failed(error: Error): void {
    this.#failure ??= error;
    this.#reject(error);
  }

  #tick(now: number): void {
    this.#tickedAt = now;
    if (this.#since !== null && now - this.#since > PATIENCE_MS) this.failed(noAnswer(this.#sequence));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#reject = () => {};
    await this.#sides?.stop();
    this.#sides = null;
    await this.#driven;
  }
}
