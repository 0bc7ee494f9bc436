/** The other thread of main.ts: takes messages as they come, without ever returning to its event loop. */
import { workerData } from 'node:worker_threads';
import { RingChannel, type RingHandle } from 'tcpshm';

const end = RingChannel.open(workerData as RingHandle);

for (;;) {
  const message = end.front();
  if (message === null) continue;
  if (message.size !== 8) break;
  const answer = end.alloc(8);
  // No room for an answer now: the message stays at the front.
  if (answer === null) continue;
  answer.setFloat64(0, message.getFloat64(0) * 1.8 + 32);
  end.pop();
  end.push();
}
console.log(`the worker got a text: ${end.front()?.text()}`);
end.pop();
end.close();
