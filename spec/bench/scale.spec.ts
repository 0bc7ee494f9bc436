import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { Crowd } from '../../bench/idle/crowd.js';
import { Pair } from '../../bench/scale/pair.js';
import { nativeOrNull } from '../../lib/memory/native.js';

describe('a connection beside idle ones', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  for (const transport of ['shm', 'tcp'] as const) {
    it(`has its turns with one that is alone, over ${transport}`, async () => {
      const pair = await Pair.start({ transport, idle: 30, batch: 4, heartbeatMs: 3000, cpus: [0, 0] });
      try {
        const { alone, idle } = await pair.measure({ turns: 3, turnMs: 10, singleMs: 5 });
        for (const { samples, single } of [alone, idle]) {
          expect(samples.length).to.be.at.least(3);
          expect(single.totalCount).to.be.at.least(3);
        }
        await pair.check();
      } finally {
        await pair.stop();
      }
    });
  }
});

describe('a crowd of idle connections', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  let crowd: Crowd;
  beforeEach(async () => {
    crowd = await Crowd.start({ transport: 'shm', cpu: -1, heartbeatMs: 3000 });
  });
  afterEach(() => crowd.stop());

  it('knows whether all are there, and leaves nothing behind', async () => {
    await crowd.grow(3);
    await crowd.grow(2);
    await crowd.check(0);
    let missing = 'none';
    await crowd.check(1).catch((error: Error) => {
      missing = error.message;
    });
    expect(missing).to.equal('6 connections were opened, 5 are connected');
    expect(existsSync(crowd.sharedDirectory)).to.equal(true);
    await crowd.stop();
    expect(existsSync(crowd.sharedDirectory)).to.equal(false);
  });

  it('is not begun where a process may not have so many files open', async () => {
    let refused = 'not';
    await crowd.grow(1e9).catch((error: Error) => {
      refused = error.message;
    });
    expect(refused).to.match(/may have \d+ open files here \(ulimit -n\), the server needs some 3000000\d+/);
    await crowd.check(0);
  });
});
