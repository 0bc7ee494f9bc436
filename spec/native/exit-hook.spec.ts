import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'chai';
import { type MappedFile, native } from '../../lib/memory/native.js';
import { cleanUp, message, newFolder, startChild, startWorker, until } from './support.js';

const LIVE = 1;
const ENDED = 2;
const AFTER_ARMED = `
  const words = new Int32Array(workerData);
  const cancel = n.exchangeAtExit(words, 1, ${LIVE}, ${ENDED});
  Atomics.store(words, 1, ${LIVE});
  parentPort.postMessage('armed');`;

describe('exchangeAtExit', () => {
  let words: Int32Array;
  let mapped: MappedFile;

  before(() => {
    mapped = native().mapFile(join(newFolder(), 'file'), { create: true, sizeBytes: 64 });
  });
  beforeEach(() => {
    words = new Int32Array(new SharedArrayBuffer(16));
  });
  after(cleanUp);

  async function afterEnd(code: string, end: 'itself' | 'terminate'): Promise<number[]> {
    const worker = startWorker(`${AFTER_ARMED} ${code}`, { workerData: words.buffer });
    const exit = once(worker, 'exit');
    await message(worker);
    if (end === 'terminate') {
      expect(Atomics.load(words, 1)).to.equal(LIVE);
      await worker.terminate();
    }
    await exit;
    return [...words];
  }

  it('sets the word when the worker returns', async () => {
    expect(await afterEnd('', 'itself')).to.deep.equal([0, ENDED, 0, 0]);
  });

  it('sets the word when the worker calls process.exit', async () => {
    expect(await afterEnd('process.exit(0);', 'itself')).to.deep.equal([0, ENDED, 0, 0]);
  });

  it('sets the word when the worker fails', async () => {
    const worker = startWorker(`${AFTER_ARMED} setImmediate(() => { throw new Error('on purpose'); });`, {
      workerData: words.buffer,
    });
    const [error] = await once(worker, 'error');
    expect((error as Error).message).to.equal('on purpose');
    await until(() => words[1] === ENDED);
  });

  it('sets the word when the worker runs out of memory', async function () {
    this.timeout(120_000);
    const worker = startWorker(
      `${AFTER_ARMED} const all = []; for (;;) all.push(new Array(10000).fill(all.length));`,
      {
        workerData: words.buffer,
        resourceLimits: { maxOldGenerationSizeMb: 24 },
      },
    );
    const [error] = await once(worker, 'error');
    expect(error).to.include({ code: 'ERR_WORKER_OUT_OF_MEMORY' });
    await until(() => words[1] === ENDED);
  });

  it('sets the word when the worker is terminated while it waits', async () => {
    expect(await afterEnd('setInterval(() => {}, 1000);', 'terminate')).to.deep.equal([0, ENDED, 0, 0]);
  });

  it('sets the word when the worker is terminated in a loop', async () => {
    expect(await afterEnd('for (;;) Atomics.add(words, 3, 0);', 'terminate')).to.deep.equal([0, ENDED, 0, 0]);
  });

  it('sets the word when the worker is terminated in Atomics.wait', async () => {
    expect(await afterEnd('Atomics.wait(words, 0, 0);', 'terminate')).to.deep.equal([0, ENDED, 0, 0]);
  });

  it('leaves a word alone that no longer holds the expected value', async () => {
    expect(await afterEnd('Atomics.store(words, 1, 9);', 'itself')).to.deep.equal([0, 9, 0, 0]);
  });

  it('does nothing once cancelled, and cancelling twice is harmless', async () => {
    expect(await afterEnd('cancel(); cancel();', 'itself')).to.deep.equal([0, LIVE, 0, 0]);
  });

  it('can be armed for many words, and each cancelled by itself', async () => {
    const code = `
      cancel();
      const cancels = [0, 2, 3].map((at) => { words[at] = ${LIVE}; return n.exchangeAtExit(words, at, ${LIVE}, ${ENDED} + at); });
      cancels[1]();`;
    expect(await afterEnd(code, 'itself')).to.deep.equal([ENDED, LIVE, LIVE, ENDED + 3]);
  });

  it('counts the index from where the view begins', async () => {
    const code = `cancel(); const view = new Int32Array(workerData, 8); view[0] = ${LIVE}; n.exchangeAtExit(view, 0, ${LIVE}, ${ENDED});`;
    expect(await afterEnd(code, 'itself')).to.deep.equal([0, LIVE, ENDED, 0]);
  });

  it('keeps memory alive that nobody else holds', async () => {
    const worker = startWorker(
      `const { setFlagsFromString } = await import('node:v8');
       const { runInNewContext } = await import('node:vm');
       setFlagsFromString('--expose-gc');
       const gc = runInNewContext('gc');
       {
         const path = workerData;
         n.exchangeAtExit(new Int32Array(n.mapFile(path, { create: false, sizeBytes: 64 }).buffer), 3, 0, ${ENDED});
       }
       for (let at = 0; at < 5; at++) { gc(); await new Promise(setImmediate); }
       parentPort.postMessage('collected');`,
      { workerData: mapped.path },
    );
    const exit = once(worker, 'exit');
    await message(worker);
    await exit;
    await until(() => new Int32Array(mapped.buffer)[3] === ENDED);
  });

  it('reaches a mapped file when its worker is terminated', async () => {
    const worker = startWorker(
      `const words = new Int32Array(n.mapFile(workerData, { create: false, sizeBytes: 64 }).buffer);
       n.exchangeAtExit(words, 4, 0, ${ENDED});
       parentPort.postMessage('armed');
       for (;;) Atomics.load(words, 4);`,
      { workerData: mapped.path },
    );
    await message(worker);
    await worker.terminate();
    await until(() => new Int32Array(mapped.buffer)[4] === ENDED);
  });

  it('survives that the memory was unmapped before', async () => {
    const worker = startWorker(
      `const file = n.mapFile(workerData, { create: false, sizeBytes: 64 });
       n.exchangeAtExit(new Int32Array(file.buffer), 5, 0, ${ENDED});
       file.close();`,
      { workerData: mapped.path },
    );
    const [code] = await once(worker, 'exit');
    expect(code).to.equal(0);
    expect(new Int32Array(mapped.buffer)[5]).to.equal(0);
  });

  it('covers the main thread when it has nothing left to do, and its workers when it exits', async () => {
    const child = startChild(
      `import { Worker } from 'node:worker_threads';
       const words = new Int32Array(n.mapFile(args.path, { create: false, sizeBytes: 64 }).buffer);
       n.exchangeAtExit(words, 6, 0, ${ENDED});
       say('armed');`,
      { path: mapped.path },
    );
    expect(await child.line()).to.equal('armed');
    await until(() => new Int32Array(mapped.buffer)[6] === ENDED);

    const other = startChild(
      `import { Worker } from 'node:worker_threads';
       const source = \`
         const { parentPort, workerData } = require('node:worker_threads');
         import(workerData.module).then(({ native }) => {
           const words = new Int32Array(native().mapFile(workerData.path, { create: false, sizeBytes: 64 }).buffer);
           native().exchangeAtExit(words, 7, 0, ${ENDED});
           parentPort.postMessage(1);
           for (;;) Atomics.load(words, 7);
         });\`;
       new Worker(source, { eval: true, execArgv: [], workerData: args }).once('message', () => process.exit());`,
      { path: mapped.path, module: new URL('../../lib/memory/native.js', import.meta.url).href },
    );
    await once(other.process, 'exit');
    expect(new Int32Array(mapped.buffer)[7]).to.equal(ENDED);
  });

  it('refuses what is no word', () => {
    const n = native();
    expect(() => n.exchangeAtExit(words, 4, 0, 1)).to.throw(RangeError);
    expect(() => n.exchangeAtExit(words, -1, 0, 1)).to.throw(RangeError);
    expect(() => n.exchangeAtExit(words, 0, 2 ** 31, 1)).to.throw(RangeError);
    expect(() => n.exchangeAtExit(words, 0, 0, 0.5)).to.throw(RangeError);
    expect(() => n.exchangeAtExit(new Uint32Array(4) as unknown as Int32Array, 0, 0, 1)).to.throw(TypeError);
  });
});
