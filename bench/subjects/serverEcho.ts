/**
 * The child process of `shm.ts` and `tcp.ts`: a busy polled Server that sends back what comes. It visits its event
 * loop only a few times a second, to learn whether it is to end.
 */
import { performance } from 'node:perf_hooks';
import { Server } from '../../lib/index.js';
import { announce, onStop } from '../child.js';
import { pinThread } from '../pinning.js';
import { answer } from './exchange.js';

/** From one visit of the event loop to the next. */
const LOOP_MS = 100;
/** Polls from one look at the clock and at the control connections to the next: about a millisecond. */
const SHM_POLLS = 50_000;
const TCP_POLLS = 2_000;

const [transport, cpu, directory, sharedDirectory] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
];
const server = new Server({ name: 'bench-echo', directory, sharedDirectory, onMessage: answer });
const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
pinThread(Number(cpu));
onStop(() => {
  server.close().finally(() => process.exit());
});
announce(port);
setImmediate(transport === 'shm' ? pollShm : pollTcp);

function pollShm(): void {
  let now = performance.now();
  for (const end = now + LOOP_MS; now < end; now = performance.now()) {
    server.pollControl(now);
    for (let i = 0; i < SHM_POLLS; i++) server.pollShm();
  }
  if (!server.closed) setImmediate(pollShm);
}

function pollTcp(): void {
  let now = performance.now();
  for (const end = now + LOOP_MS; now < end; now = performance.now()) {
    server.pollControl(now);
    for (let i = 0; i < TCP_POLLS; i++) server.pollTcp(now);
  }
  if (!server.closed) setImmediate(pollTcp);
}
