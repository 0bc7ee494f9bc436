/** A child process: a Client with one connection over shared memory, over which a message went there and back; asleep. */
import { Client } from '../../lib/index.js';
import { announce, giveUp, onOrder, onStop } from '../child.js';
import { memoryUse } from '../idle/usage.js';

const [port, sharedDirectory] = process.argv.slice(2) as [string, string];
onStop(() => process.exit());
onOrder(memoryUse);
try {
  const client = new Client({
    name: 'bench-memory',
    sharedDirectory,
    onMessage(connection) {
      connection.pop();
      announce();
    },
  });
  const connection = await client.connect({ port: Number(port), transport: 'shm' });
  client.run({ idle: 'park' }).catch(giveUp);
  connection.send('there and back');
} catch (error) {
  giveUp(error);
}
