/**
 * Ours where no thread is given to polling: both sides are driven by `run`, and wait in one of several ways.
 *
 *   this thread, near cpu                    worker or child process, far cpu
 *   send ──► [ ring, or two over TCP ] ──►   onMessage: copy, pop
 *   onMessage: verify, pop, send the next ◄── [ ring, or two over TCP ] ◄── push
 *
 * A timer of the application goes on meanwhile, as the event loop turns; that it does is checked.
 *
 * With `park` both sides are to be asleep when a message comes. As who answers at once is answered before he has fallen
 * asleep, a side waits before it sends a message until the other one sleeps, and for a while more, which is not counted.
 * That each of them has slept once for each message is checked, too.
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
/** As in limits/futex_wake.c. */
const PAUSE_MS = 0.05;
/** Messages after which it is looked whether this side sleeps, as it should. */
const CHECKED = 1000;
const TIMER_MS = 10;
/** After so long without it the timer does not go on, or an answer does not come: a machine may be busy for some time. */
const PATIENCE_MS = 10_000;

/** A subject of ours, over this transport and waiting in this way. */
export function drivenSubject(name: string, transport: Transport, way: Way): Subject {
  return {
    name,
    limit: way !== 'yield' ? 'futex-wake' : transport === 'tcp' ? 'tcp-loopback' : 'core-to-core',
    busyThreads: way === 'yield' ? 2 : 0,
    batch: BATCH[way],
    async start([, far]) {
      const trips = way === 'yield' ? new DrivenRoundTrip() : new SleepyRoundTrip();
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
      } else this.send(connection, this.#sequence);
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
      this.send((this.#sides as Sides).connection, this.#sequence);
    });
  }

  protected send(connection: Connection, sequence: number): void {
    send(connection, sequence);
  }

  failed(error: Error): void {
    this.#failure ??= error;
    this.#reject(error);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#reject = () => {};
    await this.#sides?.stop();
    this.#sides = null;
    await this.#driven;
  }

  #tick(now: number): void {
    this.#tickedAt = now;
    if (this.#since !== null && now - this.#since > PATIENCE_MS) this.failed(noAnswer(this.#sequence));
  }
}

/** The same, with both sides asleep before each message. */
class SleepyRoundTrip extends DrivenRoundTrip {
  pausedMs = 0;
  /** How often this side slept, when it sent last. */
  #slept = 0;
  #awake = 0;
  #sent = 0;

  protected override send(connection: Connection, sequence: number): void {
    const start = performance.now();
    if (connection.transport !== 'tcp') this.#watch(connection, start);
    let now = performance.now();
    for (const end = now + PAUSE_MS; now < end; ) now = performance.now();
    this.pausedMs += now - start;
    super.send(connection, sequence);
  }

  /** Waits until the other side sleeps, and sees whether this one has slept since the last message. */
  #watch(connection: Connection, start: number): void {
    const { segment, role } = connection.side.ends.open;
    const other = segment.parking[role === 'client' ? 'server' : 'client'];
    while (other.parked === 0) {
      if (performance.now() - start > PATIENCE_MS) throw new Error('the other side does not sleep');
    }
    const slept = segment.parking[role].words[1] as number;
    if (this.#sent++ > 0 && slept === this.#slept) this.#awake++;
    this.#slept = slept;
    if (this.#sent > CHECKED && this.#awake > this.#sent / 2) {
      throw new Error(`this side was awake for ${this.#awake} of ${this.#sent} answers`);
    }
  }
}
