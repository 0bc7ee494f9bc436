/**
 * The child process of `peers.ts`: a Server that pops what comes, verifies it, and answers each burst. `pace` is how it
 * waits: 'busy' polls, 'timer' looks every millisecond and leaves its processor to others in between.
 */
import { performance } from 'node:perf_hooks';
import { type Connection, type DurabilityLevel, type Message, Server } from '../../lib/index.js';
import { announce, onStop } from '../child.js';
import { Tally } from '../tally.js';
import { writtenBytes } from './fileSystem.js';

/** From one visit of the event loop to the next. */
const LOOP_MS = 100;
/** From one look at the clock and at the control connections to the next. */
const POLLS = 200;
const TIMER_MS = 1;
const ANSWER_CAPACITY_BYTES = 2 ** 16;

const [durability, pace, burst, capacity, directory] = process.argv.slice(2) as [
  DurabilityLevel,
  'busy' | 'timer',
  string,
  string,
  string,
];
const burstMessages = Number(burst);
const tally = new Tally();
let left = burstMessages;
const server = new Server({
  name: 'bench-durability',
  directory,
  durability,
  receiveCapacityBytes: Number(capacity),
  sendCapacityBytes: ANSWER_CAPACITY_BYTES,
  onMessage(connection: Connection, message: Message) {
    tally.read(message);
    connection.pop();
    if (--left > 0) return;
    left = burstMessages;
    tally.answer(connection, writtenBytes());
  },
});
const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
onStop(() => {
  server.close().finally(() => process.exit());
});
announce(port);
if (pace === 'busy') setImmediate(pollBusy);
else setInterval(() => server.poll(), TIMER_MS);

function pollBusy(): void {
  let now = performance.now();
  for (const end = now + LOOP_MS; now < end; now = performance.now()) {
    server.pollControl(now);
    for (let i = 0; i < POLLS; i++) server.pollTcp(now);
  }
  if (!server.closed) setImmediate(pollBusy);
}
