import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { native } from '../../lib/memory/native.js';
import {
  cleanUp,
  isMapped,
  message,
  newFolder,
  openDescriptors,
  startChild,
  startWorker,
  until,
} from './support.js';

const COLLECT = `
  import { existsSync, readFileSync, readdirSync } from 'node:fs';
  const collect = async () => { for (let at = 0; at < 5; at++) { globalThis.gc(); await new Promise(setImmediate); } };
  const isMapped = () => readFileSync('/proc/self/maps', 'utf8').includes(args.path);
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const open = () => n.mapFile(args.path, { create: false, sizeBytes: 64 });`;

describe('lifetime of native objects', () => {
  let path: string;

  before(() => {
    path = join(newFolder(), 'file');
    native()
      .mapFile(path, { create: true, sizeBytes: 1 << 16 })
      .close();
  });
  after(cleanUp);

  /** Lines that a process with the garbage collector at hand prints. */
  async function collected(code: string, lines: number): Promise<string[]> {
    const child = startChild(`${COLLECT}\n${code}`, { path }, ['--expose-gc']);
    const printed: string[] = [];
    while (printed.length < lines) printed.push(await child.line());
    return printed;
  }

  it('ends with the garbage collector: mapping, descriptor and locks', async () => {
    const code = `
      const other = open();
      const before = descriptors();
      (() => { say(open().lock(0, 1)); })();
      say(other.isLocked(0, 1));
      other.close();
      await collect();
      const again = open();
      say(again.isLocked(0, 1));
      again.close();
      say(isMapped());
      say(descriptors() <= before);`;
    expect(await collected(code, 5)).to.deep.equal(['true', 'true', 'false', 'false', 'true']);
  });

  it('lasts for the memory while only the buffer is alive', async () => {
    const code = `
      let buffer = (() => open().buffer)();
      await collect();
      new Uint8Array(buffer).fill(3);
      say(isMapped());
      buffer = null;
      await collect();
      say(isMapped());`;
    expect(await collected(code, 2)).to.deep.equal(['true', 'false']);
  });

  it('lasts for the memory while only a view of a part is alive', async () => {
    const code = `
      let view = (() => new Int32Array(open().buffer, 4096, 4))();
      await collect();
      Atomics.add(view, 0, 1);
      say(isMapped());
      view = null;
      await collect();
      say(isMapped());`;
    expect(await collected(code, 2)).to.deep.equal(['true', 'false']);
  });

  it('ends with the garbage collector for sockets, epolls and doorbells', async () => {
    const code = `
      say('begun'); // opens the standard output
      const before = descriptors();
      const bell = (at) => args.path + '-bell-' + at;
      (() => {
        for (let at = 0; at < 10; at++) { n.listenTcp('127.0.0.1', 0, 1); n.createEpoll(); n.createDoorbell(bell(at)); }
      })();
      say(descriptors() - before);
      while (descriptors() > before) await collect();
      say(Array.from({ length: 10 }, (_, at) => existsSync(bell(at))).includes(true));`;
    expect(await collected(code, 3)).to.deep.equal(['begun', '30', 'false']);
  });

  it('lasts for a socket and its memory while only a function that moves bytes is alive', async () => {
    const code = `
      say('begun');
      const listener = n.listenTcp('127.0.0.1', 0, 1);
      const before = descriptors();
      let send = (() => {
        const socket = n.connectTcp('127.0.0.1', Number(listener.localAddress().split(':')[1]));
        while (!socket.connected());
        return socket.sender(new Uint8Array(100_000).fill(7));
      })();
      let far = null;
      while (far === null) far = listener.accept();
      await collect();
      say(descriptors() - before);
      say(send(99_000, 1000));
      const into = new Uint8Array(1000);
      while (far.receive(into, 0, 1000) !== 1000);
      say(into.every((byte) => byte === 7));
      send = null;
      far.close();
      while (descriptors() > before) await collect();
      say('gone');`;
    expect(await collected(code, 5)).to.deep.equal(['begun', '2', '1000', 'true', 'gone']);
  });

  it('lasts for an epoll while the event loop watches it', async () => {
    const code = `
      say('begun');
      const bell = n.createDoorbell(args.path + '-bell');
      const before = descriptors();
      let called = false;
      const ready = function () { called = true; this.close(); }; // knows no epoll
      (() => {
        const epoll = n.createEpoll();
        epoll.add(bell.fd, 1, 1);
        epoll.watch(ready);
      })();
      await collect();
      say(descriptors() - before);
      bell.ring(1);
      while (!called) await collect();
      say(descriptors() - before);
      say((() => { const epoll = n.createEpoll(); epoll.watch(ready); epoll.unwatch(); return descriptors() - before; })());
      while (descriptors() > before) await collect();
      say('collected');`;
    expect(await collected(code, 5)).to.deep.equal(['begun', '1', '0', '1', 'collected']);
  });

  it('does not unmap twice what was closed and then collected', async () => {
    const code = `
      (() => { for (let at = 0; at < 100; at++) open().close(); })();
      const kept = Array.from({ length: 100 }, open); // on the addresses of those
      await collect();
      say(kept.every((file) => new Uint8Array(file.buffer).length === 65536 && new Uint8Array(file.buffer)[4096] >= 0));`;
    expect(await collected(code, 1)).to.deep.equal(['true']);
  });

  it('is not shortened by a message to another thread: the bytes are copied', async () => {
    const file = native().mapFile(path, { create: false, sizeBytes: 1 });
    const worker = startWorker(
      `parentPort.once('message', (buffer) => { new Uint8Array(buffer)[9] = 77; parentPort.postMessage(buffer.byteLength); });`,
    );
    worker.postMessage(file.buffer);
    expect(await message(worker)).to.equal(1 << 16);
    expect(new Uint8Array(file.buffer)[9]).to.not.equal(77);
    file.close();
  });

  it('ends with the worker, whatever it was doing', async () => {
    const actions = [
      'for (;;) Atomics.load(words, 0);',
      'for (;;) n.mapFile(workerData, { create: false, sizeBytes: 1 }).close();',
      'for (let at = 0; at < 50; at++) n.mapFile(workerData, { create: false, sizeBytes: 1 }); for (;;);',
      'for (;;) n.createEpoll().close();',
      'for (;;) listener.receive === undefined || n.connectTcp("127.0.0.1", port).close(), listener.accept()?.close();',
      'for (;;) n.exchangeAtExit(words, 1, 5, 6)();',
      'for (;;) n.exchangeAtExit(words, 1, 5, 6);',
      'for (;;) try { n.connectTcp("no", 1); } catch {}',
      'for (;;) file.lock(0, 1), file.unlock(0, 1);',
      'for (;;) n.createDoorbell(bell).close();',
      'for (const own = n.createDoorbell(bell); ; ) own.ring(1), own.answer(new Uint32Array(4));',
      'epoll.watch(() => {}); n.connectTcp("127.0.0.1", port);',
      'epoll.watch(() => {}); epoll.unwatch(); for (;;);',
      'for (let at = 0; at < 50; at++) { const other = n.createEpoll(); other.watch(() => {}); if (at % 2) other.close(); }',
      'setInterval(() => {}, 1000);',
      'process.exit(0);',
      '',
    ];
    const source = (action: string) => `
      const file = n.mapFile(workerData, { create: false, sizeBytes: 1 });
      const words = new Int32Array(file.buffer);
      const listener = n.listenTcp('127.0.0.1', 0, 64);
      const port = Number(listener.localAddress().split(':')[1]);
      const bell = workerData + '-bell';
      globalThis.epoll = n.createEpoll();
      epoll.add(listener.fd, 1, 1);
      parentPort.postMessage('ready');
      ${action}`;
    const round = async () => {
      for (const action of actions) {
        const worker: Worker = startWorker(source(action), { workerData: path });
        const exit = once(worker, 'exit');
        await message(worker);
        await Promise.all([worker.terminate(), exit]);
      }
    };
    await round();
    await until(() => !isMapped(path));
    const before = openDescriptors();
    for (let at = 0; at < 3; at++) await round();
    await until(() => !isMapped(path) && openDescriptors() <= before);
    expect(existsSync(`${path}-bell`)).to.equal(false);
  });

  it('survives that a worker ends while it loads the module', async () => {
    const module = new URL('../../lib/memory/native.js', import.meta.url).href;
    for (let at = 0; at < 20; at++) {
      const worker = new Worker(
        `import(${JSON.stringify(module)}).then(({ native }) => native().createEpoll());`,
        {
          eval: true,
        },
      );
      await once(worker, 'online');
      if (at % 2 === 0) await new Promise((resolve) => setTimeout(resolve, at));
      await worker.terminate();
    }
  });
});
