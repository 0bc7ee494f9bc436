/**
 * What a connection does, in numbers and events: a server that is slower than its client, so that the queue becomes full.
 * Client and server are in one thread here, and talk over TCP.
 *
 *     node dist/examples/observability/main.js
 *
 * For OpenTelemetry: `import { observe } from 'tcpshm/opentelemetry'`, then `observe(server)` and `observe(client)`.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Connection, DIAGNOSTIC_CHANNELS, type DiagnosticEvents, Server } from 'tcpshm';

const MESSAGES = 1000;
type Events = DiagnosticEvents<Connection>;

// The life of connections, as both sides publish it. The three for tracing come with every poll.
const TRACING = ['tcpshm:delivered', 'tcpshm:sent', 'tcpshm:received'];
for (const name of DIAGNOSTIC_CHANNELS) {
  if (!TRACING.includes(name)) subscribe(name, () => console.log(`event: ${name}`));
}
subscribe('tcpshm:disconnected', (event) => {
  const { connection, reason } = event as Events['tcpshm:disconnected'];
  console.log(`${connection.localName} has lost ${connection.remoteName}: ${reason}`);
});

const server = new Server({
  name: 'shop',
  receiveCapacityBytes: 16384,
  // Ten with each poll: it leaves the others in the queue.
  onMessage: (connection) => {
    if (taken++ < 10) connection.pop();
  },
});
let taken = 0;
const { port } = await server.listen({ port: 0 });
const clerk = setInterval(() => {
  taken = 0;
  server.poll();
}, 1);

const client = new Client({ name: 'buyer', heartbeatIntervalMs: 50 });
const connection = await client.connect({ port, transport: 'tcp' });
const running = client.run();

// How many messages each poll of the server hands out, while somebody wants to know.
const batches: number[] = [];
const hear = (event: unknown): void => {
  batches.push((event as Events['tcpshm:delivered']).messages);
};
subscribe('tcpshm:delivered', hear);
for (let sent = 0; sent < MESSAGES; ) {
  if (connection.send(`order ${sent}`.padEnd(100))) sent++;
  else await sleep(1);
}
while (server.stats().total.receivedMessages < MESSAGES) await sleep(1);
unsubscribe('tcpshm:delivered', hear);
while (connection.stats().smoothedRoundTripMs === null) await sleep(10);

const { sentMessages, sentBytes, fullAllocs, fullPeriods, highWaterBytes, outgoing, ...others } =
  connection.stats();
console.log(`${sentMessages} messages were sent, of ${sentBytes / sentMessages} bytes on average`);
console.log(`the queue was full: ${fullPeriods > 0 && fullAllocs >= fullPeriods}`);
console.log(
  `at the most ${Math.round((highWaterBytes / outgoing.capacityBytes) * 100)} % of it were taken up`,
);
console.log(`${Math.max(...batches)} messages were the most that a poll handed out`);
console.log(
  `a heartbeat takes ${(others.smoothedRoundTripMs ?? Number.NaN) < 1000 ? 'less' : 'more'} than a second`,
);

await client.close();
await running;
while (server.stats().connected > 0) await sleep(1);
clearInterval(clerk);
await server.close();
const { admittedLogins, refusedLogins, total } = server.stats();
console.log(
  `logins: ${admittedLogins} admitted, ${refusedLogins} refused; ${total.receivedMessages} messages`,
);
