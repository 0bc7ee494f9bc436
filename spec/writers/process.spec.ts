import { expect } from 'chai';
import { Scene } from '../peers/support.js';
import { Random, randomSeed } from '../support/random.js';
import { Ledger } from './numbered.js';

const THREAD = new URL('./writerThread.js', import.meta.url).href;
/** More messages than any thread gets to push. */
const ENDLESS = 2 ** 24;
const WRITERS = 3;
const LIVES = 4;
const CAPACITY = 4096;

/** A client whose connection is written by threads, until it has all of their messages. */
const OWNER = `
  const { Worker } = await import('node:worker_threads');
  const { name, places, address, ids, count } = JSON.parse(process.env.OWNER);
  const client = new tcpshm.Client({ name, ...places });
  const connection = await client.connect(address);
  const before = connection.pushed;
  say(before);
  for (const id of ids) {
    const workerData = { handle: connection.writer(), id, count, leaveAt: count, leave: 'close' };
    new Worker(new URL('${THREAD}'), { workerData, execArgv: [] });
  }
  while (connection.pushed < before + ids.length * count) {
    client.poll();
    await new Promise(setImmediate);
  }
  await client.close();
  say('done');`;

describe('a process whose threads write a connection', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const transport of ['shm', 'tcp'] as const) {
    const seed = randomSeed();
    it(`keeps, when it is killed, what was moved into the connection, over ${transport} (seed ${seed})`, async () => {
      const random = new Random(seed);
      const ledger = new Ledger((LIVES + 1) * WRITERS, CAPACITY / 4);
      let connected = 0;
      let ended = 0;
      const server = scene.server({
        onMessage(connection, message) {
          ledger.take(message);
          connection.pop();
        },
        onConnection: () => connected++,
        onDisconnect: () => ended++,
      });
      const { port } = await server.listen({ port: 0 });
      const live = (life: number, count: number): ReturnType<Scene['child']> => {
        const ids = Array.from({ length: WRITERS }, (_, i) => life * WRITERS + i);
        const places = scene.folders;
        const owner = { name: 'owner', places, address: { port, transport }, ids, count };
        return scene.child(OWNER, { OWNER: JSON.stringify(owner) });
      };
      const got = (life: number): readonly number[] =>
        ledger.counts.slice(life * WRITERS, (life + 1) * WRITERS);
      for (let life = 0; life < LIVES; life++) {
        const { child, words } = live(life, ENDLESS);
        const least = random.between(1, 500);
        await scene.until(() => got(life).every((count) => count >= least), 'some messages of each writer');
        child.kill('SIGKILL');
        await scene.until(() => ended === connected && child.signalCode !== null, 'its end');
        // What the session has counted is what the peer gets in the end: now, or at the next login.
        if (life > 0) expect(Number(words[0])).to.equal(total(ledger.counts.slice(0, life * WRITERS)));
        expect(total(ledger.counts.slice((life + 1) * WRITERS))).to.equal(0);
      }
      const count = 1000;
      const { child, words } = live(LIVES, count);
      await scene.until(() => child.exitCode !== null, 'its end');
      await scene.until(() => ended === connected, 'the last messages');
      expect(words).to.have.length(2);
      expect(Number(words[0])).to.equal(total(ledger.counts.slice(0, LIVES * WRITERS)));
      expect(got(LIVES)).to.deep.equal(Array(WRITERS).fill(count));
    });
  }
});

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
