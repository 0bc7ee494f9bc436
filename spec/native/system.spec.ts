import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import { native } from '../../lib/memory/native.js';
import { cleanUp, expectFailure, faulty, message, newFolder, startChild, startWorker } from './support.js';

const n = native();

describe('system functions of the native module', () => {
  after(cleanUp);

  it('tell a time that never goes back, has fractions, and is the same in every thread and process', async () => {
    const first = n.monotonicMs();
    await pause(2);
    const later = n.monotonicMs();
    expect(later).to.be.greaterThan(first);
    expect(Array.from({ length: 50 }, () => n.monotonicMs()).some((ms) => !Number.isInteger(ms))).to.equal(
      true,
    );
    const inWorker = await message(startWorker('parentPort.postMessage(n.monotonicMs());'));
    expect(inWorker).to.be.at.least(later).and.be.at.most(n.monotonicMs());
    const inProcess = Number(await startChild('say(n.monotonicMs());').line());
    expect(inProcess).to.be.at.least(later).and.be.at.most(n.monotonicMs());
  });

  it('tell the id of this boot', () => {
    expect(n.bootId()).to.match(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(n.bootId()).to.equal(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  });

  it('pin the calling thread and no other', async () => {
    const before = n.getAffinity();
    expect(before).to.not.have.length(0);
    const last = before.at(-1) as number;
    const worker = startWorker(
      `n.setAffinity([workerData]);
       parentPort.postMessage(n.getAffinity());`,
      { workerData: last },
    );
    expect(await message(worker)).to.deep.equal([last]);
    expect(n.getAffinity()).to.deep.equal(before);
    n.setAffinity(before);
    expect(n.getAffinity()).to.deep.equal(before);
  });

  it('put a memory barrier into every thread of the system', async () => {
    n.membarrier();
    expect(await message(startWorker('parentPort.postMessage(n.membarrier());'))).to.equal(undefined);
  });

  for (const code of ['ENOSYS', 'EINVAL', 'EPERM']) {
    it(`sleep where the kernel answers ${code} to a memory barrier`, async function () {
      const log = join(newFolder(), 'log');
      const under = faulty(log, `membarrier:error=${code}`);
      if (under === null) this.skip();
      const sleep = 'const start = n.monotonicMs(); n.membarrier(); say(n.monotonicMs() - start);';
      const slept = Number(await startChild(sleep, null, [], under).line());
      expect(slept).to.be.at.least(10);
      expect(readFileSync(log, 'utf8')).to.match(new RegExp(`MEMBARRIER_CMD_GLOBAL.* ${code}`));
    });
  }

  it('throw what else keeps a memory barrier from being', async function () {
    const under = faulty(join(newFolder(), 'log'), 'membarrier:error=EIO');
    if (under === null) this.skip();
    const act = 'try { n.membarrier(); } catch (error) { say(error.message); }';
    expect(await startChild(act, null, [], under).line()).to.equal('EIO: input/output error, membarrier');
  });

  it('refuse processors that are not there, and change nothing', () => {
    const before = n.getAffinity();
    const [first = 0] = before;
    for (const cpus of [[8191], [first, 8191], [-1], [1e9], [0.5], [Number.NaN], []]) {
      expectFailure(() => n.setAffinity(cpus), { code: 'EINVAL', errno: 22, syscall: 'sched_setaffinity' });
      expect(n.getAffinity()).to.deep.equal(before);
    }
    const error = expectFailure(() => n.setAffinity([first, 8190, 8191]), { code: 'EINVAL' });
    expect(error.message).to.include('8190, 8191');
  });
});
