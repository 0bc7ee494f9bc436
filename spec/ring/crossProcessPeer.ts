/**
 * The far side of crossProcess.spec.ts, in a process of its own: logs in as a client over shared memory, exchanges
 * traffic until all of it has gone both ways, and prints one line of JSON.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Client } from '../../lib/index.js';
import { Naps } from '../support/nap.js';
import { Traffic } from '../support/traffic.js';
import { LEAVING } from './rings.js';

const { server, port, sharedDirectory, send, receive } = JSON.parse(process.argv[2] as string) as {
  readonly server: string;
  readonly port: number;
  readonly sharedDirectory: string;
  readonly send: number;
  readonly receive: number;
};
const client = new Client({ name: 'far', sharedDirectory, loginTimeoutMs: 30_000 });
const connection = await client.connect({ server, port, transport: 'shm' });
connection.side.ends.consumer.clearing = LEAVING;
console.log(JSON.stringify({ resumedAt: [connection.pushed, connection.popped] }));
const traffic = new Traffic(connection, 1, send, receive);
const naps = new Naps();
while (!traffic.done) {
  for (let i = 0; i < 500 && !traffic.done; i++) naps.turned(traffic.step());
  client.poll();
  await nextTurn();
}
console.log(JSON.stringify({ pushed: connection.pushed, popped: connection.popped }));
await client.close();
