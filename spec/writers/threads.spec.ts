import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { ConnectionWriter, RingChannel, type WriterHandle } from '../../lib/index.js';
import { openChannel, openPeers } from '../contract/pairs.js';
import type { Pair } from '../contract/queueContract.js';
import { expectCode } from '../support/failure.js';
import { Random, randomSeed } from '../support/random.js';
import { until } from '../support/until.js';
import { Channel } from './channel.js';
import { Ledger } from './numbered.js';
import type { WriterBegun, WriterThread } from './writerThread.js';

const THREAD = new URL('./writerThread.js', import.meta.url);

const WAYS: readonly (readonly [string, (capacity: number) => Promise<Pair>, number])[] = [
  ['a RingChannel', openChannel, 20_000],
  ['inproc', (capacity) => openPeers(capacity, { transport: 'inproc' }), 10_000],
  ['shm', (capacity) => openPeers(capacity, { transport: 'shm' }), 10_000],
  ['tcp', (capacity) => openPeers(capacity, { transport: 'tcp', wire: 'native' }), 4000],
  ['tcp of node:net', (capacity) => openPeers(capacity, { transport: 'tcp', wire: 'net' }), 2000],
];

/** More messages than any thread gets to push. */
const ENDLESS = 2 ** 24;

interface Running {
  readonly worker: Worker;
  /** How many messages were pushed before it began; null until then. */
  readonly begun: number | null;
  readonly ended: boolean;
  readonly error: Error | null;
}

