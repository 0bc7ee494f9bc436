/** The far side of a RingChannel, in a thread of its own: exchanges traffic, then says so. */
import { parentPort, workerData } from 'node:worker_threads';
import { RingChannel, type RingHandle } from '../../lib/index.js';
import { Naps } from '../support/nap.js';
import { Traffic } from '../support/traffic.js';

const { handle, count, leaveAt } = workerData as {
  readonly handle: RingHandle;
  readonly count: number;
  /** Ends the thread without a word after so many messages. */
  readonly leaveAt: number;
};
const connection = RingChannel.open(handle);
const traffic = new Traffic(connection, 1, count, count);
const naps = new Naps();
let wrong: string | null = null;
try {
  while (!traffic.done && connection.popped < leaveAt) naps.turned(traffic.step());
} catch (error) {
  wrong = (error as Error).message;
}
if (wrong !== null || traffic.done) parentPort?.postMessage({ popped: connection.popped, wrong });
