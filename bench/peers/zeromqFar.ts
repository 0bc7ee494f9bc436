/** The child process of `zeromq.ts`. */
import { Pair } from 'zeromq';
import { announce, onStop } from '../child.js';
import { pinThread } from '../pinning.js';
import { type Duty, farDuty } from './link.js';

const [cpu, duty, address] = process.argv.slice(2) as [string, Duty, string];
const socket = new Pair({ linger: 0 });
socket.connect(address);
pinThread(Number(cpu));
let reply: Uint8Array | null = null;
const take = farDuty(duty, (message) => {
  reply = message;
});
onStop(() => process.exit());
announce();
await socket.send('connected');
for await (const [message] of socket) {
  take(message as Uint8Array);
  if (reply !== null) await socket.send(reply);
  reply = null;
}
