import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import type { Connection, Message } from '../../lib/index.js';
import { type NativeSocket, native } from '../../lib/memory/native.js';
import { openDescriptors, receiveAll } from '../native/support.js';
import { Scene } from '../peers/support.js';
import { kernelQueues } from '../support/kernel.js';
import { fault, fill, Traffic } from '../support/traffic.js';

const TCP_WAYS = ['tcp native', 'tcp net'] as const;
const TRAFFIC = new URL('../support/traffic.js', import.meta.url).href;

describe("TCPSHM's faults: sockets", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const way of TCP_WAYS) {
    it(`a partial send closes the connection: here the rest follows, over ${way}`, async () => {
      // Messages of 32 MiB: sockets grow while much is read, to 32 MiB (tcp_rmem), half of which are bytes of a stream.
      const capacities = { sendCapacityBytes: 2 ** 27, receiveCapacityBytes: 4096 };
      const places = { directory: undefined as unknown as string, onMessage: () => {} };
      const pair = await scene.pair(way, { ...capacities, ...places }, places);
      const { server, address, local, remote, serverEnded, clientEnded } = pair;
      const { port } = address as { port: number };
      const size = remote.maxMessageBytes;
      for (let n = 0; n < 3; n++) {
        fill(remote.alloc(size) as Message, n);
        remote.push();
        for (let i = 0; i < 100; i++) {
          server.poll();
          await nextTurn();
        }
        // Nobody has read it, and the sockets are full: what they have is a part.
        const held = kernelQueues(port).reduce((sum, { send, receive }) => sum + send + receive, 0);
        expect(held)
          .to.be.above(0)
          .and.to.be.below(size - 2 ** 20);
        expect(local.front()).to.equal(null);
        await scene.until(() => local.front() !== null, 'the message');
        expect(fault(local.front() as Message, n, size)).to.equal(null);
        local.pop();
      }
      expect([serverEnded, clientEnded]).to.deep.equal([[], []]);
    });

    it(`EINTR closes the connection: here signals by the hundred change nothing, over ${way}`, async () => {
      const count = 30_000;
      let near: Connection | null = null;
      const server = scene.server({
        ...scene.wire(way),
        sendCapacityBytes: 65536,
        receiveCapacityBytes: 65536,
        onConnection: (connection) => {
          near = connection;
        },
        onMessage: () => {},
      });
      const { port } = (await scene.address(server, way)) as { port: number };
      const { child, words } = scene.child(
        `const { Traffic } = await import(${JSON.stringify(TRAFFIC)});
         let signals = 0;
         process.on('SIGUSR2', () => signals++);
         const client = new tcpshm.Client({ name: 'signalled', wire: ${JSON.stringify(scene.wire(way).wire)} });
         const connection = await client.connect({ port: ${port}, transport: 'tcp' });
         const traffic = new Traffic(connection, 1, ${count}, ${count});
         say('in');
         let stop = false;
         process.stdin.once('data', () => { stop = true; });
         while (!stop || !traffic.done || signals === 0) {
           for (let i = 0; i < 50; i++) { traffic.step(); client.poll(); }
           await new Promise(setImmediate);
         }
         say(signals + ' ' + connection.state + ' ' + traffic.done);
         process.exit();`,
      );
      await scene.until(() => near !== null && words.length > 0, 'the process');
      const connection = near as unknown as Connection;
      const traffic = new Traffic(connection, 0, count, count);
      await scene.until(() => {
        for (let i = 0; i < 5; i++) traffic.step();
        if (!traffic.done) child.kill('SIGUSR2');
        return traffic.done;
      }, 'all messages');
      expect(connection.state).to.equal('connected');
      child.stdin?.write('stop');
      await scene.until(() => words.length > 1, 'the word of the process');
      const [signals, ...state] = (words[1] as string).split(' ');
      expect(state).to.deep.equal(['connected', 'true']);
      expect(Number(signals)).to.be.above(100);
    });
  }

  for (const wire of ['native', 'net'] as const) {
    it(`a failed start leaks and cannot be retried: here it leaves nothing, and the next one works (${wire})`, async () => {
      const blocker = await listening(() => {});
      const { port } = blocker.address() as AddressInfo;
      const path = join(scene.folders.directory, 'socket');
      const server = scene.server({ wire });
      const client = scene.client({ wire });
      let before = 0;
      for (let i = 0; i < 20; i++) {
        await scene.refused(server.listen({ port }), 'ERR_LISTEN', /EADDRINUSE/);
        await scene.refused(server.listen({ path: `${path}/none` }), 'ERR_LISTEN', /EACCES|ENOENT|ENOTDIR/);
        await scene.refused(client.connect({ path }), 'ERR_CONNECT', /ENOENT/);
        for (let turns = 0; turns < 5; turns++) await nextTurn();
        if (i === 1) before = openDescriptors();
      }
      expect(openDescriptors()).to.equal(before);
      blocker.close();
      await once(blocker, 'close');
      expect(await server.listen({ port })).to.include({ port });
      await server.listen({ path });
      expect((await scene.connect(client, { port, transport: 'tcp' })).state).to.equal('connected');
      client.connection?.close();
      await scene.until(() => server.connections[0]?.state === 'disconnected', 'the end');
      expect((await scene.connect(client, { path, transport: 'tcp' })).state).to.equal('connected');
    });
  }

  it('a descriptor is reused while a poller still holds it: here what was closed never touches the new one', async () => {
    let victim: Connection | null = null;
    const reused: number[] = [];
    const plugs: number[] = [openSync('/dev/null', 'r')];
    const replacements: NativeSocket[] = [];
    const heard: string[] = [];
    const others: Socket[] = [];
    const listener = await listening((socket) => others.push(socket));
    const { port } = listener.address() as AddressInfo;
    const server = scene.server({
      wire: 'native',
      directory: undefined as unknown as string,
      onMessage(connection, message) {
        const text = message.text();
        heard.push(text);
        connection.pop();
        if (text !== 'close the other') return;
        // A new descriptor is the lowest that is free: so none below is.
        while (Math.max(...plugs) < Math.max(...sockets())) plugs.push(openSync('/dev/null', 'r'));
        // In the middle of the poll over all: another one, and this one itself, whose numbers are taken at once.
        for (const one of [victim as Connection, connection]) {
          const before = sockets();
          one.close();
          const [freed] = before.filter((fd) => !sockets().includes(fd));
          const socket = native().connectTcp('127.0.0.1', port);
          expect(socket.fd).to.equal(freed);
          reused.push(socket.fd);
          replacements.push(socket);
        }
      },
    });
    try {
      const address = await scene.address(server, 'tcp native');
      const clients = ['first', 'second', 'third'].map((name) => scene.client({ name, wire: 'native' }));
      const connections: Connection[] = [];
      for (const client of clients) connections.push(await scene.connect(client, address));
      const [first, second, third] = connections as [Connection, Connection, Connection];
      victim = server.connections.find(({ remoteName }) => remoteName === 'second') as Connection;
      // The victim has something to receive and something to send, too.
      victim.send('from the victim');
      for (const text of ['to the victim', 'more']) second.send(text);
      first.send('close the other');
      third.send('as before');
      await scene.until(() => reused.length === 2 && heard.includes('as before'), 'the reuse');
      await scene.until(() => others.length === 2, 'the new sockets');
      for (const other of others) other.write('for the new owner');
      for (let i = 0; i < 100; i++) await scene.turn();
      expect(replacements.map(({ fd }) => fd)).to.deep.equal(reused);
      for (const socket of replacements) {
        expect(socket.connected()).to.equal(true);
        const bytes = await receiveAll(socket, 'for the new owner'.length);
        expect(Buffer.from(bytes).toString()).to.equal('for the new owner');
      }
      expect(others.map((other) => other.bytesRead)).to.deep.equal([0, 0]);
      expect(others.every((other) => !other.readableEnded)).to.equal(true);
      expect([third.state, heard.filter((text) => text === 'as before').length]).to.deep.equal([
        'connected',
        1,
      ]);
    } finally {
      for (const fd of plugs) closeSync(fd);
      for (const socket of replacements) socket.close();
      for (const other of others) other.destroy();
      listener.close();
    }
  });
});

/** Descriptors of this process that are sockets. */
function sockets(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
      } catch {
        return false; // That of the listing itself.
      }
    });
}

async function listening(onSocket: (socket: Socket) => void): Promise<NetServer> {
  const listener = createServer(onSocket).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return listener;
}
