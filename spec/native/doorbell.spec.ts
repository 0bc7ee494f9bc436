import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Doorbell, FULL_DOORBELL_TOKENS, native } from '../../lib/memory/native.js';
import { Random, randomSeed } from '../support/random.js';
import { cleanUp, expectFailure, message, newFolder, startChild, startWorker, until } from './support.js';

const IS_ROOT = process.geteuid?.() === 0;
const SOMEBODY = 12345; // a user, other than root and this one
const READABLE = 1;
const FOREVER = -1;
const OPEN_FLAGS = { nonBlocking: 0o4000, closeOnExec: 0o2000000 };

const n = native();

/** What waits, in one answer. */
function answers(bell: Doorbell, most = 64): number[] {
  const tokens = new Uint32Array(most);
  return [...tokens.subarray(0, bell.answer(tokens))];
}

function opened(path: string): Doorbell {
  const bell = n.openDoorbell(path);
  if (bell === null) throw new Error(`nobody answers ${path}`);
  return bell;
}

describe('Doorbell', () => {
  let path: string;
  let own: Doorbell;

  beforeEach(() => {
    path = join(newFolder(), 'bell');
    own = n.createDoorbell(path);
  });
  afterEach(() => own.close());
  after(cleanUp);

  describe('rung', () => {
    it('gives its owner the tokens, the oldest first', () => {
      const ringer = opened(path);
      expect(answers(own)).to.deep.equal([]);
      for (const token of [7, 0, 0xffffffff, 7]) expect(ringer.ring(token)).to.equal(true);
      expect(own.ring(5)).to.equal(true);
      expect(answers(own, 3)).to.deep.equal([7, 0, 0xffffffff]);
      expect(answers(own, 3)).to.deep.equal([7, 5]);
      expect(answers(own, 3)).to.deep.equal([]);
      ringer.close();
    });

    it('leaves the rest of the array alone', () => {
      own.ring(1);
      const tokens = Uint32Array.of(9, 9, 9);
      expect(own.answer(tokens.subarray(1))).to.equal(1);
      expect([...tokens]).to.deep.equal([9, 1, 9]);
    });

    it('is readable for an epoll as long as tokens wait', () => {
      const epoll = n.createEpoll();
      const events = new Uint32Array(2);
      epoll.add(own.fd, 3, READABLE);
      expect(epoll.wait(events, 0)).to.equal(0);
      const ringer = opened(path);
      ringer.ring(1);
      for (let at = 0; at < 2; at++) {
        expect([epoll.wait(events, FOREVER), ...events]).to.deep.equal([1, 3, READABLE]);
      }
      answers(own);
      ringer.close(); // the last that could ring is no hang-up
      expect(epoll.wait(events, 0)).to.equal(0);
      epoll.close();
    });

    const SLEEPER = `
      const epoll = n.createEpoll();
      epoll.add(bell.fd, 1, ${READABLE});
      const events = new Uint32Array(2);
      const tokens = new Uint32Array(4);
      tell('asleep');
      const count = epoll.wait(events, -1);
      tell([count, ...events, ...tokens.subarray(0, bell.answer(tokens))].join());`;

    it('wakes another thread that sleeps in an epoll', async () => {
      const worker = startWorker(
        `const bell = n.createDoorbell(workerData); const tell = (text) => parentPort.postMessage(text); ${SLEEPER}`,
        { workerData: `${path}-2` },
      );
      expect(await message(worker)).to.equal('asleep');
      expect(opened(`${path}-2`).ring(77)).to.equal(true);
      expect(await message(worker)).to.equal('1,1,1,77');
    });

    it('wakes another process that sleeps in an epoll', async () => {
      const child = startChild(
        `const bell = n.createDoorbell(args); const tell = say; ${SLEEPER}`,
        `${path}-2`,
      );
      expect(await child.line()).to.equal('asleep');
      expect(opened(`${path}-2`).ring(77)).to.equal(true);
      expect(await child.line()).to.equal('1,1,1,77');
    });

    it('keeps the tokens of many threads and processes whole and in order', async () => {
      const EACH = 20_000;
      const ring = (id: number) => `
        const bell = n.openDoorbell(${JSON.stringify(path)});
        let refused = 0;
        for (let at = 0; at < ${EACH}; at++) while (!bell.ring(${id} * 0x1000000 + at)) refused++;`;
      for (const id of [1, 2]) startWorker(ring(id));
      for (const id of [3, 4]) startChild(ring(id));
      const epoll = n.createEpoll();
      epoll.add(own.fd, 1, READABLE);
      const events = new Uint32Array(2);
      const tokens = new Uint32Array(7); // no divisor of a page
      const next = new Map([1, 2, 3, 4].map((id) => [id, 0]));
      await until(() => {
        epoll.wait(events, 20);
        for (let count = own.answer(tokens); count > 0; count = own.answer(tokens)) {
          for (const token of tokens.subarray(0, count)) {
            const id = token >>> 24;
            expect(token & 0xffffff, `token of ${id}`).to.equal(next.get(id));
            next.set(id, (token & 0xffffff) + 1);
          }
        }
        return [...next.values()].every((count) => count === EACH);
      });
      epoll.close();
    });
  });

  describe('full', () => {
    it('refuses tokens until some were taken, and loses none that it took', () => {
      const ringer = opened(path);
      let rung = 0;
      while (ringer.ring(rung)) rung++;
      expect(rung).to.be.at.least(FULL_DOORBELL_TOKENS);
      expect(own.ring(0)).to.equal(false);
      const tokens = new Uint32Array(rung + 1);
      expect(own.answer(tokens)).to.equal(rung);
      expect(tokens.subarray(0, rung).every((token, at) => token === at)).to.equal(true);
      expect(ringer.ring(1)).to.equal(true);
      ringer.close();
    });

    it('tells its owner by the number of tokens, however it was answered before', () => {
      const seed = randomSeed();
      const random = new Random(seed);
      let rung = 0;
      let answered = 0;
      const take = (most: number): number => {
        const tokens = answers(own, most);
        for (const token of tokens) expect(token, `seed ${seed}`).to.equal(answered++);
        return tokens.length;
      };
      for (let round = 0; round < 20; round++) {
        for (let some = random.below(20_000); some > 0 && own.ring(rung); some--) rung++;
        for (let some = random.below(8); some > 0; some--) take(random.between(1, 3000));
        while (own.ring(rung)) rung++;
        expect(take(FULL_DOORBELL_TOKENS), `seed ${seed}`).to.equal(FULL_DOORBELL_TOKENS);
        if (random.once(2)) while (take(4096) > 0);
      }
    });

    it('does so where the system grants a user no more than two pages', async function () {
      if (!IS_ROOT) this.skip(); // it takes over a thousand pipes of a user who has no others
      const folder = newFolder();
      chownSync(folder, SOMEBODY, SOMEBODY);
      const child = startChild(
        `process.setgroups([]); process.setgid(${SOMEBODY}); process.setuid(${SOMEBODY});
         const bells = Array.from({ length: 1050 }, (_, at) => n.createDoorbell(args + '/' + at));
         const small = bells.at(-1);
         let rung = 0;
         while (small.ring(1)) rung++;
         say(rung < 16384);
         small.answer(new Uint32Array(1023)); // all but one of the first page
         say(small.ring(1));
         say(small.answer(new Uint32Array(5000)));`,
        folder,
      );
      expect([await child.line(), await child.line(), await child.line()]).to.deep.equal([
        'true',
        'false',
        String(FULL_DOORBELL_TOKENS),
      ]);
    });
  });

  describe('that nobody answers', () => {
    it('says so to those who have it open, and is gone, once its owner closed it', () => {
      const ringer = opened(path);
      ringer.ring(1);
      own.close();
      expect(ringer.ring(2)).to.equal(false);
      expect(existsSync(path)).to.equal(false);
      expect(n.openDoorbell(path)).to.equal(null);
      const next = n.createDoorbell(path);
      expect(ringer.ring(3)).to.equal(false);
      expect(answers(next)).to.deep.equal([]);
      ringer.close();
      expect(existsSync(path)).to.equal(true);
      next.close();
    });

    it('is left behind by an owner that was killed, and can be removed', async () => {
      const child = startChild(
        `n.createDoorbell(args); say('up'); setInterval(() => {}, 1000);`,
        `${path}-2`,
      );
      await child.line();
      const ringer = opened(`${path}-2`);
      expect(ringer.ring(1)).to.equal(true);
      await child.kill('SIGKILL');
      expect(ringer.ring(2)).to.equal(false);
      expect(existsSync(`${path}-2`)).to.equal(true);
      expect(n.openDoorbell(`${path}-2`)).to.equal(null);
      expectFailure(() => n.createDoorbell(`${path}-2`), { code: 'EEXIST', errno: 17, path: `${path}-2` });
      unlinkSync(`${path}-2`);
      const next = n.createDoorbell(`${path}-2`);
      expect(ringer.ring(3)).to.equal(false);
      next.close();
      ringer.close();
    });

    it('raises no SIGPIPE, be it listened for or left to its default, which is to kill', async () => {
      const child = startChild(
        `import { constants, openSync, readFileSync, writeSync } from 'node:fs';
         import { once } from 'node:events';
         const bell = n.createDoorbell(args);
         const ringer = n.openDoorbell(args);
         const plain = openSync(args, constants.O_WRONLY | constants.O_NONBLOCK);
         bell.close();
         const heard = [];
         const hear = (signal) => heard.push(signal);
         process.on('SIGPIPE', hear);
         say(ringer.ring(1));
         const later = once(process, 'SIGUSR2'); // is heard after all that came before
         process.kill(process.pid, 'SIGUSR2');
         const waiting = setInterval(() => {}, 1000); // listeners of signals do not
         await later;
         clearInterval(waiting);
         say(heard.length);
         process.off('SIGPIPE', hear);
         const status = readFileSync('/proc/self/status', 'utf8');
         const mask = (name) => BigInt('0x' + status.match(new RegExp(name + ':\\\\s*(\\\\w+)'))[1]);
         say((mask('SigIgn') | mask('SigCgt') | mask('SigBlk')) >> 12n & 1n);
         say(ringer.ring(1));
         say(Array.from({ length: 1000 }, () => ringer.ring(2)).includes(true));
         writeSync(plain, 'x');
         say('survived a plain write');`,
        `${path}-2`,
      );
      const exit = once(child.process, 'exit');
      const lines = [];
      for (let at = 0; at < 5; at++) lines.push(await child.line());
      expect(lines).to.deep.equal(['false', '0', '0', 'false', 'false']);
      expect(await exit).to.deep.equal([null, 'SIGPIPE']);
    });
  });

  describe('made', () => {
    it('is a pipe of mode 0600 under any umask', () => {
      for (const umask of [0, 0o022, 0o777]) {
        const before = process.umask(umask);
        let bell: Doorbell;
        try {
          bell = n.createDoorbell(`${path}-2`);
        } finally {
          process.umask(before);
        }
        const status = statSync(`${path}-2`);
        expect(status.isFIFO()).to.equal(true);
        expect(status.mode & 0o7777).to.equal(0o600);
        bell.close();
      }
    });

    it('knows its path, and has descriptors that neither block nor are inherited', () => {
      const ringer = opened(path);
      for (const bell of [own, ringer]) {
        expect(bell.path).to.equal(path);
        const flags = readFileSync(`/proc/self/fdinfo/${bell.fd}`, 'utf8').match(/flags:\s*(\d+)/)?.[1];
        for (const flag of Object.values(OPEN_FLAGS))
          expect(Number.parseInt(flags ?? '', 8) & flag).to.equal(flag);
      }
      ringer.close();
    });

    it('takes the place of nothing', () => {
      const fields = { code: 'EEXIST', errno: 17, syscall: 'mkfifo' };
      expectFailure(() => n.createDoorbell(path), { ...fields, path });
      writeFileSync(`${path}-2`, 'mine');
      symlinkSync('nowhere', `${path}-3`);
      for (const taken of [`${path}-2`, `${path}-3`]) {
        expectFailure(() => n.createDoorbell(taken), { ...fields, path: taken });
      }
      expect(readFileSync(`${path}-2`, 'utf8')).to.equal('mine');
      expectFailure(() => n.createDoorbell(join(path, 'x')), { code: 'ENOTDIR', syscall: 'mkfifo' });
      expectFailure(() => n.createDoorbell(`${path}/../no/x`), { syscall: 'mkfifo' });
    });
  });

  describe('opened', () => {
    it('is null where there is none', () => {
      expect(n.openDoorbell(`${path}-2`)).to.equal(null);
      expect(n.openDoorbell(join(newFolder(), 'no', 'bell'))).to.equal(null);
    });

    it('refuses what is no pipe, and opens none of it', () => {
      const file = `${path}-file`;
      const folder = `${path}-folder`;
      const socket = n.listenUnix(`${path}-socket`, 1);
      writeFileSync(file, 'mine', { mode: 0o600 });
      mkdirSync(folder, { mode: 0o700 });
      const devices = ['/dev/null', '/dev/tty'].filter((device) => existsSync(device));
      for (const other of [file, folder, `${path}-socket`, ...devices]) {
        expectFailure(() => n.openDoorbell(other), {
          code: 'EINVAL',
          errno: 22,
          syscall: 'open',
          path: other,
        });
      }
      expect(readFileSync(file, 'utf8')).to.equal('mine');
      socket.close();
    });

    it('follows no symbolic link', () => {
      symlinkSync('bell', `${path}-2`);
      expectFailure(() => n.openDoorbell(`${path}-2`), { code: 'ELOOP', syscall: 'open', path: `${path}-2` });
    });

    it('refuses one that others could open', () => {
      for (const mode of [0o640, 0o602, 0o666, 0o610]) {
        chmodSync(path, mode);
        const error = expectFailure(() => n.openDoorbell(path), { code: 'EACCES', errno: 13, path });
        expect(error.message)
          .to.include('0600')
          .and.include(`0${mode.toString(8)}`);
      }
      chmodSync(path, 0o600);
      opened(path).close();
    });

    it('refuses one of another user', function () {
      if (!IS_ROOT) this.skip();
      chownSync(path, SOMEBODY, SOMEBODY);
      const error = expectFailure(() => n.openDoorbell(path), {
        code: 'EPERM',
        errno: 1,
        syscall: 'open',
        path,
      });
      expect(error.message).to.include(String(SOMEBODY));
    });

    it('is not for answering', () => {
      const ringer = opened(path);
      ringer.ring(1);
      const fields = { code: 'EBADF', errno: 9, syscall: 'read', path };
      const error = expectFailure(() => ringer.answer(new Uint32Array(1)), fields);
      expect(error.message).to.include('only its owner');
      expect(answers(own)).to.deep.equal([1]);
      ringer.close();
    });

    it('leaves the path alone when closed', () => {
      opened(path).close();
      expect(existsSync(path)).to.equal(true);
    });
  });

  describe('ended', () => {
    it('answers EBADF, and closes twice', () => {
      const ringer = opened(path);
      for (const bell of [ringer, own]) {
        bell.close();
        bell.close();
        expect(bell.fd).to.equal(-1);
        expect(bell.path).to.equal(path);
        expectFailure(() => bell.ring(1), { code: 'EBADF', errno: 9, syscall: 'write', path });
        expectFailure(() => bell.answer(new Uint32Array(1)), {
          code: 'EBADF',
          errno: 9,
          syscall: 'read',
          path,
        });
      }
    });

    it('removes its path, and not what stands there instead', () => {
      renameSync(path, `${path}-moved`);
      writeFileSync(path, 'mine');
      own.close();
      expect(readFileSync(path, 'utf8')).to.equal('mine');
    });

    for (const [how, code] of [
      ['returns', ''],
      ['calls process.exit', 'process.exit(0);'],
      ['is terminated', 'setInterval(() => {}, 1000);'],
      ['is terminated in a loop', 'for (;;) bell.ring(1);'],
      [
        'is terminated while it sleeps',
        `const epoll = n.createEpoll(); epoll.add(bell.fd, 1, ${READABLE}); epoll.wait(new Uint32Array(2), -1);`,
      ],
    ] as const) {
      it(`removes its path when its thread ${how}`, async () => {
        const worker = startWorker(
          `const bell = n.createDoorbell(workerData); parentPort.postMessage('up'); ${code}`,
          { workerData: `${path}-2` },
        );
        const exit = once(worker, 'exit');
        await message(worker);
        if (how.includes('terminated')) {
          expect(existsSync(`${path}-2`)).to.equal(true);
          await worker.terminate();
        }
        await exit;
        expect(existsSync(`${path}-2`)).to.equal(false);
      });
    }

    it('removes its path when the main thread has nothing left to do', async () => {
      const child = startChild(`globalThis.bell = n.createDoorbell(args); say('up');`, `${path}-2`);
      const exit = once(child.process, 'exit');
      await child.line();
      await exit;
      expect(existsSync(`${path}-2`)).to.equal(false);
    });
  });

  it('says so when somebody wrote something else, and goes on', async () => {
    const writer = await open(path, 'r+');
    await writer.write('abc');
    const fields = { code: 'EPROTO', errno: 71, syscall: 'read', path };
    expectFailure(() => answers(own), fields);
    own.ring(1);
    await writer.write('abcde');
    expectFailure(() => answers(own), fields);
    own.ring(2);
    expect(answers(own)).to.deep.equal([2]);
    await writer.close();
  });

  it('refuses what is no token, and no room for one', () => {
    for (const token of [-1, 2 ** 32, 0.5, Number.NaN]) expect(() => own.ring(token)).to.throw(RangeError);
    expect(() => own.answer(new Uint32Array(0))).to.throw(RangeError);
    expect(answers(own)).to.deep.equal([]);
  });
});
