import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import type { Connection, ConnectOptions } from '../../lib/index.js';
import { RECLAIMED, RECORDS } from '../../lib/ring/layout.js';
import { helloFrame } from '../support/frames.js';
import { expectError, newName, type Pair, Scene } from './support.js';

describe('connections meet', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  describe('networks that fail', () => {
    /** Stands between client and server, and gives both sockets of each connection away. */
    async function between(port: number): Promise<{ address: ConnectOptions; sockets: Socket[] }> {
      const sockets: Socket[] = [];
      const address = await scene.listener((near) => {
        const far = connect({ port, host: '127.0.0.1' });
        far.on('error', () => {});
        near.pipe(far).pipe(near);
        sockets.push(near, far);
      });
      return { address, sockets };
    }

    for (const way of ['tcp native', 'tcp net'] as const) {
      it(`a reset is 'network failed' with the error, over ${way}`, async () => {
        const { address, local, remote, client, serverEnded, clientEnded, sockets } = await through(way);
        for (const socket of sockets) {
          socket.unpipe();
          socket.resetAndDestroy();
        }
        await scene.until(() => serverEnded.length + clientEnded.length === 2, 'both ends');
        for (const end of [serverEnded[0], clientEnded[0]]) {
          expect(end?.reason).to.equal('network failed');
          expectError(end?.error, 'ERR_SYSTEM', /ECONNRESET/);
        }
        local.send('later');
        await scene.connect(client, address);
        await scene.until(() => remote.popped === 1, 'the message');
      });

      it(`a half-open connection is 'timed out' for who hears nothing, and a login resumes, over ${way}`, async () => {
        for (const deaf of ['both', 'client', 'server'] as const) {
          const { server, client, address, local, remote, serverEnded, clientEnded, sockets } =
            await through(way);
          const before = { local: local.popped, remote: remote.popped };
          // From here on bytes vanish, and nobody is told.
          const [near, far] = sockets as [Socket, Socket];
          for (const socket of [near, far]) socket.unpipe().resume();
          if (deaf === 'client') near.pipe(far);
          if (deaf === 'server') far.pipe(near);
          local.send('1');
          remote.send('2');
          for (let now = performance.now(); serverEnded.length + clientEnded.length < 2; now += 200) {
            server.poll(now);
            client.poll(now);
            await nextTurn();
          }
          if (deaf !== 'server') expect(clientEnded[0]?.reason).to.equal('timed out');
          if (deaf !== 'client') expect(serverEnded[0]?.reason).to.equal('timed out');
          await scene.connect(client, address);
          await scene.until(() => local.front() !== null && remote.popped > before.remote, 'both messages');
          expect(local.front()?.text()).to.equal('2');
          local.pop();
          expect(local.front()).to.equal(null);
          expect(local.popped - before.local).to.equal(1);
          expect(remote.popped - before.remote).to.equal(1);
          await client.close();
          await server.close();
        }
      });

      it(`foreign bytes are 'protocol violated' with the error, over ${way}`, async () => {
        const { address, local, remote, client, serverEnded, clientEnded, sockets } = await through(way);
        for (const socket of sockets) {
          socket.unpipe();
          socket.write('these are no frames of ours, are they?');
        }
        await scene.until(() => serverEnded.length + clientEnded.length === 2, 'both ends');
        for (const end of [serverEnded[0], clientEnded[0]]) {
          expect(end?.reason).to.equal('protocol violated');
          expectError(end?.error, 'ERR_PROTOCOL', /expected a tcpshm peer.*thes/);
        }
        local.send('later');
        await scene.connect(client, address);
        await scene.until(() => remote.popped === 1, 'the message');
      });
    }

    async function through(way: 'tcp native' | 'tcp net'): Promise<Pair & { sockets: Socket[] }> {
      const serverEnded: Pair['serverEnded'] = [];
      const clientEnded: Pair['clientEnded'] = [];
      const server = scene.server({
        ...scene.wire(way),
        onMessage: (connection) => connection.pop(),
        onDisconnect: (connection, reason, error) => serverEnded.push({ connection, reason, error }),
      });
      const { port } = (await scene.address(server, way)) as { port: number };
      const { address, sockets } = await between(port);
      const client = scene.client({
        ...scene.wire(way),
        onDisconnect: (connection, reason, error) => clientEnded.push({ connection, reason, error }),
      });
      const local = await scene.connect(client, address);
      const remote = server.connections[0] as Connection;
      return { server, client, address, local, remote, log: [], serverEnded, clientEnded, sockets };
    }

    it('foreign bytes right behind a login end the link, not the login', async () => {
      const server = scene.server();
      const { port } = (await scene.address(server, 'tcp native')) as { port: number };
      const address = await scene.listener((near) => {
        const far = connect({ port, host: '127.0.0.1' });
        far.on('error', () => {});
        near.pipe(far);
        let replies = 0;
        far.on('data', (chunk) => {
          near.write(++replies === 2 ? Buffer.concat([chunk, Buffer.from('x'.repeat(64))]) : chunk);
        });
      });
      const ends: (string | undefined)[] = [];
      const client = scene.client({ onDisconnect: (_, reason, error) => ends.push(reason, error?.message) });
      const local = await scene.connect(client, address);
      await scene.until(() => ends.length > 0, 'the end');
      expect(ends[0]).to.equal('protocol violated');
      expect(ends[1]).to.match(/xxxx/);
      expect(local.state).to.equal('disconnected');
    });

    it('a goodbye is heard although nothing can be sent any more', async () => {
      for (const way of ['tcp native', 'tcp net'] as const) {
        const name = newName('server');
        const { local, remote, clientEnded } = await scene.pair(way, { name }, { name: newName('client') });
        remote.send('last');
        remote.close();
        // Into a socket whose other end is closed, before the goodbye was read.
        for (let i = 0; i < 20 && local.send('too late'); i++) await nextTurn();
        await scene.until(() => clientEnded.length > 0, 'the end');
        expect(clientEnded[0]).to.include({ reason: 'closed by peer', error: null });
        expect(local.popped).to.equal(1);
      }
    });

    it('a server that pushes to all its connections leaves out a login that may still fail', async () => {
      const name = newName('server');
      const login = newName('client');
      let offers = 0;
      const server = scene.server({
        name,
        acceptLogin: () => {
          offers++;
          return { group: 0 };
        },
      });
      const address = await scene.address(server, 'tcp native');
      const { socket, ended } = await scene.socket(address);
      socket.write(helloFrame(login));
      await scene.until(() => offers === 1, 'the offer');
      for (const each of server.connections) each.send('to all');
      socket.resetAndDestroy();
      await scene.until(ended, 'the end of the socket');
      // What was begun for the login went with it: the client can begin anew.
      const local = await scene.connect(scene.client({ name: login }), address);
      expect(local.state).to.equal('connected');
    });

    it('a poll survives a client that vanishes at any point of its login', async () => {
      const server = scene.server();
      const address = await scene.address(server, 'tcp native');
      const client = scene.client({ name: 'whole', directory: undefined as never });
      const bytes = helloFrame('fragment');
      for (const length of [0, 1, 23, 24, 40, bytes.length]) {
        const { socket, ended } = await scene.socket(address);
        socket.write(bytes.subarray(0, length));
        await scene.turn();
        socket.resetAndDestroy();
        await scene.until(ended, 'the end of the socket');
        for (let i = 0; i < 5; i++) await scene.turn();
      }
      await scene.until(() => server.connections.length === 0, 'nothing to be left');
      expect(scene.files()).to.deep.equal([]);
      expect((await scene.connect(client, address)).state).to.equal('connected');
    });
  });

  describe('rings that were scribbled over', () => {
    for (const way of ['shm', 'inproc'] as const) {
      it(`end that connection and harm no other, over ${way}`, async () => {
        const { server, local, remote, address, serverEnded, clientEnded } = await scene.pair(way);
        const other = await scene.connect(scene.client({ name: newName('other') }), address);
        local.side.ends.open.segment.outgoing('client').words[RECORDS >> 2] = 0x7fffffff;
        await scene.until(() => serverEnded.length + clientEnded.length === 2, 'both ends');
        expect(serverEnded[0]).to.include({ connection: remote, reason: 'protocol violated' });
        expectError(serverEnded[0]?.error, 'ERR_PROTOCOL', /record at position 0.*got size 2147483647/);
        expect(clientEnded[0]).to.include({ connection: local, reason: 'closed by peer' });
        other.send('fine');
        await scene.until(() => server.connections.some(({ popped }) => popped === 1), 'the other message');
      });

      it(`are the fault of their peer, whoever meets them, over ${way}`, async () => {
        const ended: Connection[] = [];
        const server = scene.server({
          onMessage(connection) {
            // A broadcast to all from the handler of one.
            for (const each of server.connections) each.alloc(8);
            connection.pop();
          },
          onDisconnect: (connection) => ended.push(connection),
        });
        const address = await scene.address(server, way);
        const bad = await scene.connect(scene.client(), address);
        const good = await scene.connect(scene.client({ name: newName('good') }), address);
        const incoming = bad.side.ends.open.segment.incoming('client');
        incoming.words[RECLAIMED] = 123_456;
        const [victim] = server.connections;
        for (let i = 0; i < 600; i++) {
          // The server looks at the space handed back when it seems to be used up.
          if (victim?.side.ends.violation !== null || ended.length > 0) break;
          try {
            if (victim.alloc(1000) === null) break;
            victim.push();
          } catch (error) {
            expectError(error, 'ERR_PROTOCOL', /hands back space/);
          }
        }
        good.send('go');
        await scene.until(() => ended.length > 0, 'the end of the bad one');
        expect(ended.map(({ remoteName }) => remoteName)).to.deep.equal([bad.localName]);
        expect(good.state).to.equal('connected');
      });
    }
  });

  describe('want of descriptors', () => {
    it('is told, harms no connection, and passes', async () => {
      const { directory } = scene.folders;
      const { child, words } = scene.child(
        `import { openSync, closeSync } from 'node:fs';
         const told = [];
         const server = new tcpshm.Server({ name: 'server', directory: ${JSON.stringify(directory)},
           onError: (error) => told.push(error.code + ' ' + /EMFILE/.test(error.message)),
           onMessage(connection, message) { connection.send(message.text() + ' ' + told[0]); connection.pop(); } });
         const { port } = await server.listen({ port: 0 });
         const stop = new AbortController();
         server.run({ signal: stop.signal });
         say(port);
         let taken = [];
         process.stdin.on('data', (order) => {
           if (String(order) === 'free') for (const fd of taken.splice(0)) closeSync(fd);
           else try { for (;;) taken.push(openSync('/dev/null')); } catch { say('full'); }
         });`,
        {},
        256,
      );
      await scene.until(() => words.length === 1, 'the server');
      const address = { port: Number(words[0]), transport: 'tcp' } as const;
      const heard: string[] = [];
      const options = {
        onMessage(connection: Connection, message: { text(): string }): void {
          heard.push(message.text());
          connection.pop();
        },
      };
      const first = await scene.connect(scene.client(options), address);
      child.stdin?.write('take');
      await scene.until(() => words.length === 2, 'the last descriptor');
      const second = scene.client({ ...options, name: newName('second') });
      let connection: Connection | null = null;
      second.connect(address).then((made) => {
        connection = made;
      });
      while (!heard.includes('first ERR_SYSTEM true')) {
        first.send('first');
        await scene.turn();
      }
      expect(connection).to.equal(null);
      child.stdin?.write('free');
      await scene.until(() => connection !== null, 'the second login');
      (connection as unknown as Connection).send('second');
      await scene.until(() => heard.includes('second ERR_SYSTEM true'), 'the answer');
    });
  });

  it('a net server closes although a client reads nothing', async () => {
    const { server, remote, local, client } = await scene.pair('tcp net', {
      sendCapacityBytes: 2 ** 24,
      heartbeatIntervalMs: 1000,
    });
    const login = client.closed;
    expect([login, local.state]).to.deep.equal([false, 'connected']);
    // More than the buffers of both kernels take, for a client that is polled no more.
    while (remote.send(new Uint8Array(2 ** 20))) if (remote.pushed % 4 === 0) server.poll();
    await server.close();
    expect(server.closed).to.equal(true);
  });
});
