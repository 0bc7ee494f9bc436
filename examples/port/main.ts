/**
 * Two threads with a pair of ports: as with a MessageChannel, and many times as fast.
 *
 *     node dist/examples/port/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { RingPortPair } from 'tcpshm';
import type { Answer } from './worker.js';

const QUESTIONS = 100_000;
const AWAITED = 10_000;

const { port1: port, port2 } = new RingPortPair();
const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: port2.detach() });

// Many at once: postMessage never fails for want of room, and what comes back is in order.
let came = 0;
let wrong = 0;
const all = new Promise<void>((resolve) => {
  port.on('message', function count(value) {
    const { number, square } = value as Answer;
    if (number !== came || square !== BigInt(came) ** 2n) wrong++;
    if (++came < QUESTIONS) return;
    port.off('message', count);
    resolve();
  });
});
for (let number = 0; number < QUESTIONS; number++) port.postMessage({ number });
await all;
console.log(`${came} answers, ${wrong} of them wrong`);

// One by one.
const start = performance.now();
for (let number = 0; number < AWAITED; number++) {
  port.postMessage({ number });
  const [{ square }] = (await once(port, 'message')) as [Answer];
  if (square !== BigInt(number) ** 2n) wrong++;
}
const each = ((performance.now() - start) * 1000) / AWAITED;
console.log(`${AWAITED} questions, each awaited: ${each.toFixed(1)} µs`);

port.close();
await once(worker, 'exit');
console.log('the worker has seen the end, and ended');
process.exitCode = wrong === 0 ? 0 : 1;
