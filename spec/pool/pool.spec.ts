import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { RingPool } from '../../lib/index.js';
import { expectCode } from '../support/failure.js';
import { until } from '../support/until.js';
import { expectRejection, type PoolScene, poolScene, rejection, TASKS } from './support.js';
import { MOST_RUNNING, RUNS } from './tasks.js';

const PATH = fileURLToPath(TASKS);

describe('RingPool', () => {
  let scene: PoolScene;
  beforeEach(() => {
    scene = poolScene();
  });
  afterEach(() => scene.end());

  describe('its tasks', () => {
    it('are run by the default export, and by those that are named', async () => {
      const pool = scene.pool();
      expect(await pool.run({ a: 4, b: 6 })).to.equal(10);
      expect(await pool.run({ a: 4, b: 6 }, { name: 'addLater' })).to.equal(10);
      expect(await pool.run('back', { name: 'echo' })).to.equal('back');
      expect(await pool.run(undefined, { name: 'echo' })).to.equal(undefined);
    });

    it('are those of a path as well as of a URL, of the pool or of a run', async () => {
      for (const filename of [PATH, TASKS.href, TASKS]) {
        const pool = scene.pool({ filename, name: 'echo' });
        expect(await pool.run(1)).to.equal(1);
        const other = scene.pool({ filename: null });
        expect(await other.run({ a: 1, b: 2 }, { filename })).to.equal(3);
        expect(await other.run(5, { filename, name: 'echo' })).to.equal(5);
      }
    });

    it('may be those of CommonJS modules: a function, or named ones', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'tcpshm-spec-'));
      try {
        const one = join(folder, 'one.cjs');
        const some = join(folder, 'some.cjs');
        writeFileSync(one, 'module.exports = (n) => n + 1;');
        writeFileSync(some, 'module.exports = { twice: (n) => 2 * n, default: async (n) => -n };');
        const pool = scene.pool({ filename: one });
        expect(await pool.run(1)).to.equal(2);
        expect(await pool.run(4, { filename: some, name: 'twice' })).to.equal(8);
        expect(await pool.run(4, { filename: some })).to.equal(-4);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it('carry what a RingPort does, in both directions, of any size', async () => {
      const pool = scene.pool({ name: 'echo', capacityBytes: 4096 });
      const value = {
        map: new Map([[1, new Set(['a'])]]),
        bytes: new Uint8Array(50_000).fill(7),
        big: 2n ** 80n,
      };
      expect(await pool.run(value)).to.deep.equal(value);
    });

    it('give their results to whom they belong, when many are under way', async () => {
      const pool = scene.pool({
        maxThreads: 2,
        minThreads: 2,
        concurrentTasksPerWorker: 3,
        capacityBytes: 4096,
      });
      const names = ['counted', 'slow', 'echo'];
      const numbers = Array.from({ length: 3000 }, (_, i) => i);
      const results = numbers.map((n) => pool.run(n, { name: names[n % 3] as string }));
      expect(await Promise.all(results)).to.deep.equal(numbers);
      expect(pool.completed).to.equal(3000);
      expect(pool.queueSize).to.equal(0);
      expect(scene.words[RUNS]).to.equal(2000);
    });

    it('are not given what cannot be sent', async () => {
      const pool = scene.pool({ name: 'echo' });
      await expectRejection(
        pool.run(() => {}),
        'ERR_CODEC',
      );
      await expectRejection(pool.run(1, { transferList: [new MessageChannel().port1] }), 'ERR_CODEC');
      await expectRejection(pool.run(1, { name: 'uncarried' }), 'ERR_CODEC');
      expect(await pool.run(1)).to.equal(1);
    });

    it('are given array buffers of the transferList, which are detached here', async () => {
      const pool = scene.pool({ name: 'echo' });
      const bytes = new Uint8Array([1, 2, 3]);
      expect(await pool.run(bytes, { transferList: [bytes.buffer] })).to.deep.equal(
        new Uint8Array([1, 2, 3]),
      );
      expect(bytes.length).to.equal(0);
    });

    it('have the workerData of the pool', async () => {
      expect(await scene.pool().run(null, { name: 'data' })).to.equal(scene.words.length);
    });

    for (const [concurrency, most] of [
      [1, 1],
      [4, 4],
    ] as const) {
      it(`run ${most} at once in a thread with concurrentTasksPerWorker ${concurrency}`, async () => {
        const pool = scene.pool({ name: 'overlapping', concurrentTasksPerWorker: concurrency });
        await Promise.all(Array.from({ length: 12 }, () => pool.run()));
        expect(scene.words[MOST_RUNNING]).to.equal(most);
      });
    }

    it('run in as many threads as there may be, when they take long', async () => {
      const pool = scene.pool({ minThreads: 0, maxThreads: 3, name: 'gated' });
      const results = Array.from({ length: 3 }, () => pool.run(null));
      await until(() => scene.words[RUNS] === 3, 'all three to run at once');
      scene.openGate();
      expect(new Set(await Promise.all(results)).size).to.equal(3);
    });

    it('are not kept from running by one that takes long, also those given to its thread ahead', async () => {
      const pool = scene.pool({ minThreads: 2, maxThreads: 2, name: 'counted' });
      await until(() => pool.threads.length === 2, 'both threads');
      // Short ones, so that many are given ahead.
      await Promise.all(Array.from({ length: 2000 }, (_, n) => pool.run(n)));
      let over = false;
      const results: Promise<unknown>[] = [];
      const long: Promise<unknown>[] = [];
      for (let n = 0; n < 1000; n++) {
        if (n === 500) long.push(pool.run(null, { name: 'gated' }).then(() => (over = true)));
        results.push(pool.run(n));
      }
      await Promise.all(results);
      expect(over).to.equal(false);
      scene.openGate();
      await Promise.all(long);
    });
  });

  describe('an error of a task', () => {
    for (const name of ['fail', 'failLater']) {
      it(`comes with class, stack, properties and cause (${name})`, async () => {
        const error = (await rejection(scene.pool({ name }).run('own'))) as RangeError & {
          readonly stock?: unknown;
        };
        expect(error).to.be.instanceOf(RangeError);
        expect(error).to.include({ name: 'ShopError', message: 'sold out', code: 'E_SOLD_OUT' });
        expect(error.stack).to.match(/sold out[\s\S]*tasks\.[jt]s/);
        expect(error.stock).to.deep.equal(new Map([['apples', 0]]));
        expect(error).to.not.have.property('log');
        expect(error.cause).to.be.instanceOf(TypeError).with.property('message', 'no apples');
      });
    }

    it('may be one of several, or no error at all', async () => {
      const pool = scene.pool({ name: 'fail' });
      const both = (await rejection(pool.run('aggregate'))) as AggregateError;
      expect(both).to.be.instanceOf(AggregateError).with.property('message', 'both');
      expect(both.errors.map((error: Error) => error.message)).to.deep.equal(['one', 'two']);
      expect(both.errors[1]).to.be.instanceOf(RangeError);
      expect(await rejection(pool.run('text'))).to.equal('just a text');
    });

    it('tells of a module or a function that is not there', async () => {
      const pool = scene.pool();
      await expectRejection(pool.run(1, { filename: '/nowhere/tasks.js' }), 'ERR_MODULE_NOT_FOUND');
      await expectRejection(scene.pool({ filename: null }).run(1), 'ERR_OPTION');
      expect(await pool.run({ a: 1, b: 1 })).to.equal(2);
    });
  });

  describe('its queue', () => {
    it('has the limit that it was given', async () => {
      const pool = scene.pool({ name: 'gated', maxQueue: 2 });
      const running = [pool.run(null), pool.run(null), pool.run(null)];
      await until(() => scene.words[RUNS] === 1, 'the first to run');
      expect(pool.queueSize).to.equal(2);
      await expectRejection(pool.run(null), 'ERR_QUEUE_FULL');
      scene.openGate();
      await Promise.all(running);
      await pool.run(null);
    });

    it('may be none', async () => {
      const pool = scene.pool({ name: 'gated', maxQueue: 0 });
      const running = pool.run(null);
      await expectRejection(pool.run(null), 'ERR_QUEUE_FULL');
      scene.openGate();
      await running;
    });

    it('tells when it is full, and when it is not any more', async () => {
      const pool = scene.pool({ name: 'gated' });
      const told: string[] = [];
      pool.on('needsDrain', () => told.push('needsDrain'));
      pool.on('drain', () => told.push('drain'));
      const running = [pool.run(null), pool.run(null)];
      expect(pool.needsDrain).to.equal(true);
      scene.openGate();
      await Promise.all(running);
      await until(() => told.length === 2, 'both events');
      expect(told).to.deep.equal(['needsDrain', 'drain']);
      expect(pool.needsDrain).to.equal(false);
    });
  });

  describe('its threads', () => {
    it('are at least minThreads, and those above end when they are idle', async () => {
      const pool = scene.pool({ minThreads: 1, maxThreads: 3, idleTimeout: 50, name: 'gated' });
      const running = Array.from({ length: 3 }, () => pool.run(null));
      await until(() => pool.threads.length === 3, 'three threads');
      scene.openGate();
      await Promise.all(running);
      await until(
        () => pool.threads.length === 1,
        'two of them to end',
        () => sleep(5),
      );
      expect(await pool.run(1, { name: 'echo' })).to.equal(1);
    });

    it('have been busy for a part of the time', async () => {
      const pool = scene.pool({ name: 'overlapping' });
      await Promise.all([pool.run(), pool.run()]);
      expect(pool.utilization).to.be.above(0).and.at.most(1);
      expect(pool.duration).to.be.above(0);
    });
  });

  describe('its end', () => {
    it('waits for the tasks that there are', async () => {
      const pool = scene.pool({ name: 'slow' });
      const results = Promise.all(Array.from({ length: 50 }, (_, n) => pool.run(n)));
      await pool.close();
      expect(await results).to.have.length(50);
      expect(pool.threads).to.have.length(0);
      await expectRejection(pool.run(1), 'ERR_CLOSED');
      await pool.close();
    });

    it('waits only for those that run with drain: false', async () => {
      const pool = scene.pool({ name: 'gated' });
      const first = pool.run(null);
      await until(() => scene.words[RUNS] === 1, 'the first to run');
      const second = pool.run(null);
      const closed = pool.close({ drain: false });
      await expectRejection(second, 'ERR_CLOSED');
      scene.openGate();
      await first;
      await closed;
      expect(scene.words[RUNS]).to.equal(1);
    });

    it('does not wait when it is destroyed: all tasks reject', async () => {
      const pool = scene.pool({ name: 'gated' });
      const results = Array.from({ length: 3 }, () => expectRejection(pool.run(null), 'ERR_CLOSED'));
      await until(() => scene.words[RUNS] === 1, 'the first to run');
      await pool.destroy();
      await Promise.all(results);
      expect(pool.completed).to.equal(3);
      await pool.destroy();
    });

    it('comes also before the threads are up', async () => {
      const pool = scene.pool({ minThreads: 2, maxThreads: 2 });
      const result = expectRejection(pool.run({ a: 1, b: 2 }), 'ERR_CLOSED');
      await pool.destroy();
      await result;
      await scene.pool().close();
    });
  });

  it('refuses options that make no sense', () => {
    expectCode(() => new RingPool({ minThreads: 3, maxThreads: 2 }), 'ERR_OPTION');
    expectCode(() => new RingPool({ maxThreads: 0 }), 'ERR_OPTION');
    expectCode(() => new RingPool({ filename: 5 as never }), 'ERR_OPTION');
    expectCode(() => new RingPool({ onCrash: 'ignore' as never }), 'ERR_OPTION');
    expectCode(() => new RingPool({ maxQueue: -1 }), 'ERR_OPTION');
    expectCode(() => new RingPool({ concurrentTasksPerWorker: 0 }), 'ERR_OPTION');
    expectCode(() => new RingPool({ capacityBytes: 1000 }), 'ERR_CAPACITY');
  });
});
