/** A thread that pops messages of a ring, checks each, and tells how many at the end; says what is wrong with one. */
import { parentPort, workerData } from 'node:worker_threads';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RingMemory } from '../../lib/ring/memory.js';
import { Naps } from '../support/nap.js';
import { fault, sizeOf } from '../support/traffic.js';

const { buffer, capacity, count, largest } = workerData as {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  readonly count: number;
  readonly largest: number;
};
const consumer = new RingConsumer(new RingMemory(buffer, 0, capacity));
const naps = new Naps();
let wrong: string | null = null;
while (consumer.popped < count && wrong === null) {
  const message = consumer.front();
  naps.turned(message !== null);
  if (message === null) continue;
  wrong = fault(message, consumer.popped, sizeOf(consumer.popped, largest));
  consumer.pop();
}
parentPort?.postMessage({ popped: consumer.popped, wrong });
