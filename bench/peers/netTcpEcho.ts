/** The child process of `netTcp.ts`: writes back what it gets. */
import { type AddressInfo, createServer } from 'node:net';
import { announce, onStop } from '../child.js';
import { pinThread } from '../pinning.js';

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (bytes) => socket.write(bytes));
  socket.on('error', () => socket.destroy());
});
pinThread(Number(process.argv[2]));
server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port));
onStop(() => process.exit());
