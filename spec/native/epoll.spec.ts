import { join } from 'node:path';
import { expect } from 'chai';
import { type Epoll, type NativeSocket, native } from '../../lib/memory/native.js';
import {
  cleanUp,
  connectedPair,
  expectFailure,
  message,
  newFolder,
  receiveAll,
  startChild,
  startWorker,
} from './support.js';

const READABLE = 1;
const WRITABLE = 2;
const BROKEN = 4;
const ONCE = 8;
const FOREVER = -1;

const n = native();

describe('Epoll', () => {
  let epoll: Epoll;
  let near: NativeSocket;
  let far: NativeSocket;
  const events = new Uint32Array(16);

  /** What one wait reports, as pairs in the order of their tokens. */
  function ready(timeoutMs = 0): number[][] {
    const count = epoll.wait(events, timeoutMs);
    const pairs = Array.from({ length: count }, (_, at) => [...events.subarray(2 * at, 2 * at + 2)]);
    return pairs.sort((a, b) => Number(a[0]) - Number(b[0]));
  }

  beforeEach(async () => {
    epoll = n.createEpoll();
    [near, far] = await connectedPair();
  });
  afterEach(() => {
    epoll.close();
    near.close();
    far.close();
  });
  after(cleanUp);

  it('reports nothing when nothing is ready', () => {
    expect(ready()).to.deep.equal([]);
    epoll.add(near.fd, 1, READABLE);
    expect(ready()).to.deep.equal([]);
    expect(ready(5)).to.deep.equal([]);
    expect(ready(0.1)).to.deep.equal([]);
  });

  it('reports what was asked for, with the token, as long as it is so', async () => {
    epoll.add(near.fd, 0xffffffff, READABLE);
    epoll.add(far.fd, 7, READABLE | WRITABLE);
    expect(ready()).to.deep.equal([[7, WRITABLE]]);
    far.send(Uint8Array.of(1), 0, 1);
    near.send(Uint8Array.of(1), 0, 1);
    const both = [
      [7, READABLE | WRITABLE],
      [0xffffffff, READABLE],
    ];
    expect(ready(FOREVER)).to.deep.equal(both);
    expect(ready()).to.deep.equal(both);
    await receiveAll(near, 1);
    expect(ready()).to.deep.equal([[7, READABLE | WRITABLE]]);
  });

  it('changes interest and token, and forgets', () => {
    epoll.add(near.fd, 1, READABLE);
    epoll.modify(near.fd, 2, WRITABLE);
    expect(ready(FOREVER)).to.deep.equal([[2, WRITABLE]]);
    epoll.remove(near.fd);
    expect(ready()).to.deep.equal([]);
  });

  it('reports once what was asked for once, until it is armed again', async () => {
    epoll.add(near.fd, 1, READABLE | WRITABLE | ONCE);
    expect(ready(FOREVER)).to.deep.equal([[1, WRITABLE]]);
    far.send(Uint8Array.of(1), 0, 1);
    far.close();
    expect(ready(5)).to.deep.equal([]);
    epoll.modify(near.fd, 2, READABLE | ONCE);
    expect(ready(FOREVER)).to.deep.equal([[2, READABLE]]);
    expect(ready()).to.deep.equal([]);
    epoll.modify(near.fd, 3, READABLE);
    for (let at = 0; at < 2; at++) expect(ready(FOREVER)).to.deep.equal([[3, READABLE]]);
  });

  it('reports a hang-up whatever the interest', () => {
    epoll.add(near.fd, 3, WRITABLE);
    near.send(Uint8Array.of(1), 0, 1);
    epoll.add(far.fd, 4, READABLE);
    expect(ready(FOREVER)).to.deep.include([4, READABLE]);
    epoll.remove(far.fd);
    far.close(); // with an unread byte: a reset
    expect(ready(FOREVER)).to.deep.equal([[3, WRITABLE | BROKEN]]);
  });

  it("reports the peer's end, and nothing that it has sent before, where only that was asked for", () => {
    epoll.add(near.fd, 1, BROKEN);
    far.send(Uint8Array.of(1), 0, 1);
    expect(ready(20)).to.deep.equal([]);
    far.close();
    expect(ready(FOREVER)).to.deep.equal([[1, BROKEN]]);
    epoll.modify(near.fd, 1, READABLE);
    expect(ready(FOREVER)).to.deep.equal([[1, READABLE]]);
    epoll.modify(near.fd, 1, READABLE | BROKEN);
    expect(ready(FOREVER)).to.deep.equal([[1, READABLE | BROKEN]]);
  });

  it('reports as many as fit, and the others next time', () => {
    epoll.add(near.fd, 1, WRITABLE);
    epoll.add(far.fd, 2, WRITABLE);
    const one = new Uint32Array(3);
    const tokens = new Set<number | undefined>();
    for (let at = 0; at < 2; at++) {
      expect(epoll.wait(one, FOREVER)).to.equal(1);
      tokens.add(one[0]);
    }
    expect(tokens).to.deep.equal(new Set([1, 2]));
  });

  it('reports a connection that waits to be accepted', () => {
    const listener = n.listenUnix(join(newFolder(), 'socket'), 8);
    epoll.add(listener.fd, 9, READABLE);
    expect(ready()).to.deep.equal([]);
    const client = n.connectUnix(listener.localAddress());
    expect(ready(FOREVER)).to.deep.equal([[9, READABLE]]);
    client.close();
    listener.close();
  });

  it('can be watched by another', () => {
    const outer = n.createEpoll();
    outer.add(epoll.fd, 5, READABLE);
    expect(outer.wait(events, 0)).to.equal(0);
    epoll.add(near.fd, 1, WRITABLE);
    expect(outer.wait(events, FOREVER)).to.equal(1);
    expect([...events.subarray(0, 2)]).to.deep.equal([5, READABLE]);
    outer.close();
  });

  it('forgets a socket that was closed', () => {
    epoll.add(near.fd, 1, WRITABLE);
    near.close();
    expect(ready()).to.deep.equal([]);
  });

  it('wakes a thread that waits for longer than one slice', async () => {
    const worker = startWorker(
      `const epoll = n.createEpoll();
       const socket = n.adopt(workerData);
       epoll.add(socket.fd, 1, 1);
       const events = new Uint32Array(2);
       const began = n.monotonicMs();
       const quiet = epoll.wait(events, 700);
       parentPort.postMessage([quiet, n.monotonicMs() - began >= 700]);
       parentPort.postMessage([epoll.wait(events, -1), ...events]);`,
      { workerData: near.release() },
    );
    expect(await message(worker)).to.deep.equal([0, true]);
    far.send(Uint8Array.of(1), 0, 1);
    expect(await message(worker)).to.deep.equal([1, 1, READABLE]);
  });

  it('lets a thread be terminated that waits for ever', async () => {
    const worker = startWorker(
      `const epoll = n.createEpoll();
       parentPort.postMessage('waiting');
       epoll.wait(new Uint32Array(2), -1);`,
    );
    expect(await message(worker)).to.equal('waiting');
    expect(await worker.terminate()).to.equal(1);
  });

  it('lets the process exit while a worker waits for ever', async () => {
    const child = startChild(
      `import { Worker } from 'node:worker_threads';
       const source = \`
         const { parentPort, workerData } = require('node:worker_threads');
         import(workerData).then(({ native }) => {
           const epoll = native().createEpoll();
           parentPort.postMessage(1);
           epoll.wait(new Uint32Array(2), -1);
         });\`;
       const worker = new Worker(source, { eval: true, execArgv: [], workerData: args });
       worker.once('message', () => { say('exiting'); process.exit(3); });`,
      new URL('../../lib/memory/native.js', import.meta.url).href,
    );
    expect(await child.line()).to.equal('exiting');
    const [code] =
      child.process.exitCode === null
        ? await new Promise<[number | null]>((resolve) =>
            child.process.once('exit', (exit) => resolve([exit])),
          )
        : [child.process.exitCode];
    expect(code).to.equal(3);
  });

  it('refuses what cannot be watched', () => {
    expectFailure(() => epoll.add(999999, 1, READABLE), { code: 'EBADF', errno: 9, syscall: 'epoll_ctl' });
    epoll.add(near.fd, 1, READABLE);
    expectFailure(() => epoll.add(near.fd, 1, READABLE), { code: 'EEXIST', syscall: 'epoll_ctl' });
    expectFailure(() => epoll.modify(far.fd, 1, READABLE), { code: 'ENOENT', syscall: 'epoll_ctl' });
    expectFailure(() => epoll.remove(far.fd), { code: 'ENOENT', syscall: 'epoll_ctl' });
    for (const interest of [0, 8, 16, 17, -1, 1.5]) {
      expect(() => epoll.add(far.fd, 1, interest)).to.throw(RangeError);
    }
    for (const token of [-1, 2 ** 32]) expect(() => epoll.add(far.fd, token, READABLE)).to.throw(RangeError);
    expect(() => epoll.wait(new Uint32Array(1), 0)).to.throw(RangeError);
    for (const timeoutMs of [-2, Number.NaN, -0.5]) {
      expect(() => epoll.wait(events, timeoutMs)).to.throw(RangeError);
    }
  });

  it('answers EBADF once closed', () => {
    epoll.close();
    epoll.close();
    expect(epoll.fd).to.equal(-1);
    for (const act of [
      () => epoll.add(near.fd, 1, READABLE),
      () => epoll.modify(near.fd, 1, READABLE),
      () => epoll.remove(near.fd),
      () => epoll.wait(events, 0),
    ]) {
      expectFailure(act, { code: 'EBADF', errno: 9 });
    }
  });
});
