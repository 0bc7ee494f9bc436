import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { type Connection, type DisconnectReason, RingChannel, type TcpshmError } from '../../lib/index.js';
import { HEADER_BYTES, RECORDS } from '../../lib/ring/layout.js';
import { Scene, WAYS, type Way } from '../peers/support.js';
import { Traffic } from '../support/traffic.js';
import { until } from '../support/until.js';

const ACCESSES = fileURLToPath(new URL('./atomicAccesses.js', import.meta.url));
const THREAD = new URL('../contract/threadPeer.js', import.meta.url);

describe("TCPSHM's faults: what is seen in another order than it was done", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  // On x86 compiler fences would do, so two threads alone prove nothing there: on any other processor, what is asked of
  // it must be an Atomics operation, which is sequentially consistent. The child takes itself to be on one.
  it('compiler fences are wrong on ARM64: there Atomics publishes what is written whole, and hands back what is clear', () => {
    expect(accesses('arm64')).to.deep.equal({
      beforePublication: [0, 1, 11, 22],
      published: [HEADER_BYTES + 8, 1, 11, 22],
      observed: true,
      beforeHandedBack: [0, 0, 0, 0],
    });
  });

  it('where the processor keeps the order, a plain store publishes', () => {
    expect(accesses('x64')).to.deep.include({
      beforePublication: null,
      published: [HEADER_BYTES + 8, 1, 11, 22],
      beforeHandedBack: [0, 0, 0, 0],
    });
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
      await until(
        () => answers.length > 0,
        'the other thread',
        async () => {
          let moved = false;
          for (let i = 0; i < 500; i++) if (traffic.step()) moved = true;
          await new Promise(setImmediate);
          return moved;
        },
      );
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

/** What a process on such a processor asks of it for one message. */
function accesses(arch: string): unknown {
  const arm = `data:text/javascript,Object.defineProperty(process, 'arch', { value: '${arch}' })`;
  return JSON.parse(execFileSync(process.execPath, ['--import', arm, ACCESSES], { encoding: 'utf8' }));
}

function scribble(local: Connection): void {
  local.side.ends.open.segment.outgoing('client').words[RECORDS >> 2] = 3;
}
