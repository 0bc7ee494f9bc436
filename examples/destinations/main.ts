/**
 * Requests to a service with two servers, one of which goes away for good in the middle. All are in one thread here; over
 * shared memory and TCP between processes and hosts it is the same.
 *
 *     node dist/examples/destinations/main.js
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { Destination, messenger, Server } from 'tcpshm';

/** A server that squares numbers, and tells who has asked whom. */
async function start(name: string): Promise<{ server: Server; port: number; running: Promise<void> }> {
  const server = new Server({
    name,
    onConnection(connection) {
      // The same connection comes again after a link that broke.
      connection.userData ??= messenger(connection).handle('square', async (n: number) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return `${n * n} from ${name}`;
      });
    },
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  return { server, port, running: server.run() };
}

const east = await start('east');
const west = await start('west');

const squares = new Destination([{ port: east.port }, { port: west.port }], {
  name: 'trader',
  maxConnections: 2,
  maxInFlight: 8,
  resumeMs: 200,
  onEvent(event) {
    if (event.kind === 'connected')
      console.log(`${event.name} is connected to ${event.connection.remoteName}`);
    if (event.kind === 'ended') console.log(`${event.name} has lost its server`);
  },
});
const driven = squares.run();

// May run twice: so it is sent to the other server when the one that has it does not come back.
const ask = (n: number): Promise<string> => squares.request('square', n, { idempotent: true });

console.log(await ask(1));
const answers = Array.from({ length: 20 }, (_, i) => ask(i));
await answers[0];
const gone = east.server.connections.length > 0 ? east : west;
console.log(`${gone.server.name} goes away`);
await gone.server.close();
console.log(`${(await Promise.all(answers)).length} answers, the last: ${await answers.at(-1)}`);

await squares.close();
await driven;
for (const { server, running } of [east, west]) {
  await server.close();
  await running;
}
