/**
 * Threads that are ended in the middle of whatever they do, again and again, in a process of its own: says afterwards
 * what is left of them. `node dist/spec/soak/cycles.js CYCLES SEED` prints a report as JSON.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { newFolders } from '../support/folders.js';
import { Random, randomSeed } from '../support/random.js';

/** What a thread loads is most of what it costs: so these are the parts, and each stage has those that it needs. */
const CLIENT = new URL('../../lib/client.js', import.meta.url).href;
const SERVER = new URL('../../lib/server/server.js', import.meta.url).href;
const NATIVE = new URL('../../lib/memory/native.js', import.meta.url).href;

/** What a thread is at when it is ended, in the words of its program; `stage` names it in the report. */
const STAGES: Readonly<Record<string, string>> = {
  mapping: `
    const path = places.sharedDirectory + '/mapped';
    ready();
    for (;;) {
      const files = [0, 1, 2].map(() => n.mapFile(path, { create: false, sizeBytes: 1 }));
      for (const file of files) new Uint8Array(file.buffer)[0]++;
      if (Math.random() < 0.5) for (const file of files) file.close();
    }`,
  polling: `
    const { server, client, connection } = await pair();
    ready();
    for (;;) { connection.send('message'); server.poll(); client.poll(); }`,
  parked: `
    const { server, client, connection } = await pair();
    server.run({ idle: 'park' });
    client.run({ idle: 'park' });
    connection.send('message');
    setTimeout(ready, 3);`,
  'parked with the whole thread': `
    const { server } = await pair();
    setTimeout(ready, 3);
    await server.run({ idle: 'park', blocking: true });`,
  'asleep in a wait': `
    const epoll = n.createEpoll();
    const bell = n.createDoorbell(places.sharedDirectory + '/bell-' + id);
    epoll.add(bell.fd, 1, 1);
    ready();
    epoll.wait(new Uint32Array(8), 200);`,
  'exit in a callback': `
    const { server, client, connection } = await pair({ onMessage: () => process.exit(0) });
    ready();
    connection.send('message');
    for (;;) { server.poll(); client.poll(); }`,
  'exit in a watch': `
    const epoll = n.createEpoll();
    const bell = n.createDoorbell(places.sharedDirectory + '/bell-' + id);
    epoll.add(bell.fd, 1, 1);
    epoll.watch(() => process.exit(0));
    ready();
    bell.ring(1);`,
  'failure in a callback': `
    const { server, client, connection } = await pair({ onMessage: () => { throw new Error('on purpose'); } });
    ready();
    connection.send('message');
    for (;;) { server.poll(); client.poll(); }`,
  closed: `
    const { server, client, connection } = await pair();
    connection.close();
    await client.close();
    await server.close({ removeSessions: true });
    ready();`,
};

const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads');
const { places, id, stage } = workerData;
const ready = () => parentPort.postMessage('ready');
(async () => {
  const n = (await import(${JSON.stringify(NATIVE)})).native();
  const pair = async (handlers = {}) => {
    const [{ Client }, { Server }] = await Promise.all([
      import(${JSON.stringify(CLIENT)}),
      import(${JSON.stringify(SERVER)}),
    ]);
    const server = new Server({ name: 'server-' + stage, ...places, ...handlers });
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    const client = new Client({ name: 'client-' + stage, ...places });
    const login = client.connect({ port, transport: id % 2 ? 'tcp' : 'shm' });
    let connection = null;
    login.then((made) => { connection = made; });
    while (connection === null) { server.poll(); client.poll(); await new Promise(setImmediate); }
    return { server, client, connection };
  };
`;

export interface Leftovers {
  readonly descriptors: number;
  readonly mappings: number;
  readonly files: number;
  readonly residentMiB: number;
}

function leftovers(folders: readonly string[]): Leftovers {
  globalThis.gc?.();
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const files = folders.flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }));
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    mappings: maps.filter((line) => folders.some((folder) => line.includes(folder))).length,
    files: files.filter((entry) => !entry.isDirectory()).length,
    residentMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
  };
}

const cycles = Number(process.argv[2] ?? 10_000);
const seed = Number(process.argv[3] ?? randomSeed());
const random = new Random(seed);
const folders = newFolders();
const { directory, sharedDirectory } = folders;
const { native } = await import('../../lib/memory/native.js');
native().mapFile(`${sharedDirectory}/mapped`, { create: true, sizeBytes: 65536 }).close();
const ended: Record<string, number> = {};

async function cycle(id: number): Promise<void> {
  const stage = random.pick(Object.keys(STAGES));
  const worker = new Worker(`${PROGRAM}${STAGES[stage] ?? ''}\n})();`, {
    eval: true,
    workerData: { places: { directory, sharedDirectory }, id, stage: stage.replaceAll(' ', '-') },
  });
  // Not `once`, which an error settles: the exit comes right behind it.
  const exit = new Promise((resolve) => worker.once('exit', resolve));
  const failures: unknown[] = [];
  worker.on('error', (error) => failures.push(error));
  if (!random.once(8)) {
    await Promise.race([once(worker, 'message').catch(() => {}), exit]);
    const pauseMs = random.below(4);
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await worker.terminate();
  await exit;
  for (const failure of failures) {
    if ((failure as Error).message !== 'on purpose') throw failure;
  }
  ended[stage] = (ended[stage] ?? 0) + 1;
}

/** Until all stages had their turn, and memory that is kept for the next thread is there. */
const warmUp = Math.min(cycles, 100);
for (let id = 0; id < warmUp; id++) await cycle(id);
const before = leftovers([directory, sharedDirectory]);
for (let id = 0; id < cycles; id++) await cycle(id);
const after = leftovers([directory, sharedDirectory]);
folders.remove();
console.log(JSON.stringify({ cycles, seed, before, after, ended }));
