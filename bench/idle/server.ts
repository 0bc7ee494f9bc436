/**
 * A child process: a Server with many connections, of which at most one carries messages. It rests, asleep but for
 * heartbeats, in the way that is `run`'s default, until it is ordered to be `busy`: then it polls, sends back what comes, and turns its event loop
 * to hear orders only.
 */
import { performance } from 'node:perf_hooks';
import { Server } from '../../lib/index.js';
import { announce, onOrder, onStop } from '../child.js';
import { pinThread } from '../pinning.js';
import { answer } from '../subjects/exchange.js';
import { memory, usage } from './usage.js';

/** From one visit of the event loop to the next. */
const LOOP_MS = 5;
/** Polls from one look at the clock and at the control connections to the next: about a millisecond. */
const POLLS = { shm: 50_000, tcp: 2_000 } as const;
const MOST_CONNECTIONS = 50_000;
const MOST_LOGINS = 1024;

/** A cpu of -1 leaves it to the scheduler. */
const [transport, cpu, heartbeatMs, sharedDirectory] = process.argv.slice(2) as [
  'shm' | 'tcp',
  string,
  string,
  string,
];
const server = new Server({
  name: 'bench-crowd',
  sharedDirectory,
  heartbeatIntervalMs: Number(heartbeatMs),
  connectionTimeoutMs: 4 * Number(heartbeatMs),
  groups: { shmConnections: MOST_CONNECTIONS, tcpConnections: MOST_CONNECTIONS },
  maxPendingLogins: MOST_LOGINS,
  onMessage: answer,
});
/** Ends the sleep; null while it is busy. */
let sleep: AbortController | null = null;
let work: Promise<void> = Promise.resolve();

const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
if (Number(cpu) >= 0) pinThread(Number(cpu));
onStop(() => process.exit());
onOrder((order) => ORDERS[order as keyof typeof ORDERS]());
rest();
announce(port);

const ORDERS = {
  async busy(): Promise<void> {
    sleep?.abort();
    await work;
    sleep = null;
    setImmediate(poll);
  },
  rest,
  usage,
  memory,
  /** How many are connected. */
  count: () => server.connections.filter(({ state }) => state === 'connected').length,
};

function rest(): void {
  sleep = new AbortController();
  work = server.run({ signal: sleep.signal }).catch((error: Error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
}

function poll(): void {
  if (sleep !== null) return;
  let now = performance.now();
  for (const end = now + LOOP_MS; now < end; now = performance.now()) {
    server.pollControl(now);
    if (transport === 'shm') for (let i = 0; i < POLLS.shm; i++) server.pollShm();
    else for (let i = 0; i < POLLS.tcp; i++) server.pollTcp(now);
  }
  setImmediate(poll);
}
