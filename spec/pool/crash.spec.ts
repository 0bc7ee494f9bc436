import { EventEmitter, once } from 'node:events';
import { expect } from 'chai';
import type { RingPool, TcpshmError } from '../../lib/index.js';
import { Random, randomSeed } from '../support/random.js';
import { until } from '../support/until.js';
import { DOOMED, expectRejection, FAILING, type PoolScene, poolScene, rejection } from './support.js';
import { FIRST, RUNS } from './tasks.js';

describe('a task of a RingPool', () => {
  let scene: PoolScene;
  beforeEach(() => {
    scene = poolScene();
  });
  afterEach(() => scene.end());

  /** How often the task of a number has run. */
  function runsOf(number: number): number {
    return scene.words[FIRST + number] as number;
  }

  /** Short tasks, so that the next ones are given to the thread ahead. */
  async function warm(pool: RingPool): Promise<void> {
    await Promise.all(Array.from({ length: 2000 }, () => pool.run(0)));
  }

  /** A pool of one thread, which a task blocks until the gate opens, with the promise of that task. */
  async function blocked(): Promise<{
    readonly pool: RingPool;
    readonly first: Promise<unknown>;
    readonly running: () => boolean;
  }> {
    const pool = scene.pool({ name: 'counted' });
    await warm(pool);
    const runs = scene.words[RUNS] as number;
    const first = pool.run(null, { name: 'gated' });
    return { pool, first, running: () => scene.words[RUNS] === runs + 1 };
  }

  describe('that is aborted', () => {
    it('does not begin when it was before', async () => {
      const pool = scene.pool({ name: 'counted' });
      const error = await rejection(pool.run(1, { signal: AbortSignal.abort('why not') }));
      expect(error).to.include({ name: 'AbortError', cause: 'why not' });
      await pool.run(2);
      expect(runsOf(1)).to.equal(0);
    });

    it('does not run while it waits, also when its thread has it already', async () => {
      const { pool, first, running } = await blocked();
      const controllers = Array.from({ length: 20 }, () => new AbortController());
      const aborted = controllers.map(({ signal }, i) => rejection(pool.run(i + 1, { signal })));
      const others = Array.from({ length: 20 }, (_, i) => pool.run(i + 101));
      await until(running, 'the first to run');
      for (const controller of controllers) controller.abort();
      for (const error of await Promise.all(aborted)) expect(error.name).to.equal('AbortError');
      scene.openGate();
      await first;
      await Promise.all(others);
      for (let i = 0; i < 20; i++) {
        expect(runsOf(i + 1)).to.equal(0);
        expect(runsOf(i + 101)).to.equal(1);
      }
    });

    it('ends with its thread while it runs, and the others run in another one', async () => {
      const pool = scene.pool({ name: 'counted' });
      const emitter = new EventEmitter();
      await warm(pool);
      const runs = scene.words[RUNS] as number;
      const aborted = rejection(pool.run(null, { name: 'gated', signal: emitter }));
      await until(() => scene.words[RUNS] === runs + 1, 'it to run');
      const [thread] = pool.threads;
      const others = Array.from({ length: 50 }, (_, i) => pool.run(i + 1));
      emitter.emit('abort');
      expect(await aborted).to.have.property('name', 'AbortError');
      await Promise.all(others);
      for (let i = 0; i < 50; i++) expect(runsOf(i + 1)).to.equal(1);
      expect(pool.threads).to.have.length(1).and.not.include(thread);
    });

    it('takes no other with it, also with several at once in a thread', async () => {
      const pool = scene.pool({ name: 'slow', concurrentTasksPerWorker: 4 });
      const others = Array.from({ length: 50 }, (_, i) => pool.run(i));
      const controller = new AbortController();
      const aborted = rejection(pool.run(null, { name: 'gated', signal: controller.signal }));
      const more = Array.from({ length: 50 }, (_, i) => pool.run(i + 50));
      await Promise.all(others);
      controller.abort();
      expect(await aborted).to.have.property('name', 'AbortError');
      await Promise.all(more);
    });

    it('has its result if it came first', async () => {
      const pool = scene.pool({ name: 'echo' });
      const controller = new AbortController();
      expect(await pool.run(1, { signal: controller.signal })).to.equal(1);
      const [thread] = pool.threads;
      controller.abort();
      expect(await pool.run(2)).to.equal(2);
      expect(pool.threads).to.deep.equal([thread]);
    });
  });

  describe('whose thread dies', () => {
    for (const how of ['exit', 'throw', 'memory', 'terminate'] as const) {
      it(`rejects with ERR_WORKER (${how}), and those that had not begun run`, async () => {
        const pool = scene.pool({ name: 'counted', resourceLimits: { maxOldGenerationSizeMb: 32 } });
        const errors: TcpshmError[] = [];
        pool.on('error', (error) => errors.push(error));
        await warm(pool);
        const dead = rejection(
          how === 'terminate' ? pool.run(null, { name: 'gated' }) : pool.run({ how }, { name: 'die' }),
        );
        const others = Array.from({ length: 200 }, (_, i) => pool.run(i + 1));
        if (how === 'terminate') {
          await until(() => scene.words[RUNS] === 2001, 'it to run');
          await pool.threads[0]?.terminate();
        }
        const error = await dead;
        expect(error).to.include({ name: 'TcpshmError', code: 'ERR_WORKER' });
        const expected = { exit: /code: 3|code 3/, throw: /background/, memory: /memory/, terminate: /code/ }[
          how
        ];
        expect((error.cause as Error).message).to.match(expected);
        expect(await Promise.all(others)).to.deep.equal(others.map((_, i) => i + 1));
        for (let i = 0; i < 200; i++) expect(runsOf(i + 1)).to.equal(1);
        expect(errors).to.have.length(1);
      });
    }

    it("runs again with onCrash: 'retry', but not for ever", async () => {
      const pool = scene.pool({ name: 'die', onCrash: 'retry' });
      expect(await pool.run({ how: 'exit', once: 7 })).to.equal('survived');
      await expectRejection(pool.run({ how: 'exit' }), 'ERR_WORKER');
      expect(await pool.run(1, { name: 'echo' })).to.equal(1);
    });

    it('is sent again as it was, with what was transferred', async () => {
      const pool = scene.pool({ name: 'counted' });
      await warm(pool);
      const dead = rejection(pool.run({ how: 'exit' }, { name: 'die' }));
      const bytes = new Uint8Array([1, 2, 3]);
      const other = pool.run(bytes, { name: 'echo', transferList: [bytes.buffer] });
      await dead;
      expect(await other).to.deep.equal(new Uint8Array([1, 2, 3]));
    });

    it('rejects when its module ends the thread, and no thread is started for ever', async () => {
      const pool = scene.pool({ filename: DOOMED, minThreads: 0 });
      await expectRejection(pool.run(1), 'ERR_WORKER');
      await expectRejection(pool.run(1), 'ERR_WORKER');
      const other = scene.pool({ name: 'echo' });
      await expectRejection(other.run(1, { filename: DOOMED }), 'ERR_WORKER');
      expect(await other.run(1)).to.equal(1);
    });

    it('starts a module that crashes before it has run anything ever later', async () => {
      const pool = scene.pool({ filename: FAILING });
      const failed: number[] = [];
      pool.on('error', ({ code }) => {
        expect(code).to.equal('ERR_WORKER');
        failed.push(performance.now());
      });
      await until(() => failed.length === 5, 'five failures');
      // Half of a delay is left to chance: 50, 100, 200, 400.
      for (let i = 1; i < 5; i++) {
        expect((failed[i] as number) - (failed[i - 1] as number), `delay ${i}`).to.be.at.least(
          24 * 2 ** (i - 1),
        );
      }
      // The next start is half a second away.
      const closing = pool.close();
      await closing;
      const other = scene.pool({ filename: FAILING, minThreads: 0 });
      await expectRejection(other.run(1, { name: 'never' }), 'ERR_WORKER');
    });

    it('does not wait to replace a thread that has run something', async () => {
      const pool = scene.pool({ name: 'echo' });
      // So often that the waits would take longer than the watchdog does, if there were some.
      for (let round = 0; round < 12; round++) {
        expect(await pool.run(round)).to.equal(round);
        const gone = once(pool, 'error');
        await pool.threads[0]?.terminate();
        await gone;
      }
    });

    it('rejects when no thread can be started', async () => {
      const pool = scene.pool({ execArgv: ['--no-such-option'] });
      const error = await expectRejection(pool.run(1), 'ERR_WORKER');
      expect(error.message).to.match(/could not be started/);
    });
  });

  it('settles once and runs once, whichever threads die meanwhile', async () => {
    const seed = randomSeed();
    console.log(`      seed ${seed}`);
    const random = new Random(seed);
    const pool = scene.pool({ minThreads: 2, maxThreads: 3, name: 'counted', capacityBytes: 4096 });
    pool.on('error', () => {});
    const outcomes = new Map<number, string>();
    const all: Promise<void>[] = [];
    let killed = 0;
    let next = 0;
    while (next < 4000) {
      for (const end = next + random.between(1, 300); next < end && next < 4000; next++) {
        const n = next;
        const name = random.once(20) ? 'slow' : 'counted';
        const settle = (outcome: string): void => {
          if (outcomes.has(n)) outcome = 'settled twice';
          outcomes.set(n, outcome);
        };
        all.push(
          pool.run(n, { name }).then(
            (result) => settle(result === n ? 'result' : 'another result'),
            (error: TcpshmError) => settle(error.code),
          ),
        );
      }
      await new Promise((resolve) => setTimeout(resolve, random.below(5)));
      const { threads } = pool;
      if (threads.length > 0 && random.once(2)) {
        killed++;
        void threads[random.below(threads.length)]?.terminate();
      }
    }
    await Promise.all(all);
    expect(killed).to.be.above(0);
    for (let n = 0; n < 4000; n++) {
      expect(outcomes.get(n)).to.be.oneOf(['result', 'ERR_WORKER']);
      // One whose thread died may not have come as far as to count.
      if (outcomes.get(n) === 'result') expect(runsOf(n), `runs of ${n}`).to.equal(1);
      else expect(runsOf(n), `runs of ${n}`).to.be.at.most(1);
    }
    expect(pool.completed).to.equal(4000);
    expect(pool.queueSize).to.equal(0);
  });
});
