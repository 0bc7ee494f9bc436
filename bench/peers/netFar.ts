/** The child process of `net.ts`. */
import { type AddressInfo, createServer } from 'node:net';
import { announce, onStop } from '../child.js';
import { pinThread } from '../pinning.js';
import { PAYLOAD_BYTES } from '../tally.js';
import { Frames } from './frames.js';
import { type Duty, farDuty } from './link.js';

const [cpu, duty, path] = process.argv.slice(2) as [string, Duty, string?];
const server = createServer({ noDelay: true }, (socket) => {
  const take = farDuty(duty, (message) => socket.write(message));
  const frames = new Frames([PAYLOAD_BYTES], take);
  // What goes back as it came needs no frames.
  socket.on('data', duty === 'echo' ? take : (bytes) => frames.take(bytes));
  socket.on('error', () => socket.destroy());
});
pinThread(Number(cpu));
if (path === undefined) {
  server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port));
} else {
  server.listen(path, () => announce());
}
onStop(() => process.exit());
