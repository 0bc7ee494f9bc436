import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { RingChannel } from '../../lib/index.js';
import { Naps } from '../support/nap.js';
import { Traffic } from '../support/traffic.js';
import { until } from '../support/until.js';
import { openChannel, openPeers } from './pairs.js';
import { queueContract } from './queueContract.js';

queueContract('RingChannel', openChannel, { reopen: ['b'], messages: 1_000_000, runs: 300 });
queueContract('inproc by name', (capacity) => openPeers(capacity, { transport: 'inproc' }), {
  reopen: ['b'],
  messages: 1_000_000,
  runs: 100,
});

describe('the queues of a RingChannel between two threads', () => {
  const PEER = new URL('./threadPeer.js', import.meta.url);

  async function run(count: number, leaveAts: readonly number[]): Promise<string[]> {
    const { local, remote } = new RingChannel({ capacityBytes: 65536 });
    const traffic = new Traffic(local, 0, count, count);
    const naps = new Naps();
    const reasons: string[] = [];
    for (const leaveAt of leaveAts) {
      const worker = new Worker(PEER, { workerData: { handle: remote, count, leaveAt } });
      const answers: unknown[] = [];
      let ended = false;
      worker.on('message', (answer) => answers.push(answer));
      worker.on('exit', () => {
        ended = true;
      });
      await until(
        () => ended,
        `the thread that leaves at ${leaveAt}`,
        async () => {
          let moved = false;
          for (let i = 0; i < 100; i++) {
            const step = traffic.step();
            naps.turned(step);
            if (step) moved = true;
          }
          local.poll({ onDisconnect: (_, reason) => reasons.push(reason) });
          await nextTurn();
          return moved;
        },
      );
      if (leaveAt < count) expect(answers).to.deep.equal([]);
      else expect(answers).to.deep.equal([{ popped: count, wrong: null }]);
    }
    while (!traffic.done) traffic.step();
    expect([local.pushed, local.popped]).to.deep.equal([count, count]);
    local.close();
    return reasons;
  }

  it('carry a million random messages in each direction, each checked', async () => {
    await run(1_000_000, [Number.POSITIVE_INFINITY]);
  });

  it('lose and repeat nothing when the thread ends and another one goes on', async () => {
    const reasons = await run(200_000, [50_000, 50_001, 120_000, Number.POSITIVE_INFINITY]);
    expect(reasons.slice(0, 1)).to.deep.equal(['peer ended']);
  });
});
