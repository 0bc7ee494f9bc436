/** A child process: a Server whose groups have threads, each on a processor of its own. Its own thread sleeps. */
import { Server } from '../../lib/index.js';
import { announce, giveUp, onOrder, onStop } from '../child.js';
import { CAPACITY_BYTES, groupOf } from './lanes.js';

const [cpus, sharedDirectory] = JSON.parse(process.argv[2] as string) as [number[], string];
try {
  const server = new Server({
    name: 'bench-groups',
    sharedDirectory,
    receiveCapacityBytes: CAPACITY_BYTES,
    groups: { count: cpus.length, worker: new URL('./groupHandlers.js', import.meta.url), cpus },
    acceptLogin: ({ name }) => ({ group: groupOf(name, cpus.length) }),
    onError(error) {
      process.stderr.write(`${error.stack}\n${error.cause === undefined ? '' : `${String(error.cause)}\n`}`);
    },
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  onStop(() => {
    server.close().finally(() => process.exit());
  });
  /** How many connections each group has. */
  onOrder(() => {
    const counts = cpus.map(() => 0);
    for (const { group } of server.members) counts[group] = (counts[group] as number) + 1;
    return counts;
  });
  server.run({ idle: 'park' }).catch(giveUp);
  announce(port);
} catch (error) {
  giveUp(error);
}
