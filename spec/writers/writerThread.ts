/** A thread that writes a connection: opens a writer, pushes its messages, and ends as it is told. */
import { parentPort, workerData } from 'node:worker_threads';
// Not the whole library: it would take longer to load, in each of a hundred threads, than the thread is at work.
import { ConnectionWriter } from '../../lib/writer/connectionWriter.js';
import type { WriterHandle } from '../../lib/writer/handle.js';
import { pushNext } from './numbered.js';

export interface WriterThread {
  readonly handle: WriterHandle;
  readonly id: number;
  /** Messages that are to be pushed in all, by this thread and those before it. */
  readonly count: number;
  /** After so many, it ends in this way; or it goes on until it is terminated. */
  readonly leaveAt: number;
  readonly leave: 'close' | 'return' | 'exit' | 'throw' | 'in a batch' | 'never';
}

/** What it says at its begin: how many messages were pushed before. */
export interface WriterBegun {
  readonly pushed: number;
}

const { handle, id, count, leaveAt, leave } = workerData as WriterThread;
const writer = ConnectionWriter.open(handle);
parentPort?.postMessage({ pushed: writer.pushed } satisfies WriterBegun);
while (writer.pushed < count && writer.pushed < leaveAt) pushNext(writer, id, count);
if (leave === 'close') writer.close();
else if (leave === 'exit') process.exit();
else if (leave === 'throw') throw new Error('on purpose');
else if (leave === 'in a batch') {
  for (let i = 0; i < 3; i++) {
    for (let message = null; message === null; ) message = writer.alloc(writer.maxMessageBytes / 4);
    writer.pushMore();
  }
  writer.alloc(100)?.bytes().fill(0xff);
  process.exit();
} else if (leave === 'never') {
  for (;;);
}
