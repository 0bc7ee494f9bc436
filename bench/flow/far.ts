/**
 * The far side, in a worker (inproc) or in a child process: it polls busily, and pops what comes or sends it back. It
 * visits its event loop only a few times a second, to learn whether it is to end; `tcp-net` moves nothing else.
 */
import { performance } from 'node:perf_hooks';
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Connection, type Message, RingChannel, type RingHandle, Server } from '../../lib/index.js';
import { announce, onOrder, onStop } from '../child.js';
import { memoryUse } from '../idle/usage.js';
import { pinThread } from '../pinning.js';
import { answer } from '../subjects/exchange.js';
import { tallyOf } from './bulk.js';
import { type Carrier, type FarSettings, LAST } from './settings.js';

/** From one visit of the event loop to the next. */
const LOOP_MS = 100;
/** Polls from one look at the clock and at the control connections to the next: about a millisecond. */
const POLLS: Record<Carrier, number> = { inproc: 100_000, shm: 100_000, tcp: 1000, 'tcp-net': 1 };

if (isMainThread) await serve(JSON.parse(process.argv[2] as string) as FarSettings);
else look(workerData as FarSettings & { readonly handle: RingHandle });

/** What is done with a message. */
function dutyOf({ duty, bytes }: FarSettings): (connection: Connection, message: Message) => void {
  if (duty === 'echo') return answer;
  const seen = tallyOf(bytes);
  return (connection, message) => {
    const { type } = message;
    seen.read(message);
    connection.pop();
    if (type === LAST) seen.answer(connection, 0);
  };
}

function look(settings: FarSettings & { readonly handle: RingHandle }): void {
  pinThread(settings.cpu);
  const connection = RingChannel.open(settings.handle);
  const onMessage = dutyOf(settings);
  (parentPort as MessagePort).postMessage('ready');
  while (connection.state === 'connected') {
    for (let i = 0; i < POLLS.inproc; i++) {
      const message = connection.front();
      if (message !== null) onMessage(connection, message);
    }
  }
  connection.close();
}

async function serve(settings: FarSettings): Promise<void> {
  const { carrier, capacityBytes, cpu, directory, sharedDirectory } = settings;
  let connection: Connection | null = null;
  const server = new Server({
    name: 'bench-far',
    directory,
    sharedDirectory,
    receiveCapacityBytes: capacityBytes,
    ...(carrier === 'tcp-net' ? { wire: 'net' } : {}),
    onConnection(connected) {
      connection = connected;
    },
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  if (cpu >= 0) pinThread(cpu);
  onOrder(memoryUse);
  onStop(() => {
    server.close().finally(() => process.exit());
  });
  const onMessage = dutyOf(settings);
  const polls = POLLS[carrier];
  const loopMs = carrier === 'tcp-net' ? 0 : LOOP_MS;
  const overSocket = carrier !== 'shm';
  const serveFor = (connection: Connection): void => {
    let now = performance.now();
    const end = now + loopMs;
    do {
      server.pollControl(now);
      for (let i = 0; i < polls; i++) {
        if (overSocket) server.pollTcp(now);
        for (let message = connection.front(); message !== null; message = connection.front()) {
          onMessage(connection, message);
        }
      }
      now = performance.now();
    } while (now < end);
  };
  const turn = (): void => {
    if (server.closed) return;
    if (connection === null) server.pollControl();
    else serveFor(connection);
    setImmediate(turn);
  };
  announce(port);
  setImmediate(turn);
}
