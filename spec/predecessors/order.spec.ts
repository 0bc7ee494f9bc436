import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { type Connection, type DisconnectReason, RingChannel, type TcpshmError } from '../../lib/index.js';
import { HEADER_BYTES, RECLAIMED, RECORDS } from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import { Scene, WAYS, type Way } from '../peers/support.js';
import { Traffic } from '../support/traffic.js';
import { until } from '../support/until.js';

const THREAD = new URL('../contract/threadPeer.js', import.meta.url);

describe("TCPSHM's faults: what is seen in another order than it was done", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  // On x86 compiler fences would do, so two threads alone prove nothing there: whatever the processor, what is asked
  // of it must be an Atomics operation, which is sequentially consistent.
  it('compiler fences are wrong on ARM64: here Atomics publishes what is written whole, and hands back what is clear', () => {
    const { local, remote } = new RingChannel({ capacityBytes: 4096 });
    const end = RingChannel.open(remote);
    const ring = local.side.ends.open.segment.outgoing('server');
    const size = RECORDS >> 2;
    const record = (): number[] => [...ring.words.subarray(size, size + 4)];
    const pushing = watchAtomics(ring, record, () => {
      const message = local.alloc(8);
      message?.setInt32(0, 11);
      message?.setInt32(4, 22);
      local.push();
    });
    expect(pushing.stores.get(size), 'as it was right before it was published').to.deep.equal([0, 1, 11, 22]);
    expect(record()).to.deep.equal([HEADER_BYTES + 8, 1, 11, 22]);
    const reading = watchAtomics(ring, record, () => expect(end.front()?.getInt32(4)).to.equal(22));
    expect(reading.loads.has(size)).to.equal(true);
    const popping = watchAtomics(ring, record, () => {
      end.pop();
      end.front();
    });
    expect(popping.stores.get(RECLAIMED), 'as it was right before it was handed back').to.deep.equal([
      0, 0, 0, 0,
    ]);
    for (const one of [local, end]) one.close();
  });

  it('so they would be here: two threads that hammer one ring see every payload whole', async () => {
    const count = 100_000;
    const { local, remote } = new RingChannel({ capacityBytes: 65536 });
    const worker = new Worker(THREAD, {
      workerData: { handle: remote, count, leaveAt: Number.POSITIVE_INFINITY },
    });
    try {
      const answers: unknown[] = [];
      worker.on('message', (answer) => answers.push(answer));
      const traffic = new Traffic(local, 0, count, count);
      await until(() => {
        for (let i = 0; i < 500; i++) traffic.step();
        return answers.length > 0;
      }, 'the other thread');
      while (traffic.step());
      expect(answers).to.deep.equal([{ popped: count, wrong: null }]);
      expect([local.pushed, local.popped]).to.deep.equal([count, count]);
    } finally {
      await worker.terminate();
      local.close();
    }
  });

  interface Told {
    readonly state: string;
    readonly reason: DisconnectReason;
    readonly error: TcpshmError | null;
  }

  const ends: [string, readonly Way[], DisconnectReason, (local: Connection) => void][] = [
    ['a goodbye', WAYS, 'closed by peer', (local) => local.close()],
    ['a breach of the protocol', ['shm', 'inproc'], 'protocol violated', scribble],
    ['silence', ['tcp native', 'tcp net', 'shm'], 'timed out', () => {}],
  ];
  for (const [what, ways, expected, end] of ends) {
    for (const way of ways) {
      it(`the closed flag is visible before its reason: here the poll that sees the end tells it, after ${what} over ${way}`, async () => {
        const told: Told[] = [];
        const { server, local, remote, client } = await scene.pair(way, {
          onDisconnect: ({ state }, reason, error) => told.push({ state, reason, error }),
        });
        let now = performance.now();
        // Nothing is hidden, either: while no reason was told, messages can be exchanged.
        expect([remote.state, told]).to.deep.equal(['connected', []]);
        end(local);
        await until(
          () => told.length > 0,
          'the end',
          async () => {
            server.poll(now);
            // Threads see each other at any time, so there the state may be ahead of the poll, by this one.
            const seen = remote.state !== 'connected';
            if (way === 'inproc' && seen && told.length === 0) server.poll(now);
            expect(told.length > 0, `told, as the state is ${remote.state}`).to.equal(
              remote.state !== 'connected',
            );
            if (what === 'silence') now += 1000;
            await new Promise(setImmediate);
          },
        );
        for (let i = 0; i < 5; i++) server.poll(now);
        expect(told).to.have.length(1);
        const [{ state, reason, error }] = told as [Told];
        expect(reason).to.equal(expected);
        expect(['disconnected', 'closed']).to.include(state);
        expect(error !== null, 'an error').to.equal(reason === 'protocol violated');
        await client.close();
      });
    }
  }
});

function scribble(local: Connection): void {
  local.side.ends.open.segment.outgoing('client').words[RECORDS >> 2] = 3;
}

interface Watched<T> {
  /** By the index of the word: what there was right before the first store into it. */
  readonly stores: ReadonlyMap<number, T>;
  readonly loads: ReadonlySet<number>;
}

/** The words of a ring that `act` reads and writes by Atomics. */
function watchAtomics<T>(ring: RingMemory, look: () => T, act: () => unknown): Watched<T> {
  const { load, store } = Atomics;
  const stores = new Map<number, T>();
  const loads = new Set<number>();
  const isOfRing = ({ buffer, byteOffset }: Int32Array): boolean =>
    buffer === ring.words.buffer && byteOffset === ring.words.byteOffset;
  Object.assign(Atomics, {
    load(words: Int32Array, index: number) {
      if (isOfRing(words)) loads.add(index);
      return load(words, index);
    },
    store(words: Int32Array, index: number, value: number) {
      if (isOfRing(words) && !stores.has(index)) stores.set(index, look());
      return store(words, index, value);
    },
  });
  try {
    act();
  } finally {
    Object.assign(Atomics, { load, store });
  }
  return { stores, loads };
}
