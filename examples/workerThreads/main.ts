/**
 * Two threads exchange messages through a RingChannel: this one sends temperatures in degrees Celsius, the worker
 * answers in Fahrenheit.
 *
 *     node dist/examples/workerThreads/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { RingChannel } from 'tcpshm';

const COUNT = 100_000;

const channel = new RingChannel();
const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: channel.remote });
const { local } = channel;

let sent = 0;
let received = 0;
let errors = 0;
while (received < COUNT) {
  // Send while there is room: `alloc` gives null when the queue is full.
  while (sent < COUNT) {
    const message = local.alloc(8);
    if (message === null) break;
    message.setFloat64(0, sent++);
    local.push();
  }
  // Take what has come. It comes in the order in which it was sent.
  for (let message = local.front(); message !== null; message = local.front()) {
    if (message.getFloat64(0) !== received * 1.8 + 32) errors++;
    local.pop();
    received++;
  }
  // This thread has other things to do as well, timers for example: let it.
  await nextTurn();
}

// A message can be a text, too. This one ends the worker.
local.send('bye');
worker.once('exit', () => {
  console.log(`${local.pushed} messages sent, ${local.popped} came back, ${errors} of them wrong`);
  process.exitCode = errors === 0 ? 0 : 1;
  local.close();
});
