/**
 * A child process: the clients of a server with groups. On an order each pushes so many messages, and sleeps while its
 * queue is full, until its group has done them all and says so.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection } from '../../lib/index.js';
import { announce, giveUp, onOrder, onStop } from '../child.js';
import { LAST } from '../flow/settings.js';
import { usage } from '../idle/usage.js';
import { BATCHED } from '../limitPrograms.js';
import { pinThread } from '../pinning.js';
import { PAYLOAD_BYTES } from '../tally.js';
import { type Burst, CAPACITY_BYTES, CONNECTIONS, nameOf } from './lanes.js';
import { Work } from './work.js';

/** Between two looks at the queues, which hold work for many times as long. */
const PAUSE_MS = 5;
/** Of one connection before the next one has its turn. */
const MESSAGES_PER_TURN = 100 * BATCHED;
const HEARTBEAT_MS = 500;
const PATIENCE_MS = 20_000;
const NS_PER_MS = 1e6;

/** A connection, and what is under way over it. */
class Lane {
  readonly client: Client;
  readonly #connection: Connection;
  readonly #work = new Work();
  #left = 0;
  /** What the other side has answered; null until it has. */
  answer: number | null = null;

  static async open(name: string, port: number, sharedDirectory: string): Promise<Lane> {
    const client = new Client({ name, sharedDirectory, sendCapacityBytes: CAPACITY_BYTES });
    return new Lane(client, await client.connect({ port, transport: 'shm' }));
  }

  private constructor(client: Client, connection: Connection) {
    this.client = client;
    this.#connection = connection;
  }

  begin(count: number): void {
    this.#left = count;
    this.answer = null;
  }

  /** Pushes what there is room for, up to a turn's share; true if there may be room for more. */
  push(): boolean {
    for (let i = 1; i <= MESSAGES_PER_TURN && this.#left > 0; i++) {
      const message = this.#connection.alloc(PAYLOAD_BYTES);
      if (message === null) {
        this.#connection.publish();
        return false;
      }
      this.#work.write(message);
      this.#left--;
      if (this.#left === 0) message.type = LAST;
      if (i % BATCHED === 0 || this.#left === 0) this.#connection.push();
      else this.#connection.pushMore();
    }
    return this.#left > 0;
  }

  /** Looks for the answer. Throws when it is not what was to come of the work, and when nobody is there to give it. */
  look(): void {
    const message = this.#connection.front();
    if (message !== null) {
      this.answer = this.#work.check(message);
      this.#connection.pop();
    } else if (this.answer === null && this.#connection.state !== 'connected') {
      throw new Error(`the group is gone, before message ${this.#work.count} at the latest`);
    }
  }
}

const [port, sharedDirectory, cpu] = JSON.parse(process.argv[2] as string) as [number, string, number];
const lanes: Lane[] = [];
onStop(() => process.exit());
onOrder((order) => burst(Number(order)));
try {
  for (let i = 0; i < CONNECTIONS; i++) lanes.push(await Lane.open(nameOf(i), port, sharedDirectory));
  if (cpu >= 0) pinThread(cpu);
  // Messages need no poll over shared memory, and it would be most of what a client does here.
  setInterval(() => {
    for (const { client } of lanes) client.poll();
  }, HEARTBEAT_MS);
  announce();
} catch (error) {
  giveUp(error);
}

/** `count` messages over each connection. The one before them tells where the clocks of the threads are. */
async function burst(count: number): Promise<Burst> {
  const before = await move(1);
  const [start, ownNs] = [performance.now(), usage().cpuNs];
  const after = await move(count);
  return {
    elapsedNs: (performance.now() - start) * NS_PER_MS,
    clientsNs: usage().cpuNs - ownNs,
    threadsNs: before.map((ns, i) => ({ before: ns, after: after[i] as number })),
  };
}

/** Gives what was answered over each connection. */
async function move(count: number): Promise<number[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (const lane of lanes) lane.begin(count);
  for (;;) {
    if (performance.now() > deadline)
      throw new Error(`work of ${PATIENCE_MS / 1000} s and more was not done yet`);
    let pushing = lanes;
    while (pushing.length > 0) pushing = pushing.filter((lane) => lane.push());
    for (const lane of lanes) lane.look();
    const answers = lanes.flatMap(({ answer }) => answer ?? []);
    if (answers.length === lanes.length) return answers;
    await sleep(PAUSE_MS);
  }
}
