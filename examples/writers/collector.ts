/** The other end of main.ts: checks that the messages of each writer are all there, and in order. */
import { workerData } from 'node:worker_threads';
import { RingChannel, type RingHandle } from 'tcpshm';

const end = RingChannel.open(workerData as RingHandle);
const next = new Map<number, number>();
let received = 0;
let wrong = 0;

for (;;) {
  const message = end.front();
  if (message === null) continue;
  if (message.size !== 8) break;
  const id = message.getUint32(0);
  if (message.getUint32(4) !== (next.get(id) ?? 0)) wrong++;
  next.set(id, message.getUint32(4) + 1);
  received++;
  end.pop();
}
end.pop();
end.send(`${received} messages of ${next.size} writers, ${wrong} of them out of order`);
end.close();
