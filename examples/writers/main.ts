/**
 * Four workers write one connection, which belongs to this thread: each has a writer of its own, and this thread, which
 * polls the connection, moves what they push into its queue. At the other end a fifth worker counts.
 *
 *     node dist/examples/writers/main.js
 *
 * The connection is one of a RingChannel here; one of a client or server, to another process or host, has the same
 * `writer()`. In your own project, 'tcpshm' is the package that you have installed.
 */
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { RingChannel } from 'tcpshm';
import type { WriterTask } from './writer.js';

const WRITERS = 4;
const COUNT = 25_000;

const { local, remote } = new RingChannel();
const collector = new Worker(new URL('./collector.js', import.meta.url), { workerData: remote });
const collected = once(collector, 'exit');

for (let id = 0; id < WRITERS; id++) {
  // A handle is plain data: it goes with workerData, or with any message.
  const workerData: WriterTask = { id, count: COUNT, handle: local.writer() };
  new Worker(new URL('./writer.js', import.meta.url), { workerData });
}

while (local.pushed < WRITERS * COUNT) {
  // This is what moves the messages. A client or a server does it when it is polled.
  local.poll({});
  await nextTurn();
}

local.send('bye');
await collected;
console.log(local.front()?.text());
local.close();
