/**
 * A piscina task that streams: a task has one result, at its end, but here the main thread gets prime numbers through
 * a ring as the task finds them.
 *
 *     node dist/examples/piscina/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { RingChannel } from 'tcpshm';
import type { PrimesTask } from './task.js';

const pool = new Piscina<PrimesTask, number>({
  filename: new URL('./task.js', import.meta.url).href,
  maxThreads: 1,
});
const { local, remote } = new RingChannel({ capacityBytes: 65536 });

let running = true;
const task = pool.run({ below: 500_000, ring: remote }).finally(() => {
  running = false;
});

let streamed = 0;
let whileRunning = 0;
let largest = 0;
for (;;) {
  // Read before the ring: what was sent before the end of the task is in there by now.
  const last = !running;
  for (let message = local.front(); message !== null; message = local.front()) {
    largest = message.getUint32(0);
    local.pop();
    streamed++;
    if (running) whileRunning++;
  }
  if (last) break;
  // The event loop must turn, or the pool could not tell us that the task has ended.
  await nextTurn();
}

const found = await task;
console.log(
  `${streamed} primes came through the ring, the largest ${largest}; ${whileRunning} while the task was running`,
);
console.log(`the task says that it found ${found}`);
process.exitCode = streamed === found ? 0 : 1;
local.close();
await pool.destroy();