describe('writers in other threads', () => {
  const workers: Worker[] = [];
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.terminate();
  });

  function start(thread: WriterThread): Running {
    const worker = new Worker(THREAD, { workerData: thread });
    workers.push(worker);
    const running = { worker, begun: null as number | null, ended: false, error: null as Error | null };
    worker.on('message', ({ pushed }: WriterBegun) => {
      running.begun = pushed;
    });
    worker.on('error', (error) => {
      running.error = error;
    });
    worker.on('exit', () => {
      running.ended = true;
    });
    return running;
  }

  for (const [way, open, count] of WAYS) {
    for (const capacity of [4096, 65536]) {
      describe(`over ${way}, with queues of ${capacity} bytes`, () => {
        let pair: Pair;
        let ledger: Ledger;

        beforeEach(async () => {
          pair = await open(capacity);
        });
        afterEach(async () => {
          await pair.close();
        });

        const turn = async (): Promise<boolean> => {
          const before = ledger.total;
          for (let message = pair.b.front(); message !== null; message = pair.b.front()) {
            ledger.take(message);
            pair.b.pop();
          }
          // What is there ends with a batch.
          if (ledger.inBatch) throw new Error('a batch became visible in parts');
          await pair.turn();
          return ledger.total !== before;
        };

        it('send messages of random sizes, alone and in batches: each one’s arrive whole, once, in order', async () => {
          const ids = [0, 1, 2, 3];
          ledger = new Ledger(ids.length, capacity / 4);
          const threads = ids.map((id) =>
            start({ handle: pair.a.writer(), id, count, leaveAt: count, leave: 'close' }),
          );
          await until(() => ledger.total === ids.length * count, 'all messages', turn);
          await until(() => threads.every(({ ended }) => ended), 'the end of the threads', turn);
          expect(threads.map(({ error }) => error)).to.deep.equal(ids.map(() => null));
          expect([pair.a.pushed, pair.b.popped]).to.deep.equal([ids.length * count, ids.length * count]);
          expect(pair.b.front()).to.equal(null);
        });

        const seed = randomSeed();
        it(`lose and repeat nothing when their threads end in any way, and others go on (seed ${seed})`, async () => {
          const random = new Random(seed);
          ledger = new Ledger(2, capacity / 4);
          const undisturbed = start({
            handle: pair.a.writer(),
            id: 0,
            count,
            leaveAt: count,
            leave: 'close',
          });
          const handle = pair.a.writer();
          let pushed = 0;
          for (const leave of ['never', 'exit', 'never', 'throw', 'in a batch', 'never', 'return'] as const) {
            const terminated = leave === 'never';
            const leaveAt = pushed + random.between(1, count / 8);
            const thread = start({
              handle,
              id: 1,
              count: ENDLESS,
              leaveAt: terminated ? ENDLESS : leaveAt,
              leave,
            });
            await until(() => thread.begun !== null || thread.ended, 'the thread', turn);
            expect(thread.begun, `${thread.error}`).to.be.at.least(pushed);
            pushed = thread.begun as number;
            if (terminated) {
              await until(() => (ledger.counts[1] as number) >= leaveAt, 'some messages', turn);
              expect(thread.ended).to.equal(false);
              void thread.worker.terminate();
            }
            await until(() => thread.ended, 'its end', turn);
            expect(thread.error?.message ?? null).to.equal(leave === 'throw' ? 'on purpose' : null);
            // All that is known of one that was terminated is what has arrived.
            pushed = Math.max(pushed, terminated ? (ledger.counts[1] as number) : leaveAt);
          }
          const leaveAt = pushed + count;
          const last = start({ handle, id: 1, count: leaveAt, leaveAt, leave: 'close' });
          await until(() => last.ended && undisturbed.ended, 'the end of the threads', turn);
          expect([last.error, undisturbed.error]).to.deep.equal([null, null]);
          expect(last.begun).to.be.at.least(pushed);
          const all = Math.max(last.begun as number, leaveAt);
          await until(() => ledger.total === count + all, 'all messages', turn);
          expect([pair.a.pushed, pair.b.popped, pair.b.front()]).to.deep.equal([
            count + all,
            count + all,
            null,
          ]);
          expectCode(() => ConnectionWriter.open(handle), 'ERR_CLOSED', /for good/);
        });
      });
    }
  }

  it('have a writer for themselves, and free it at once when they end', async () => {
    const { local } = new RingChannel({ capacityBytes: 4096 });
    const handle = local.writer();
    for (const leave of ['never', 'exit', 'throw', 'return', 'in a batch', 'never', 'return'] as const) {
      const thread = start({ handle, id: 0, count: 0, leaveAt: 0, leave });
      await until(() => thread.begun !== null || thread.ended, 'the thread');
      expect(thread.begun, `${thread.error}`).to.equal(0);
      if (leave === 'never') {
        const open = new RegExp(`open already, in the thread of id ${thread.worker.threadId}:`);
        expectCode(() => ConnectionWriter.open(handle), 'ERR_ALREADY_CONNECTED', open);
        const refused = start({ handle, id: 0, count: 0, leaveAt: 0, leave: 'return' });
        await until(() => refused.ended, 'the thread that is refused');
        expect(refused.error).to.have.property('code', 'ERR_ALREADY_CONNECTED');
        // Its end has taken nothing from the one who has it.
        expectCode(() => ConnectionWriter.open(handle), 'ERR_ALREADY_CONNECTED', open);
        await thread.worker.terminate();
      }
      await until(() => thread.ended, 'its end');
    }
    const writer = ConnectionWriter.open(handle);
    expectCode(() => ConnectionWriter.open(handle), 'ERR_ALREADY_CONNECTED', /in the thread of id 0:/);
    expect(writer.pushed).to.equal(0);
    writer.close();
    local.close();
  });

  it('hear of it when the connection is closed, and when its thread ends', async () => {
    const channel = new RingChannel({ capacityBytes: 4096 });
    const closed = start({
      handle: channel.local.writer(),
      id: 0,
      count: 1e6,
      leaveAt: 1e6,
      leave: 'return',
    });
    await until(() => closed.begun !== null, 'the thread');
    channel.local.close();
    await until(() => closed.ended, 'its end');
    expect(closed.error).to.have.property('code', 'ERR_CLOSED');

    const owner = run(`
      globalThis.channel = new RingChannel();
      parentPort.postMessage(channel.local.writer());
      setInterval(() => {}, 1000);`);
    const [handle] = (await once(owner, 'message')) as [WriterHandle];
    const writer = ConnectionWriter.open(handle);
    expect(writer.send('to nobody')).to.equal(true);
    await owner.terminate();
    expectCode(
      () => writer.send('too late'),
      'ERR_CLOSED',
      /the thread of the connection of 'main' to 'worker' has ended/,
    );
    writer.close();
    expectCode(() => ConnectionWriter.open(handle), 'ERR_CLOSED');
  });

  it('have every push taken that has returned before the connection was closed', async () => {
    for (let i = 0; i < 20; i++) {
      const channel = new Channel(2 ** 20);
      const thread = run(
        `
        const writer = ConnectionWriter.open(workerData);
        let pushed = 0;
        parentPort.postMessage(pushed);
        try {
          for (;;) if (writer.send('x'.repeat(pushed % 10))) pushed++;
        } catch ({ code }) {
          parentPort.postMessage({ pushed, code });
        }`,
        channel.local.writer({ capacityBytes: 4096 }),
      );
      await once(thread, 'message');
      const least = 100 * i;
      await until(
        () => channel.local.pushed >= least,
        'some messages',
        async () => {
          channel.poll();
          channel.receive();
          await nextTurn();
        },
      );
      channel.local.close();
      const [{ pushed, code }] = (await once(thread, 'message')) as [{ pushed: number; code: string }];
      expect(code).to.equal('ERR_CLOSED');
      channel.receive();
      // The one that threw may have been taken.
      expect(channel.far.popped).to.be.within(Math.max(pushed, least), pushed + 1);
      channel.close();
    }
  });

  /** A thread that runs this text, with the library's names. */
  function run(text: string, workerData: unknown = null): Worker {
    const library = new URL('../../lib/index.js', import.meta.url).href;
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       import(${JSON.stringify(library)}).then(({ ConnectionWriter, RingChannel }) => { ${text} });`,
      { eval: true, workerData },
    );
    workers.push(worker);
    return worker;
  }
});
