import { join } from 'node:path';
import { expect } from 'chai';
import { type MappedFile, native } from '../../lib/memory/native.js';
import { cleanUp, message, newFolder, startChild, startWorker, until } from './support.js';

const HOLD = `
  const file = n.mapFile(args.path, { create: false, sizeBytes: 1 });
  say(file.lock(args.start, args.length));
  setInterval(() => file.path, 1000);`;

describe('locks of a MappedFile', () => {
  let path: string;
  let one: MappedFile;
  let other: MappedFile;

  beforeEach(() => {
    path = join(newFolder(), 'file');
    one = native().mapFile(path, { create: true, sizeBytes: 4096 });
    other = native().mapFile(path, { create: false, sizeBytes: 4096 });
  });
  afterEach(() => {
    one.close();
    other.close();
  });
  after(cleanUp);

  it('exclude another mapping of the same process', () => {
    expect(one.lock(0, 1)).to.equal(true);
    expect(other.lock(0, 1)).to.equal(false);
    expect(other.isLocked(0, 1)).to.equal(true);
    one.unlock(0, 1);
    expect(other.isLocked(0, 1)).to.equal(false);
    expect(other.lock(0, 1)).to.equal(true);
    expect(one.lock(0, 1)).to.equal(false);
  });

  it('do not exclude, and are not seen by, their holder', () => {
    expect(one.lock(5, 2)).to.equal(true);
    expect(one.lock(5, 2)).to.equal(true);
    expect(one.isLocked(5, 2)).to.equal(false);
  });

  it('of different bytes do not meet; of one common byte they do', () => {
    expect(one.lock(10, 10)).to.equal(true);
    expect(other.lock(0, 10)).to.equal(true);
    expect(other.lock(20, 1)).to.equal(true);
    expect(other.lock(19, 2)).to.equal(false);
    expect(other.isLocked(0, 11)).to.equal(true);
    expect(other.isLocked(0, 10)).to.equal(false);
  });

  it('can be on bytes beyond the end of the file', () => {
    expect(one.lock(1e12, 1)).to.equal(true);
    expect(other.lock(1e12, 1)).to.equal(false);
    expect(one.buffer.byteLength).to.equal(4096);
  });

  it('go with close', () => {
    expect(one.lock(0, 1)).to.equal(true);
    one.close();
    expect(other.lock(0, 1)).to.equal(true);
  });

  it('of another process exclude, and go when it is killed', async () => {
    const child = startChild(HOLD, { path, start: 3, length: 1 });
    expect(await child.line()).to.equal('true');
    expect(one.lock(3, 1)).to.equal(false);
    expect(one.isLocked(3, 1)).to.equal(true);
    expect(one.lock(2, 1)).to.equal(true);
    await child.kill('SIGKILL');
    expect(one.isLocked(3, 1)).to.equal(false);
    expect(one.lock(3, 1)).to.equal(true);
  });

  it('of this process exclude another', async () => {
    expect(one.lock(3, 1)).to.equal(true);
    const child = startChild(HOLD, { path, start: 3, length: 1 });
    expect(await child.line()).to.equal('false');
    await child.kill('SIGKILL');
  });

  it('stay with a stopped process', async () => {
    const child = startChild(HOLD, { path, start: 0, length: 1 });
    expect(await child.line()).to.equal('true');
    child.process.kill('SIGSTOP');
    expect(one.lock(0, 1)).to.equal(false);
    await child.kill('SIGKILL');
  });

  it('of a worker go when it is terminated in a loop', async () => {
    const worker = startWorker(
      `const file = n.mapFile(workerData, { create: false, sizeBytes: 1 });
       parentPort.postMessage(file.lock(0, 1));
       for (;;) Atomics.load(new Int32Array(file.buffer), 0);`,
      { workerData: path },
    );
    expect(await message(worker)).to.equal(true);
    expect(one.lock(0, 1)).to.equal(false);
    await worker.terminate();
    await until(() => one.lock(0, 1));
  });

  it('refuse ranges that are none', () => {
    for (const [start, length] of [
      [-1, 1],
      [0, 0],
      [0, -1],
      [0.5, 1],
      [0, Number.NaN],
      [Number.MAX_SAFE_INTEGER, 1],
    ] as const) {
      expect(() => one.lock(start, length)).to.throw(RangeError);
      expect(() => one.unlock(start, length)).to.throw(RangeError);
      expect(() => one.isLocked(start, length)).to.throw(RangeError);
    }
  });
});
