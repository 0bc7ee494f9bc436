import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import { type Doorbell, type Epoll, native } from '../../lib/memory/native.js';
import {
  cleanUp,
  expectFailure,
  message,
  newFolder,
  openDescriptors,
  startChild,
  startWorker,
  until,
} from './support.js';

const READABLE = 1;
const IDLE_MS = 50; // in which a process that is not kept alive would have ended
const TURNS = 50; // of the event loop: enough for a call that is due to be made

const n = native();

/** For other threads and processes: an epoll that watches over a doorbell at the path `at`. */
const WATCHED = (at: string) => `
  const bell = n.createDoorbell(${at});
  const epoll = n.createEpoll();
  epoll.add(bell.fd, 1, ${READABLE});`;

describe('Epoll.watch', () => {
  let path: string;
  let bell: Doorbell;
  let epoll: Epoll;
  const events = new Uint32Array(8);
  const tokens = new Uint32Array(64);

  beforeEach(() => {
    path = join(newFolder(), 'bell');
    bell = n.createDoorbell(path);
    epoll = n.createEpoll();
    epoll.add(bell.fd, 7, READABLE);
  });
  afterEach(() => {
    epoll.close();
    bell.close();
  });
  after(cleanUp);

  async function turns(): Promise<void> {
    for (let at = 0; at < TURNS; at++) await nextTurn();
  }

  /** Takes the event and the tokens behind it. */
  function taken(): number[] {
    expect(epoll.wait(events, 0)).to.equal(1);
    expect([...events.subarray(0, 2)]).to.deep.equal([7, READABLE]);
    return [...tokens.subarray(0, bell.answer(tokens))];
  }

  describe('calls', () => {
    it('when something is ready, and not before', async () => {
      const got: number[][] = [];
      epoll.watch(() => got.push(taken()));
      await turns();
      expect(got).to.deep.equal([]);
      bell.ring(5);
      expect(got).to.deep.equal([]);
      await until(() => got.length > 0);
      await turns();
      expect(got).to.deep.equal([[5]]);
    });

    it('for what was ready before, and for descriptors added later', async () => {
      let ringing = bell;
      let calls = 0;
      ringing.ring(1);
      epoll.watch(() => {
        calls++;
        ringing.answer(tokens);
      });
      await until(() => calls === 1);
      ringing = n.createDoorbell(`${path}-2`);
      epoll.remove(bell.fd);
      epoll.add(ringing.fd, 8, READABLE);
      ringing.ring(1);
      await until(() => calls === 2);
      ringing.close();
    });

    it('again as long as events are not taken', async () => {
      let calls = 0;
      epoll.watch(() => {
        if (++calls === 3) taken();
      });
      bell.ring(1);
      await until(() => calls === 3);
      await turns();
      expect(calls).to.equal(3);
    });

    it('not again for a descriptor that is reported once, until it is armed', async () => {
      epoll.modify(bell.fd, 7, READABLE | 8);
      let calls = 0;
      epoll.watch(() => {
        calls++;
        expect(epoll.wait(events, 0)).to.equal(1);
      });
      bell.ring(1);
      await until(() => calls > 0);
      await turns();
      expect(calls).to.equal(1);
      epoll.modify(bell.fd, 7, READABLE | 8);
      await until(() => calls > 1);
      await turns();
      expect(calls).to.equal(2);
    });

    it('in a thread that another one wakes', async () => {
      const worker = startWorker(
        `${WATCHED('workerData')}
         const tokens = new Uint32Array(4);
         epoll.watch(() => {
           parentPort.postMessage([...tokens.subarray(0, bell.answer(tokens))]);
           epoll.close();
         });
         parentPort.postMessage('watching');`,
        { workerData: `${path}-2` },
      );
      const exit = once(worker, 'exit');
      expect(await message(worker)).to.equal('watching');
      expect(n.openDoorbell(`${path}-2`)?.ring(9)).to.equal(true);
      expect(await message(worker)).to.deep.equal([9]);
      expect(await exit).to.deep.equal([0]);
    });

    it('when another process rings', async () => {
      const got: number[] = [];
      epoll.watch(() => got.push(...taken()));
      startChild(`const bell = n.openDoorbell(args); for (let at = 0; at < 1000; at++) bell.ring(at);`, path);
      await until(() => got.length === 1000);
      expect(got.every((token, at) => token === at)).to.equal(true);
    });

    it('as node calls callbacks: with the epoll as this, its context, and microtasks at the end', async () => {
      const context = new AsyncLocalStorage<string>();
      const seen: unknown[] = [];
      context.run('of the watch', () =>
        epoll.watch(function (this: unknown) {
          seen.push(this === epoll, context.getStore());
          Promise.resolve().then(() => seen.push('microtask'));
          process.nextTick(() => seen.push('tick'));
          if (seen.length > 4) taken();
        }),
      );
      context.run('of the ring', () => bell.ring(1));
      await until(() => seen.length === 8);
      const call = [true, 'of the watch', 'tick', 'microtask'];
      expect(seen).to.deep.equal([...call, ...call]);
    });
  });

  describe('ended', () => {
    it('by unwatch calls no more, and twice is harmless', async () => {
      epoll.unwatch();
      epoll.watch(() => expect.fail('was called'));
      bell.ring(1);
      epoll.unwatch();
      epoll.unwatch();
      await turns();
      expect(taken()).to.deep.equal([1]);
    });

    it('can begin again at once, within a call too', async () => {
      const calls: string[] = [];
      epoll.watch(() => expect.fail('was called'));
      epoll.unwatch();
      epoll.watch(() => {
        calls.push('first');
        epoll.unwatch();
        epoll.watch(() => {
          calls.push('second');
          taken();
        });
      });
      bell.ring(1);
      await until(() => calls.length === 2);
      await turns();
      expect(calls).to.deep.equal(['first', 'second']);
    });

    it('by close, within a call too', async () => {
      let calls = 0;
      epoll.watch(() => {
        calls++;
        epoll.close();
      });
      bell.ring(1);
      await until(() => calls > 0);
      await turns();
      expect(calls).to.equal(1);
      epoll.unwatch();
      epoll.ref();
      epoll.unref();
      expectFailure(() => epoll.watch(() => {}), { code: 'EBADF', errno: 9 });
    });

    it('by close does not disturb who gets its descriptor next', async () => {
      let calls = 0;
      epoll.watch(() => expect.fail('was called'));
      const { fd } = epoll;
      epoll.close();
      epoll = n.createEpoll();
      expect(epoll.fd).to.equal(fd);
      epoll.add(bell.fd, 7, READABLE);
      epoll.watch(() => {
        calls++;
        taken();
      });
      bell.ring(1);
      await until(() => calls === 1);
    });

    it('leaves no descriptor behind, however often', async () => {
      const before = openDescriptors();
      for (let round = 0; round < 100; round++) {
        for (let at = 0; at < 10; at++) {
          const other = n.createEpoll();
          other.watch(() => {});
          if (at % 2 === 0) other.unwatch();
          other.close();
        }
        await nextTurn();
      }
      expect(openDescriptors()).to.be.at.most(before); // fewer when others were collected
    });
  });

  it('leaves the thread able to sleep in wait', async () => {
    const worker = startWorker(
      `${WATCHED('workerData')}
       epoll.watch(() => {});
       parentPort.postMessage('asleep');
       const count = epoll.wait(new Uint32Array(2), -1);
       parentPort.postMessage(count);
       epoll.close();`,
      { workerData: `${path}-2` },
    );
    expect(await message(worker)).to.equal('asleep');
    n.openDoorbell(`${path}-2`)?.ring(1);
    expect(await message(worker)).to.equal(1);
  });

  describe('called back with an exception', () => {
    const THROWING = `
      let calls = 0;
      epoll.watch(() => {
        if (++calls < 3) throw new Error('mine ' + calls);
        say('called again');
        epoll.close();
      });
      bell.ring(1);`;

    it('makes it an uncaught one, and goes on', async () => {
      const child = startChild(
        `process.on('uncaughtException', (error, origin) => say(origin + ': ' + error.message));
         ${WATCHED('args')} ${THROWING}`,
        `${path}-2`,
      );
      const exit = once(child.process, 'exit');
      expect([await child.line(), await child.line(), await child.line()]).to.deep.equal([
        'uncaughtException: mine 1',
        'uncaughtException: mine 2',
        'called again',
      ]);
      expect(await exit).to.deep.equal([0, null]);
    });

    it('ends the thread if nobody listens for those', async () => {
      const worker = startWorker(`const say = () => {}; ${WATCHED('workerData')} ${THROWING}`, {
        workerData: `${path}-2`,
      });
      const exit = new Promise((resolve) => worker.once('exit', resolve));
      const [error] = await once(worker, 'error');
      expect((error as Error).message).to.equal('mine 1');
      expect(await exit).to.equal(1);
      expect(n.openDoorbell(`${path}-2`)).to.equal(null);
    });
  });

  describe('keeps the event loop alive', () => {
    /** What a process prints that watches and then does `code`. With `rung`, it is rung while it has nothing to do. */
    async function printed(code: string, rung: boolean): Promise<string[]> {
      const child = startChild(
        `${WATCHED('args')}
         process.on('beforeExit', () => say('idle'));
         const ready = () => { say('ready'); epoll.unwatch(); };
         ${code}
         say('watching');`,
        `${path}-2`,
      );
      const exit = once(child.process, 'exit');
      const lines = [await child.line()];
      if (rung) {
        await pause(IDLE_MS);
        n.openDoorbell(`${path}-2`)?.ring(1);
      }
      while (lines.at(-1) !== 'idle') lines.push(await child.line());
      expect(await exit).to.deep.equal([0, null]);
      return lines;
    }

    for (const code of [
      'epoll.watch(ready);',
      'epoll.unref(); epoll.watch(ready); epoll.ref();',
      'epoll.unref(); epoll.ref(); epoll.watch(ready); epoll.unwatch(); epoll.watch(ready);',
    ]) {
      it(`until it ends: ${code}`, async () => {
        expect(await printed(code, true)).to.deep.equal(['watching', 'ready', 'idle']);
      });
    }

    for (const code of [
      'epoll.watch(ready); epoll.unref();',
      'epoll.unref(); epoll.watch(ready);',
      'epoll.watch(ready); epoll.unref(); epoll.unwatch(); epoll.watch(ready);',
      'epoll.watch(ready); epoll.unwatch();',
      'epoll.watch(ready); epoll.close();',
    ]) {
      it(`not: ${code}`, async () => {
        expect(await printed(code, false)).to.deep.equal(['watching', 'idle']);
      });
    }
  });

  it('is refused twice, and for what is no function', async () => {
    epoll.watch(() => {});
    expectFailure(() => epoll.watch(() => {}), { code: 'EEXIST', errno: 17, syscall: 'epoll_ctl' });
    epoll.unwatch();
    for (const strange of [undefined, null, {}, 'f']) {
      expect(() => epoll.watch(strange as unknown as () => void)).to.throw(TypeError);
    }
    let calls = 0;
    bell.ring(1);
    epoll.watch(() => {
      calls++;
      taken();
    });
    await until(() => calls === 1);
  });

  describe('ends with its thread', () => {
    for (const [how, code] of [
      ['asleep', 'epoll.watch(() => {}); up();'],
      ['asleep, and unref', 'epoll.watch(() => {}); epoll.unref(); setInterval(() => {}, 1000); up();'],
      ['called again and again', 'bell.ring(1); epoll.watch(() => {}); setTimeout(up, 5);'],
      ['within a call', 'bell.ring(1); epoll.watch(() => { up(); for (;;); });'],
      ['in a loop', 'bell.ring(1); epoll.watch(() => {}); up(); for (;;);'],
      ['not yet rid of the watch', 'epoll.watch(() => {}); epoll.unwatch(); up(); for (;;);'],
      [
        'beginning and ending watches',
        `const turn = () => { epoll.watch(() => {}); epoll.unwatch(); setImmediate(turn); };
         turn();
         setTimeout(up, 5);`,
      ],
      [
        'waiting for a sync',
        `const file = n.mapFile(workerData + '-file', { create: true, sizeBytes: 4096 });
         const done = new Int32Array(1);
         const again = () => { done[0] = -1; file.sync(done, again); };
         again();
         bell.ring(1);
         epoll.watch(() => {});
         setTimeout(up, 5);`,
      ],
    ] as const) {
      it(`terminated ${how}`, async () => {
        const worker = startWorker(
          `${WATCHED('workerData')} const up = () => parentPort.postMessage('up'); ${code}`,
          { workerData: `${path}-2` },
        );
        expect(await message(worker)).to.equal('up');
        expect(await worker.terminate()).to.equal(1);
        expect(existsSync(`${path}-2`)).to.equal(false); // all that it had is closed
      });
    }

    it('by process.exit within a call', async () => {
      const worker = startWorker(
        `${WATCHED('workerData')} bell.ring(1); epoll.watch(() => process.exit(3));`,
        { workerData: `${path}-2` },
      );
      expect(await once(worker, 'exit')).to.deep.equal([3]);
      expect(existsSync(`${path}-2`)).to.equal(false);
    });

    it('by process.exit of the main thread, beside a worker that watches', async () => {
      const child = startChild(
        `import { Worker } from 'node:worker_threads';
         ${WATCHED('args.path')}
         const source = \`
           const { parentPort, workerData } = require('node:worker_threads');
           import(workerData.module).then(({ native }) => {
             const n = native();
             ${WATCHED("workerData.path + '-worker'")}
             bell.ring(1);
             epoll.watch(() => {});
             parentPort.postMessage(1);
           });\`;
         const worker = new Worker(source, { eval: true, execArgv: [], workerData: args });
         epoll.watch(() => process.exit(3));
         worker.once('message', () => bell.ring(1));`,
        { path: `${path}-2`, module: new URL('../../lib/memory/native.js', import.meta.url).href },
      );
      expect(await once(child.process, 'exit')).to.deep.equal([3, null]);
      expect(n.openDoorbell(`${path}-2`)).to.equal(null);
      expect(existsSync(`${path}-2-worker`)).to.equal(false);
    });
  });
});
