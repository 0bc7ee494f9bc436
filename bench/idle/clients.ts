/** A child process: many Clients, each connected and asleep. Their sessions over tcp are in memory. */
import { Client } from '../../lib/index.js';
import { announce, giveUp, onOrder, onStop } from '../child.js';
import { usage } from './usage.js';

/** The least: what matters here is how many there are. */
const CAPACITY_BYTES = 4096;
const LOGINS_AT_ONCE = 8;
/** The server is busy with the logins of others too. */
const LOGIN_TIMEOUT_MS = 30_000;

const [transport, port, first, count, heartbeatMs, sharedDirectory] = process.argv.slice(2) as [
  'shm' | 'tcp',
  string,
  string,
  string,
  string,
  string,
];
const names = Array.from({ length: Number(count) }, (_, i) => `idle-${Number(first) + i}`);
onStop(() => process.exit());
onOrder(usage);
try {
  await Promise.all(Array.from({ length: LOGINS_AT_ONCE }, logIn));
  announce();
} catch (error) {
  giveUp(error);
}

/** Logs in one after the other, as long as there are some left. */
async function logIn(): Promise<void> {
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const client = new Client({
      name,
      sharedDirectory,
      heartbeatIntervalMs: Number(heartbeatMs),
      connectionTimeoutMs: 4 * Number(heartbeatMs),
      loginTimeoutMs: LOGIN_TIMEOUT_MS,
      sendCapacityBytes: CAPACITY_BYTES,
      receiveCapacityBytes: CAPACITY_BYTES,
      onMessage() {
        throw new Error('nobody sends anything here');
      },
    });
    await client.connect({ port: Number(port), transport });
    client.run({ idle: 'park' }).catch(giveUp);
  }
}
