import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { ConnectionWriter } from '../../lib/index.js';
import type { RingConsumer } from '../../lib/ring/consumer.js';
import type { RingProducer } from '../../lib/ring/producer.js';
import { type Outlet, Writers } from '../../lib/writer/writers.js';
import { LIBRARY, Scene } from '../peers/support.js';
import { newRing, openBoth } from '../ring/rings.js';
import { expectCode } from '../support/failure.js';
import { CAPACITY, gather } from './channel.js';

function newWriters(): { writers: Writers; producer: RingProducer; consumer: RingConsumer } {
  const { producer, consumer } = openBoth(newRing());
  const outlet: Outlet = {
    localName: 'a',
    remoteName: 'b',
    state: 'connected',
    alloc: (size) => producer.claim(size),
    push: () => producer.push(),
    pushMore: () => producer.pushMore(),
    publish: () => producer.publish(),
  };
  return { writers: new Writers(outlet, () => producer, CAPACITY), producer, consumer };
}

describe('a connection forgets a writer', () => {
  it('that was closed, once all that it has pushed was moved', () => {
    const { writers, producer, consumer } = newWriters();
    const handles = Array.from({ length: 4 }, () => writers.add({}));
    const [first, second, third] = handles.map((handle) => ConnectionWriter.open(handle));
    expect(writers.count).to.equal(4);
    expect(writers.drain()).to.equal(false);
    expect(writers.count).to.equal(4);
    second?.close();
    writers.drain();
    expect(writers.count).to.equal(3);
    // The queue takes 127 of them.
    for (let n = 0; n < 60; n++) first?.send('x'.repeat(24));
    for (let n = 0; n < 100; n++) third?.send('x'.repeat(24));
    third?.close();
    writers.drain();
    expect([writers.count, producer.pushed]).to.deep.equal([3, 127]);
    for (; consumer.front() !== null; consumer.pop());
    writers.drain();
    expect([writers.count, producer.pushed]).to.deep.equal([2, 160]);
    first?.close();
    writers.drainAll();
    expect(writers.count).to.equal(1);
    writers.close(false);
    expect(writers.count).to.equal(0);
    expect(writers.drain()).to.equal(false);
  });

  it('whose open batch goes with it', () => {
    const { writers, producer } = newWriters();
    const writer = ConnectionWriter.open(writers.add({}));
    gather(writer, ['a', 'b']);
    writer.close();
    writers.drain();
    expect([writers.count, producer.pushed]).to.deep.equal([0, 0]);
  });

  it('of a thread that is gone only when somebody closes it, as it may be opened again', () => {
    const { writers } = newWriters();
    const handle = writers.add({});
    writers.drain();
    expect(writers.count).to.equal(1);
    ConnectionWriter.open(handle).close();
    writers.drain();
    expect(writers.count).to.equal(0);
    expectCode(() => ConnectionWriter.open(handle), 'ERR_CLOSED');
  });

  it('and goes on with the turns of the others', () => {
    for (let closed = 0; closed < 3; closed++) {
      const { writers, producer } = newWriters();
      const open = Array.from({ length: 3 }, () => ConnectionWriter.open(writers.add({})));
      for (let round = 0; round < 3; round++) {
        for (const [i, writer] of open.entries()) if (round === 0 || i !== closed) writer.send('x');
        if (round === 0) open[closed]?.close();
        writers.drain();
      }
      writers.drain();
      expect([writers.count, producer.pushed]).to.deep.equal([2, 7]);
    }
  });

  it('and leaves the turn to whose it is', () => {
    const { writers, producer, consumer } = newWriters();
    const [first, second, third] = Array.from({ length: 3 }, () => ConnectionWriter.open(writers.add({})));
    while (producer.claim(1000) !== null) producer.push();
    third?.send('x'.repeat(1000));
    writers.drain();
    first?.close();
    writers.drainAll();
    expect(writers.count).to.equal(2);
    second?.send('behind');
    for (; consumer.front() !== null; consumer.pop());
    writers.drain();
    expect(consumer.front()?.size).to.equal(1000);
    consumer.pop();
    expect(consumer.front()?.text()).to.equal('behind');
  });

  describe('in a process of years', () => {
    let scene: Scene;
    beforeEach(() => {
      scene = new Scene();
    });
    afterEach(() => scene.end());

    it('and frees its memory', async () => {
      const { words, child } = scene.child(`
        const { local, remote } = new tcpshm.RingChannel();
        const far = tcpshm.RingChannel.open(remote);
        for (let round = 0; round < 3; round++) {
          for (let i = 0; i < 300; i++) {
            const writer = tcpshm.ConnectionWriter.open(local.writer());
            writer.send('x');
            writer.close();
            local.poll({});
            far.front();
            far.pop();
          }
          gc();
          await new Promise((resolve) => setTimeout(resolve, 20));
          gc();
          say(JSON.stringify({ bytes: process.memoryUsage().arrayBuffers, moved: local.pushed }));
        }
      `);
      await scene.until(() => child.exitCode !== null && words.length === 3, 'three rounds');
      const rounds = words.map((word) => JSON.parse(word) as { bytes: number; moved: number });
      expect(rounds.map(({ moved }) => moved)).to.deep.equal([300, 600, 900]);
      // A ring has 1 MiB.
      const [first, , last] = rounds.map(({ bytes }) => bytes) as [number, number, number];
      expect(last - first).to.be.below(20 * 2 ** 20);
    });
  });
});

describe('writers without the native module', () => {
  it('work in any number, and are free again when their threads end by themselves', async () => {
    const program = `
      const { once } = require('node:events');
      const { Worker, isMainThread, workerData } = require('node:worker_threads');
      import(${JSON.stringify(LIBRARY)}).then(async ({ ConnectionWriter, RingChannel }) => {
        if (!isMainThread) {
          for (const handle of workerData) ConnectionWriter.open(handle).send('x');
          return;
        }
        const { local } = new RingChannel();
        const handles = Array.from({ length: 30 }, () => local.writer());
        for (let i = 0; i < 2; i++) {
          const worker = new Worker(process.argv[1], { workerData: handles, eval: true });
          await once(worker, 'exit');
          local.poll({});
        }
        for (const handle of handles) ConnectionWriter.open(handle).close();
        local.poll({});
        local.close();
        console.log(local.pushed);
      });`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', program, program], {
      env: { ...process.env, TCPSHM_NATIVE: 'off' },
    });
    expect([stdout, stderr]).to.deep.equal(['60\n', '']);
  });
});
