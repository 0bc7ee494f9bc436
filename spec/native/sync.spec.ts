import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { type MappedFile, native } from '../../lib/memory/native.js';
import {
  cleanUp,
  expectFailure,
  faulty,
  isMapped,
  message,
  newFolder,
  occupyPool,
  openDescriptors,
  startChild,
  startWorker,
  until,
} from './support.js';

const SIZE = 1 << 20;
const PENDING = -1;
const n = native();

function pendingWord(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4)).fill(PENDING);
}

/** Never returns to the event loop. The watchdog of the test runner cannot end it, so it has its own. */
function poll(done: Int32Array): number {
  const end = performance.now() + 30_000;
  while (Atomics.load(done, 0) === PENDING) {
    if (performance.now() > end) throw new Error('the sync does not end');
  }
  return Atomics.load(done, 0);
}

/** Whether this process has a descriptor of the file. */
function hasDescriptor(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false; // that of the folder just read
    }
  });
}

describe('durability of a MappedFile', () => {
  let path: string;
  let file: MappedFile;

  beforeEach(() => {
    path = join(newFolder('disk'), 'file');
    file = n.mapFile(path, { create: true, sizeBytes: SIZE });
  });
  afterEach(() => file.close());
  after(cleanUp);

  describe('by sync', () => {
    it('is seen by a thread that polls and never returns to its event loop', () => {
      new Uint8Array(file.buffer).fill(1);
      let calls = 0;
      for (let round = 0; round < 5; round++) {
        const done = pendingWord();
        file.sync(done, () => calls++);
        expect(poll(done)).to.equal(0);
      }
      expect(calls).to.equal(0);
    });

    it('calls finished once, from the event loop, when the outcome is there', async () => {
      const done = pendingWord();
      const seen: number[] = [];
      file.sync(done, () => seen.push(Atomics.load(done, 0)));
      expect(seen).to.deep.equal([]);
      await until(() => seen.length > 0);
      await new Promise(setImmediate);
      expect(seen).to.deep.equal([0]);
    });

    it('takes an ArrayBuffer for the outcome, and a word in the middle of a buffer', async () => {
      const own = Int32Array.of(PENDING);
      const words = new Int32Array(new SharedArrayBuffer(12)).fill(PENDING);
      file.sync(own, () => {});
      file.sync(words.subarray(1, 2), () => {});
      await until(() => own[0] === 0 && words[1] === 0);
      expect([...words]).to.deep.equal([PENDING, 0, PENDING]);
    });

    it('takes many at once, of one file and of several', async () => {
      const other = n.mapFile(join(newFolder(), 'other'), { create: true, sizeBytes: 64 });
      const dones = Array.from({ length: 300 }, pendingWord);
      const calls = dones.map(() => 0);
      for (const [at, done] of dones.entries()) {
        (at % 3 === 0 ? other : file).sync(done, () => {
          calls[at] = (calls[at] ?? 0) + 1;
        });
      }
      await until(() => calls.every((count) => count > 0));
      expect(dones.every((done) => done[0] === 0)).to.equal(true);
      expect(new Set(calls)).to.deep.equal(new Set([1]));
      other.close();
    });

    it('keeps the event loop alive', async () => {
      const child = startChild(
        `const file = n.mapFile(args.path, { create: false, sizeBytes: 1 });
         new Uint8Array(file.buffer).fill(2);
         const done = Int32Array.of(-1);
         file.sync(done, () => say('finished ' + done[0]));`,
        { path },
      );
      expect(await child.line()).to.equal('finished 0');
    });

    it('keeps what it was given, and not longer than needed', async () => {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      let calls = 0;
      const start = (): WeakRef<object>[] => {
        const done = pendingWord();
        const finished = (): void => {
          calls++;
        };
        file.sync(done, finished);
        return [new WeakRef(done), new WeakRef(finished)];
      };
      const release = occupyPool();
      let given: WeakRef<object>[];
      try {
        given = start();
        for (let round = 0; round < 5; round++) {
          await new Promise(setImmediate);
          collect();
        }
        expect(given.map((weak) => weak.deref() !== undefined)).to.deep.equal([true, true]);
        expect(calls).to.equal(0);
      } finally {
        await release();
      }
      await until(() => calls === 1);
      await until(() => {
        collect();
        return given.every((weak) => weak.deref() === undefined);
      });
    });

    it('leaves an error that finished throws uncaught', async () => {
      const worker = startWorker(
        `const file = n.mapFile(workerData, { create: false, sizeBytes: 1 });
         file.sync(Int32Array.of(-1), () => { throw new Error('on purpose'); });`,
        { workerData: path },
      );
      const [error] = await once(worker, 'error');
      expect((error as Error).message).to.equal('on purpose');
    });

    it('does not hold back close: memory and locks go at once, the descriptor with the sync', async () => {
      const other = n.mapFile(path, { create: false, sizeBytes: 1 });
      const second = n.mapFile(join(newFolder('disk'), 'second'), { create: true, sizeBytes: 64 });
      const third: MappedFile[] = [];
      expect(file.lock(0, 1)).to.equal(true);
      expect(file.lock(1000, 1)).to.equal(true);
      const done = pendingWord();
      const late = pendingWord();
      let calls = 0;
      const release = occupyPool();
      try {
        file.sync(done, () => calls++);
        expect(other.isLocked(0, 2000)).to.equal(true);
        file.close();
        expect(other.isLocked(0, 2000)).to.equal(false);
        expect(file.buffer.byteLength).to.equal(0);
        other.close();
        expect(isMapped(path)).to.equal(false);
        expect(hasDescriptor(path)).to.equal(true);
        for (let at = 0; at < 8; at++) {
          third.push(n.mapFile(second.path, { create: false, sizeBytes: 1 }));
        }
        second.sync(late, () => calls++);
        expect(hasDescriptor(path)).to.equal(true);
        expect([done[0], late[0]]).to.deep.equal([PENDING, PENDING]);
      } finally {
        await release();
      }
      expect([poll(done), poll(late)]).to.deep.equal([0, 0]);
      expect(hasDescriptor(path)).to.equal(false);
      await until(() => calls === 2);
      for (const each of [second, ...third]) each.close();
    });

    it('leaves no descriptor of a closed file once its end is seen, without the event loop', () => {
      const done = pendingWord();
      file.sync(done, () => {});
      file.close();
      expect(poll(done)).to.equal(0);
      expect(hasDescriptor(path)).to.equal(false);
    });

    it('survives that the file was closed, and its descriptor dropped, many times over', async () => {
      const dones: Int32Array[] = [];
      const before = openDescriptors();
      for (let round = 0; round < 200; round++) {
        const done = pendingWord();
        const each = n.mapFile(path, { create: false, sizeBytes: 1 });
        Atomics.add(new Int32Array(each.buffer), round, 1);
        each.sync(done, () => {});
        each.close();
        dones.push(done);
      }
      await until(() => dones.every((done) => done[0] !== PENDING));
      expect(dones.every((done) => done[0] === 0)).to.equal(true);
      expect(openDescriptors()).to.equal(before);
    });

    it('ends with its worker, wherever that is', async () => {
      const actions = [
        'start(50); for (;;);',
        'for (;;) poll(start(1)[0]);',
        'start(50); setInterval(() => {}, 1000);',
        'start(50); file.close(); for (;;);',
        'start(50); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);',
        'start(50); process.exit(0);',
        'start(50); file.close();',
        'start(50);',
      ];
      const source = (action: string) => `
        const file = n.mapFile(workerData, { create: false, sizeBytes: 1 });
        const words = new Int32Array(file.buffer);
        const poll = (done) => { while (Atomics.load(done, 0) < 0); };
        const start = (count) => Array.from({ length: count }, () => {
          const done = new Int32Array(new SharedArrayBuffer(4)).fill(-1);
          Atomics.add(words, 1, 1);
          file.sync(done, () => {});
          return done;
        });
        parentPort.postMessage('ready');
        ${action}`;
      file.close();
      const before = openDescriptors();
      for (let round = 0; round < 3; round++) {
        for (const action of actions) {
          const worker = startWorker(source(action), { workerData: path });
          const exit = once(worker, 'exit');
          await message(worker);
          await Promise.all([worker.terminate(), exit]);
        }
      }
      await until(() => !isMapped(path) && openDescriptors() <= before);
    });

    it('ends with its worker only when the pool has, which has its memory until then', async () => {
      const done = pendingWord();
      const go = new Int32Array(new SharedArrayBuffer(4));
      let exited = false;
      const worker = startWorker(
        `const file = n.mapFile(workerData.path, { create: false, sizeBytes: 1 });
         const go = new Int32Array(workerData.go);
         parentPort.postMessage('ready');
         while (Atomics.load(go, 0) === 0);
         file.sync(new Int32Array(workerData.done), () => {});
         Atomics.store(go, 0, 2);
         for (;;);`,
        { workerData: { path, done: done.buffer, go: go.buffer } },
      );
      await message(worker); // loading took the pool
      const release = occupyPool();
      worker.once('exit', () => {
        exited = true;
      });
      try {
        Atomics.store(go, 0, 1);
        await until(() => go[0] === 2);
        void worker.terminate();
        for (let round = 0; round < 20; round++) await new Promise((resolve) => setTimeout(resolve, 5));
        expect([exited, done[0]]).to.deep.equal([false, PENDING]);
      } finally {
        await release();
      }
      await until(() => exited);
      expect(done[0]).to.equal(0);
    });

    it('ends with the process', async () => {
      for (const end of ['process.exit(0);', 'process.exitCode = 0;']) {
        const child = startChild(
          `const file = n.mapFile(args.path, { create: false, sizeBytes: 1 });
           new Uint8Array(file.buffer).fill(3);
           for (let at = 0; at < 50; at++) file.sync(Int32Array.of(-1), () => {});
           ${end}`,
          { path },
        );
        expect(await once(child.process, 'exit'), end).to.deep.equal([0, null]);
      }
    });

    it('refuses a word that is not one, not pending, or gone, and leaves it alone', async () => {
      let calls = 0;
      const finished = () => {
        calls++;
      };
      const gone = Int32Array.of(PENDING);
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      for (const done of [
        new Int32Array(0),
        Int32Array.of(-1, -1),
        Int32Array.of(0),
        Int32Array.of(5),
        gone,
      ]) {
        const before = Array.from({ length: 2 }, (_, at) => done[at]);
        expect(() => file.sync(done, finished)).to.throw(RangeError);
        expect([done[0], done[1]]).to.deep.equal(before);
      }
      const inFile = new Int32Array(file.buffer, 64, 1).fill(PENDING);
      expect(() => file.sync(inFile, finished)).to.throw(TypeError, 'mapped file');
      const last = pendingWord();
      file.sync(last, finished);
      await until(() => calls > 0);
      expect(calls).to.equal(1);
      expect(inFile[0]).to.equal(PENDING);
    });

    it('of a closed file throws EBADF', () => {
      file.close();
      const done = pendingWord();
      const expected = { code: 'EBADF', errno: 9, syscall: 'fdatasync', path };
      expectFailure(() => file.sync(done, () => {}), expected);
      expectFailure(() => file.syncNow(), expected);
      expectFailure(() => file.writeOut(), { ...expected, syscall: 'sync_file_range' });
      expect(done[0]).to.equal(PENDING);
    });
  });

  describe('under faults', () => {
    const BOTH = `
      const file = n.mapFile(args.path, { create: false, sizeBytes: 1 });
      const done = Int32Array.of(-1);
      file.sync(done, () => say('finished ' + done[0]));
      while (Atomics.load(done, 0) < 0);
      say('polled ' + done[0]);
      try { file.syncNow(); say('synced'); } catch (error) { say(JSON.stringify({ ...error })); }`;

    it('hands pages to the disk without a sync, and tells why it could not', async function () {
      const log = join(newFolder(), 'log');
      const under = faulty(log, 'sync_file_range:error=EIO:when=2');
      if (under === null) this.skip();
      const child = startChild(
        `const file = n.mapFile(args.path, { create: false, sizeBytes: 1 });
        file.writeOut();
        say('handed over');
        try { file.writeOut(); say('again'); } catch (error) { say(JSON.stringify({ ...error })); }`,
        { path },
        [],
        under,
      );
      expect(await child.line()).to.equal('handed over');
      expect(JSON.parse(await child.line())).to.deep.equal({
        code: 'EIO',
        errno: 5,
        syscall: 'sync_file_range',
        path,
      });
      const calls = readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line.includes('sync'));
      expect(calls[0]).to.match(/sync_file_range\(\d+<.*\/file>, 0, 0, SYNC_FILE_RANGE_WRITE\) += 0/);
      expect(calls).to.have.length(2);
    });

    it('tells why a sync failed', async function () {
      const under = faulty(join(newFolder(), 'log'), 'fdatasync:error=EIO');
      if (under === null) this.skip();
      const child = startChild(BOTH, { path }, [], under);
      expect(await child.line()).to.equal('polled 5');
      expect(JSON.parse(await child.line())).to.deep.equal({
        code: 'EIO',
        errno: 5,
        syscall: 'fdatasync',
        path,
      });
      expect(await child.line()).to.equal('finished 5');
    });

    it('repeats a sync that a signal interrupted', async function () {
      const log = join(newFolder(), 'log');
      const under = faulty(log, 'fdatasync:error=EINTR:when=1');
      if (under === null) this.skip();
      const child = startChild(BOTH, { path }, [], under);
      expect(await child.line()).to.equal('polled 0');
      expect(await child.line()).to.equal('synced');
      expect(await child.line()).to.equal('finished 0');
      expect(readFileSync(log, 'utf8').match(/ EINTR /g)).to.have.length(2); // one in each thread
    });

    it('tells why a folder could not be synced', async function () {
      const under = faulty(join(newFolder(), 'log'), 'fsync:error=EIO');
      if (under === null) this.skip();
      const folder = newFolder();
      const act = 'try { n.syncFolder(args.folder); } catch (error) { say(JSON.stringify({ ...error })); }';
      const child = startChild(act, { folder }, [], under);
      expect(JSON.parse(await child.line())).to.deep.equal({
        code: 'EIO',
        errno: 5,
        syscall: 'fsync',
        path: folder,
      });
    });
  });

  describe('by syncFolder', () => {
    it('covers folders on disk and in memory, and leaves no descriptor', () => {
      const before = openDescriptors();
      for (const on of ['disk', 'memory'] as const) {
        const folder = newFolder(on);
        mkdirSync(join(folder, 'inner'));
        n.syncFolder(folder);
        n.syncFolder(join(folder, 'inner'));
      }
      expect(openDescriptors()).to.equal(before);
    });

    it('refuses what is no folder', () => {
      const missing = join(newFolder(), 'missing');
      expectFailure(() => n.syncFolder(missing), {
        code: 'ENOENT',
        errno: 2,
        syscall: 'open',
        path: missing,
      });
      expectFailure(() => n.syncFolder(path), { code: 'ENOTDIR', errno: 20, syscall: 'open', path });
      expect(existsSync(missing)).to.equal(false);
    });
  });

  describe('inode', () => {
    it('is that of the file that was mapped, whatever becomes of its name', () => {
      const { ino } = statSync(path);
      expect(file.inode).to.equal(ino);
      const again = n.mapFile(path, { create: false, sizeBytes: 1 });
      expect(again.inode).to.equal(ino);
      again.close();
      renameSync(path, `${path}.old`);
      const successor = n.mapFile(path, { create: true, sizeBytes: 64 });
      expect(successor.inode).to.equal(statSync(path).ino).and.not.equal(ino);
      expect(file.inode).to.equal(ino);
      successor.close();
      file.close();
      expect(file.inode).to.equal(ino);
    });
  });
});
