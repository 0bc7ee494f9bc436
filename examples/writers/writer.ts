/** One of the threads of main.ts that write its connection. */
import { workerData } from 'node:worker_threads';
import { ConnectionWriter, type WriterHandle } from 'tcpshm';

export interface WriterTask {
  readonly id: number;
  readonly count: number;
  readonly handle: WriterHandle;
}

const { id, count, handle } = workerData as WriterTask;
const writer = ConnectionWriter.open(handle);
const nobody = new Int32Array(new SharedArrayBuffer(4));

for (let n = 0; n < count; n++) {
  let message = writer.alloc(8);
  while (message === null) {
    // No room: the other end has not kept up. This thread has nothing better to do than to sleep for a millisecond.
    Atomics.wait(nobody, 0, 0, 1);
    message = writer.alloc(8);
  }
  message.setUint32(0, id);
  message.setUint32(4, n);
  writer.push();
}
// What was pushed will be moved all the same; the connection forgets this writer then.
writer.close();
