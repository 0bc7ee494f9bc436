import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { type NativeSocket, native } from '../../lib/memory/native.js';
import {
  accepted,
  cleanUp,
  connectedPair,
  expectFailure,
  failureOf,
  message,
  newFolder,
  openDescriptors,
  receiveAll,
  startChild,
  startWorker,
  until,
} from './support.js';

const n = native();
const bytes = (...values: number[]) => Uint8Array.from(values);

/** Asks until it throws. */
async function failure(act: () => unknown): Promise<Error> {
  let error: unknown = null;
  await until(() => {
    try {
      act();
      return false;
    } catch (thrown) {
      error = thrown;
      return true;
    }
  });
  return error as Error;
}

function portOf(socket: NativeSocket): number {
  return Number(/:(\d+)$/.exec(socket.localAddress())?.[1]);
}

/** A port of loopback where nobody listens. */
function freePort(): number {
  const listener = n.listenTcp('127.0.0.1', 0, 1);
  const port = portOf(listener);
  listener.close();
  return port;
}

describe('NativeSocket', () => {
  const opened: NativeSocket[] = [];
  const own = (socket: NativeSocket) => {
    opened.push(socket);
    return socket;
  };

  async function pair(): Promise<[NativeSocket, NativeSocket]> {
    const [near, far] = await connectedPair();
    return [own(near), own(far)];
  }

  /** Fills the buffers of both kernels' ends; returns how much they took. */
  function fill(socket: NativeSocket): number {
    const chunk = new Uint8Array(1 << 20).map((_, at) => at);
    let total = 0;
    for (;;) {
      const sent = socket.send(chunk, total % 256, chunk.length - 256);
      if (sent === 0) return total;
      total += sent;
    }
  }

  afterEach(() => {
    for (const socket of opened.splice(0)) socket.close();
  });
  after(cleanUp);

  describe('over TCP', () => {
    it('connects, and names both ends', async () => {
      const listener = own(n.listenTcp('127.0.0.1', 0, 8));
      expect(listener.accept()).to.equal(null);
      expect(listener.localAddress()).to.match(/^127\.0\.0\.1:\d+$/);
      const near = own(n.connectTcp('127.0.0.1', portOf(listener)));
      const far = own(await accepted(listener));
      await until(() => near.connected());
      expect(far.connected()).to.equal(true);
      expect(near.remoteAddress()).to.equal(listener.localAddress());
      expect(near.localAddress()).to.equal(far.remoteAddress());
      expect(listener.connected()).to.equal(false);
      expect(new Set([listener.fd, near.fd, far.fd]).size).to.equal(3);
    });

    it('connects over IPv6', async function () {
      let listener: NativeSocket;
      try {
        listener = own(n.listenTcp('::1', 0, 8));
      } catch {
        this.skip();
      }
      expect(listener.localAddress()).to.match(/^\[::1\]:\d+$/);
      const near = own(n.connectTcp('::1', portOf(listener)));
      const far = own(await accepted(listener));
      expect(far.remoteAddress()).to.equal(near.localAddress());
    });

    it('talks with the sockets of node', async () => {
      const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      const address = server.address() as { port: number };
      const near = own(n.connectTcp('127.0.0.1', address.port));
      await until(() => near.connected());
      near.send(bytes(1, 2, 3), 0, 3);
      expect([...(await receiveAll(near, 3))]).to.deep.equal([1, 2, 3]);
      near.close();
      server.close();

      const listener = own(n.listenTcp('127.0.0.1', 0, 8));
      const client = connect(portOf(listener), '127.0.0.1');
      const far = own(await accepted(listener));
      client.end('bye');
      expect(Buffer.from(await receiveAll(far, 3)).toString()).to.equal('bye');
      await until(() => far.receive(new Uint8Array(1), 0, 1) === -1);
    });

    it('answers 0 while nothing waits', async () => {
      const [near] = await pair();
      expect(near.receive(new Uint8Array(8), 0, 8)).to.equal(0);
    });

    it('sends and receives within the given bounds', async () => {
      const [near, far] = await pair();
      expect(near.send(bytes(9, 1, 2, 3, 9), 1, 3)).to.equal(3);
      const into = new Uint8Array(6);
      await until(() => far.receive(into, 2, 3) === 3);
      expect([...into]).to.deep.equal([0, 0, 1, 2, 3, 0]);
    });

    it('moves bytes by functions for one array each, within its bounds', async () => {
      const [near, far] = await pair();
      const into = Buffer.alloc(8).subarray(1, 7);
      const send = near.sender(bytes(9, 1, 2, 3, 9).subarray(1, 4));
      const receive = far.receiver(into);
      expect([receive(0, 6), send(0, 0), send(1, 2), send(0, 3)]).to.deep.equal([0, 0, 2, 3]);
      await until(() => receive(1, 2) === 2);
      await until(() => receive(3, 3) === 3);
      expect([...into]).to.deep.equal([0, 2, 3, 1, 2, 3]);
      expect([...Buffer.from(into.buffer, into.byteOffset - 1, 8)]).to.deep.equal([0, 0, 2, 3, 1, 2, 3, 0]);
      near.close();
      await until(() => receive(0, 1) === -1);
      expectFailure(() => send(0, 1), { code: 'EBADF', errno: 9 });
    });

    it('sends up to three ranges in their order', async () => {
      const [near, far] = await pair();
      const [a, b, c] = [bytes(1, 2), bytes(3, 4, 5), bytes(6, 7, 8)];
      expect(near.send(a, 0, 2, b, 1, 1)).to.equal(3);
      expect(near.send(a, 0, 2, b, 0, 3, c, 1, 2)).to.equal(7);
      expect(near.send(a, 0, 0, b, 0, 0, c, 0, 1)).to.equal(1);
      expect(near.send(a, 0, 1, undefined, undefined, undefined, c, 0, 1)).to.equal(2);
      expect(near.send(a, 0, 0)).to.equal(0);
      expect([...(await receiveAll(far, 13))]).to.deep.equal([1, 2, 4, 1, 2, 3, 4, 5, 7, 8, 6, 1, 6]);
    });

    it('sends from a view at an offset, from a Buffer, and from shared memory', async () => {
      const [near, far] = await pair();
      const shared = new Uint8Array(new SharedArrayBuffer(4));
      shared.set([1, 2, 3, 4]);
      near.send(new Uint8Array(shared.buffer, 1, 2), 1, 1);
      near.send(Buffer.from('ab').subarray(1), 0, 1);
      near.send(shared, 3, 1);
      expect([...(await receiveAll(far, 3))]).to.deep.equal([3, 98, 4]);
    });

    it('takes a part when the kernel has no room for all, and then nothing', async () => {
      const [near, far] = await pair();
      const large = new Uint8Array(64 << 20);
      const first = near.send(large, 0, large.length);
      expect(first).to.be.greaterThan(0).and.be.lessThan(large.length);
      const rest = fill(near);
      expect(near.send(large, 0, 1)).to.equal(0);
      await receiveAll(far, first + rest);
      await until(() => near.send(large, 0, 1) === 1);
      await receiveAll(far, 1);
    });

    it('takes a part of three ranges and loses no byte', async () => {
      const [near, far] = await pair();
      const source = new Uint8Array(24 << 20).map((_, at) => (at * 7) >> 3);
      const third = source.length / 3;
      const sent = near.send(source, 0, third, source, third, third, source, 2 * third, third);
      expect(sent).to.be.greaterThan(0).and.be.lessThan(source.length);
      const received = await receiveAll(far, sent);
      expect(Buffer.compare(received, source.subarray(0, sent))).to.equal(0);
    });

    it('answers -1 at the end of the stream, after what was sent before it', async () => {
      const [near, far] = await pair();
      near.send(bytes(1, 2), 0, 2);
      near.close();
      expect([...(await receiveAll(far, 2))]).to.deep.equal([1, 2]);
      const into = new Uint8Array(4);
      await until(() => far.receive(into, 0, 4) !== 0);
      expect(far.receive(into, 0, 4)).to.equal(-1);
      expect(far.receive(into, 0, 0)).to.equal(0);
    });

    it('throws ECONNRESET when the other side closed with unread bytes, and still knows its address', async () => {
      const [near, far] = await pair();
      const address = far.localAddress();
      near.send(bytes(1), 0, 1);
      const epoll = n.createEpoll();
      epoll.add(far.fd, 0, 1);
      epoll.wait(new Uint32Array(2), -1); // the byte has come, and lies unread
      epoll.close();
      far.close();
      const error = await failure(() => near.receive(new Uint8Array(1), 0, 1));
      expect(error).to.include({ code: 'ECONNRESET', errno: 104, syscall: 'recv', address });
      expect(error.message).to.equal(`ECONNRESET: connection reset by peer, recv ${address}`);
      expect(near.remoteAddress()).to.equal(address);
    });

    it('throws EPIPE or ECONNRESET, and no signal comes, when sending to what is gone', async () => {
      const [near, far] = await pair();
      far.close();
      const error = await failure(() => near.send(bytes(1), 0, 1));
      expect(error).to.include({ syscall: 'send' });
      expect((error as NodeJS.ErrnoException).code).to.be.oneOf(['EPIPE', 'ECONNRESET']);
    });

    it('throws ECONNREFUSED with the address, each time it is asked', async () => {
      const port = freePort();
      const address = `127.0.0.1:${port}`;
      const near = own(n.connectTcp('127.0.0.1', port));
      const error = await failure(() => near.connected());
      expect(error).to.include({ code: 'ECONNREFUSED', errno: 111, syscall: 'connect', address });
      expectFailure(() => near.connected(), { code: 'ECONNREFUSED', address });
    });

    it('still knows why a connect failed after receive has said so', async () => {
      const near = own(n.connectTcp('127.0.0.1', freePort()));
      const error = await failure(() => near.receive(new Uint8Array(1), 0, 1));
      expect(error).to.include({ code: 'ECONNREFUSED', syscall: 'recv' });
      expectFailure(() => near.connected(), { code: 'ECONNREFUSED', syscall: 'connect' });
    });

    it('throws EADDRINUSE with the address', () => {
      const listener = own(n.listenTcp('127.0.0.1', 0, 8));
      const address = listener.localAddress();
      const error = expectFailure(() => n.listenTcp('127.0.0.1', portOf(listener), 8), {
        code: 'EADDRINUSE',
        errno: 98,
        address,
      });
      expect(error.syscall).to.be.oneOf(['bind', 'listen']);
    });

    it('throws EADDRNOTAVAIL for an address of another host', () => {
      expectFailure(() => n.listenTcp('192.0.2.1', 0, 8), {
        code: 'EADDRNOTAVAIL',
        syscall: 'bind',
        address: '192.0.2.1:0',
      });
    });

    it('refuses hosts that are not numeric', () => {
      for (const host of ['localhost', '', '127.1', '1.2.3.4.5', '::zz', '127.0.0.1\0', '[::1]']) {
        expectFailure(() => n.connectTcp(host, 1), { code: 'EINVAL', syscall: 'inet_pton' });
        expectFailure(() => n.listenTcp(host, 1, 1), { code: 'EINVAL', syscall: 'inet_pton' });
      }
    });

    it('binds again at once to the port of connections that were closed', async () => {
      const listener = own(n.listenTcp('127.0.0.1', 0, 8));
      const port = portOf(listener);
      const near = own(n.connectTcp('127.0.0.1', port));
      const far = own(await accepted(listener));
      far.close(); // this side closes first, and keeps the address in TIME_WAIT
      near.close();
      listener.close();
      own(n.listenTcp('127.0.0.1', port, 8));
    });

    it('takes the options of TCP', async () => {
      const [near] = await pair();
      near.setNoDelay(true);
      near.setNoDelay(false);
      near.setKeepAlive(true, 10, 5, 3);
      near.setKeepAlive(false, 0, 0, 0);
      near.setUserTimeout(5000);
      near.setUserTimeout(0);
      expect(() => near.setKeepAlive(true, 0, 5, 3)).to.throw(RangeError);
      expect(() => near.setUserTimeout(-1)).to.throw(RangeError);
      expectFailure(() => near.setKeepAlive(true, 1e9, 5, 3), { code: 'EINVAL', syscall: 'setsockopt' });
    });

    it('is not inherited by a child process', async () => {
      const listener = own(n.listenTcp('127.0.0.1', 0, 8));
      const child = startChild(
        `import { readdirSync, readlinkSync } from 'node:fs';
         const links = readdirSync('/proc/self/fd').map((fd) => { try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } });
         say(links.includes(args));`,
        (await import('node:fs')).readlinkSync(`/proc/self/fd/${listener.fd}`),
      );
      expect(await child.line()).to.equal('false');
    });
  });

  describe('over a Unix socket', () => {
    let path: string;
    beforeEach(() => {
      path = join(newFolder(), 'socket');
    });

    it('tells at both ends which process is at the other one', async () => {
      const listener = own(n.listenUnix(path, 8));
      const near = own(n.connectUnix(path));
      const far = own(await accepted(listener));
      const mine = { pid: process.pid, uid: process.geteuid?.(), gid: process.getegid?.() };
      expect(near.peerCredentials()).to.deep.equal(mine);
      expect(far.peerCredentials()).to.deep.equal(mine);
      near.close();
      expect(far.peerCredentials()).to.deep.equal(mine);
      expectFailure(() => near.peerCredentials(), { code: 'EBADF' });
    });

    it('tells them of a process of another user, as the kernel has them', async function () {
      if (process.geteuid?.() !== 0) this.skip();
      const listener = own(n.listenUnix(path, 8));
      for (const opened of [dirname(path), path]) chmodSync(opened, 0o777);
      const connects = `require('net').connect(process.argv[1]).on('error', (e) => { throw e; });`;
      const child = spawn(process.execPath, ['-e', connects, path], {
        uid: 65534,
        gid: 65533,
        stdio: 'inherit',
      });
      try {
        const far = own(await accepted(listener));
        expect(far.peerCredentials()).to.deep.equal({ pid: child.pid, uid: 65534, gid: 65533 });
      } finally {
        child.kill('SIGKILL');
      }
    });

    it('tells nothing of the other end of a socket of TCP', async () => {
      for (const end of await pair()) expect(end.peerCredentials()).to.equal(null);
    });

    it('connects at once, and names the path', async () => {
      const listener = own(n.listenUnix(path, 8));
      const near = own(n.connectUnix(path));
      expect(near.connected()).to.equal(true);
      const far = own(await accepted(listener));
      expect(listener.localAddress()).to.equal(path);
      expect(near.remoteAddress()).to.equal(path);
      expect(near.localAddress()).to.equal('');
      expect(far.remoteAddress()).to.equal('');
      near.send(bytes(1, 2, 3), 0, 2);
      expect([...(await receiveAll(far, 2))]).to.deep.equal([1, 2]);
      near.close();
      expect(far.receive(new Uint8Array(1), 0, 1)).to.equal(-1);
    });

    it('has mode 0600 under any umask', () => {
      for (const umask of [0, 0o022, 0o777]) {
        const before = process.umask(umask);
        let listener: NativeSocket;
        try {
          listener = n.listenUnix(path, 8);
        } finally {
          process.umask(before);
        }
        expect(statSync(path).mode & 0o7777).to.equal(0o600);
        listener.close();
      }
    });

    it('removes its path when it is closed, once', () => {
      const listener = n.listenUnix(path, 8);
      expect(existsSync(path)).to.equal(true);
      listener.close();
      expect(existsSync(path)).to.equal(false);
      writeFileSync(path, '');
      listener.close();
      expect(existsSync(path)).to.equal(true);
    });

    it('leaves the path when somebody else has bound it since', () => {
      const first = n.listenUnix(path, 8);
      renameSync(path, `${path}.old`);
      const second = own(n.listenUnix(path, 8));
      first.close();
      expect(existsSync(path)).to.equal(true);
      own(n.connectUnix(path));
      second.close();
      expect(existsSync(path)).to.equal(false);
    });

    it('refuses a path where something stands, and leaves it alone', () => {
      own(n.listenUnix(path, 8));
      expectFailure(() => n.listenUnix(path, 8), {
        code: 'EADDRINUSE',
        errno: 98,
        syscall: 'bind',
        path,
        address: path,
      });
      expect(existsSync(path)).to.equal(true);
      const link = `${path}.link`;
      symlinkSync('nowhere', link);
      expectFailure(() => n.listenUnix(link, 8), { code: 'EADDRINUSE', syscall: 'bind', path: link });
    });

    it('refuses a path that the kernel has no room for', () => {
      const folder = join(path, '..', 'd'.repeat(30));
      mkdirSync(folder);
      const long = join(folder, 'x'.repeat(90));
      const error = expectFailure(() => n.listenUnix(long, 8), {
        code: 'ENAMETOOLONG',
        errno: 36,
        path: long,
      });
      expect(error.message).to.include('at most 107 bytes');
      expectFailure(() => n.connectUnix(long), { code: 'ENAMETOOLONG', syscall: 'connect', path: long });
      const longest = join(folder, 'y'.repeat(107 - folder.length - 1));
      const listener = own(n.listenUnix(longest, 8));
      expect(listener.localAddress()).to.equal(longest);
      expect(own(n.connectUnix(longest)).remoteAddress()).to.equal(longest);
    });

    it('throws ENOENT and ECONNREFUSED with the path', () => {
      expectFailure(() => n.connectUnix(path), {
        code: 'ENOENT',
        errno: 2,
        syscall: 'connect',
        path,
        address: path,
      });
      writeFileSync(path, '');
      expectFailure(() => n.connectUnix(path), { code: 'ECONNREFUSED', syscall: 'connect', path });
    });

    it('throws EAGAIN when the backlog is full', () => {
      own(n.listenUnix(path, 0));
      own(n.connectUnix(path));
      const error = expectFailure(() => n.connectUnix(path), { code: 'EAGAIN', syscall: 'connect', path });
      expect(error.message).to.include('backlog');
    });

    it('throws ECONNRESET when the other side closed with unread bytes', async () => {
      const listener = own(n.listenUnix(path, 8));
      const near = own(n.connectUnix(path));
      const far = await accepted(listener);
      near.send(bytes(1), 0, 1);
      far.close();
      expectFailure(() => near.receive(new Uint8Array(1), 0, 1), {
        code: 'ECONNRESET',
        syscall: 'recv',
        path,
      });
      expectFailure(() => near.send(bytes(1), 0, 1), { code: 'EPIPE', errno: 32, syscall: 'send', path });
    });

    it('removes its path when its worker is terminated', async () => {
      const worker = startWorker(
        `globalThis.listener = n.listenUnix(workerData, 8); parentPort.postMessage(1); for (;;);`,
        { workerData: path },
      );
      await message(worker);
      expect(existsSync(path)).to.equal(true);
      await worker.terminate();
      await until(() => !existsSync(path));
    });
  });

  describe('released', () => {
    it('gives the descriptor to another owner, in the same thread', async () => {
      const [near, far] = await pair();
      const fd = near.release();
      expect(near.fd).to.equal(-1);
      near.close();
      expectFailure(() => near.release(), { code: 'EBADF' });
      const again = own(n.adopt(fd));
      expect(again.fd).to.equal(fd);
      expect(again.connected()).to.equal(true);
      again.send(bytes(5), 0, 1);
      expect([...(await receiveAll(far, 1))]).to.deep.equal([5]);
    });

    it('still knows the address of the other side after that has reset the connection', async () => {
      const [near, far] = await pair();
      const address = far.localAddress();
      near.send(bytes(1), 0, 1);
      const again = own(n.adopt(near.release()));
      const epoll = n.createEpoll();
      epoll.add(far.fd, 0, 1);
      epoll.wait(new Uint32Array(2), -1); // the byte has come, and lies unread
      epoll.close();
      far.close();
      const error = await failure(() => again.receive(new Uint8Array(1), 0, 1));
      expect(error).to.include({ code: 'ECONNRESET', address });
      expect(again.remoteAddress()).to.equal(address);
    });

    it('gives the descriptor to another thread', async () => {
      const [near, far] = await pair();
      const worker = startWorker(
        `const socket = n.adopt(workerData);
         const byte = new Uint8Array(1);
         while (socket.receive(byte, 0, 1) === 0);
         byte[0]++;
         socket.send(byte, 0, 1);
         socket.close();
         parentPort.postMessage('done');`,
        { workerData: near.release() },
      );
      far.send(bytes(41), 0, 1);
      expect(await message(worker)).to.equal('done');
      expect([...(await receiveAll(far, 1))]).to.deep.equal([42]);
      expect(far.receive(new Uint8Array(1), 0, 1)).to.equal(-1);
    });

    it('hands over a listening Unix socket with the duty to remove its path', async () => {
      const path = join(newFolder(), 'socket');
      const listener = n.listenUnix(path, 8);
      const fd = listener.release();
      listener.close();
      expect(existsSync(path)).to.equal(true);
      const worker = startWorker(
        `const socket = n.adopt(workerData);
         while (socket.accept() === null);
         parentPort.postMessage(socket.localAddress());
         parentPort.once('message', () => { socket.close(); parentPort.postMessage('closed'); });`,
        { workerData: fd },
      );
      own(n.connectUnix(path));
      expect(await message(worker)).to.equal(path);
      expect(existsSync(path)).to.equal(true);
      worker.postMessage('close');
      expect(await message(worker)).to.equal('closed');
      expect(existsSync(path)).to.equal(false);
    });

    it('is refused by adopt, and left open, when it is no stream socket', async () => {
      const { closeSync, fstatSync, openSync } = await import('node:fs');
      const fd = openSync('/dev/null', 'r');
      expectFailure(() => n.adopt(fd), { code: 'ENOTSOCK', errno: 88 });
      fstatSync(fd);
      closeSync(fd);
      expectFailure(() => n.adopt(999999), { code: 'EBADF' });
    });
  });

  describe('closed', () => {
    it('throws EBADF and touches no descriptor', async () => {
      const [near] = await pair();
      const { fd } = near;
      near.close();
      near.close();
      expect(near.fd).to.equal(-1);
      const [other, peer] = await pair(); // has got the number now
      expect([other.fd, peer.fd]).to.include(fd);
      const byte = new Uint8Array(1);
      const calls: (() => unknown)[] = [
        () => near.accept(),
        () => near.connected(),
        () => near.send(byte, 0, 1),
        () => near.send(byte, 0, 0),
        () => near.receive(byte, 0, 1),
        () => near.receive(byte, 0, 0),
        () => near.setNoDelay(true),
        () => near.setKeepAlive(true, 1, 1, 1),
        () => near.setUserTimeout(1),
        () => near.localAddress(),
        () => near.remoteAddress(),
        () => near.release(),
      ];
      for (const call of calls) expectFailure(call, { code: 'EBADF', errno: 9 });
      near.close();
      other.send(bytes(7), 0, 1);
      expect([...(await receiveAll(peer, 1))]).to.deep.equal([7]);
    });

    it('leaves no descriptor behind, nor do calls that failed', async () => {
      const path = join(newFolder(), 'socket');
      const round = async () => {
        for (const socket of await pair()) socket.close();
        n.listenUnix(path, 1).close();
        failureOf(() => n.connectUnix(path));
        failureOf(() => n.listenTcp('192.0.2.1', 0, 1));
        failureOf(() => n.mapFile(path, { create: false, sizeBytes: 1 }));
        n.createEpoll().close();
      };
      await round();
      const before = openDescriptors();
      for (let at = 0; at < 20; at++) await round();
      expect(openDescriptors()).to.be.at.most(before);
    });
  });

  it('reports that there are no descriptors left, and accepts when there are again', async () => {
    const child = startChild(
      `import { openSync, closeSync } from 'node:fs';
       const listener = n.listenTcp('127.0.0.1', 0, 8);
       const near = n.connectTcp('127.0.0.1', Number(listener.localAddress().split(':')[1]));
       while (!near.connected());
       const taken = [];
       let code;
       try { for (;;) taken.push(openSync('/dev/null')); } catch (error) { code = error.code; }
       try { listener.accept(); } catch (error) { say([code, error.code, error.syscall]); }
       for (const fd of taken) closeSync(fd);
       say(listener.accept().remoteAddress() === near.localAddress());`,
    );
    expect(await child.line()).to.equal('EMFILE,EMFILE,accept');
    expect(await child.line()).to.equal('true');
  });
});
