import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Connection } from '../../lib/index.js';
import { helloFrame } from '../support/frames.js';
import { dropLink, newName, Scene } from './support.js';

const FILE_WAYS = ['tcp native', 'shm'] as const;

describe('where peers meet', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  describe('sessions', () => {
    for (const way of FILE_WAYS) {
      it(`go on after both sides were started again in the same folder, over ${way}`, async () => {
        let first = await scene.pair(way, { onMessage: () => {} });
        for (let n = 0; n < 5; n++) {
          first.local.send(`up ${n}`);
          first.remote.send(`down ${n}`);
        }
        await scene.until(() => first.local.popped === 5 && first.remote.front() !== null, 'messages');
        first.remote.pop();
        await first.client.close();
        await first.server.close();
        first = await scene.pair(way);
        await scene.until(() => first.remote.popped === 5, 'the rest');
        expect(first.log.filter((line) => line.includes('up'))).to.deep.equal([
          'server: up 1',
          'server: up 2',
          'server: up 3',
          'server: up 4',
        ]);
        const { local, remote } = first;
        expect([local.pushed, local.popped, remote.pushed, remote.popped]).to.deep.equal([5, 5, 5, 5]);
      });

      it(`begin anew with a server of another name, and the old one keeps, over ${way}`, async () => {
        const { client, server, local } = await scene.pair(way, { onMessage: () => {} });
        local.send('for the first');
        await server.close();
        await scene.until(() => local.state === 'disconnected', 'the end');
        const other = scene.server({ name: newName('other') });
        const fresh = await scene.connect(client, await scene.address(other, way));
        expect([fresh.pushed, fresh.remoteName]).to.deep.equal([0, other.name]);
        expect(fresh).to.not.equal(local);
        fresh.close();
        const again = scene.server();
        expect(await scene.connect(client, await scene.address(again, way))).to.equal(local);
        await scene.until(() => again.connections[0]?.front() !== null, 'the message');
        expect(again.connections[0]?.front()?.text()).to.equal('for the first');
      });
    }

    it('of servers of one name in different folders do not meet', async () => {
      const contents: string[] = [];
      for (const folder of ['a', 'b']) {
        const directory = join(scene.folders.directory, folder);
        const { local, remote, client } = await scene.pair('shm', { directory, onMessage: () => {} });
        contents.push(`${local.pushed} ${remote.popped}`);
        local.send(folder);
        await client.close();
      }
      expect(contents).to.deep.equal(['0 0', '0 0']);
      expect(scene.files().filter((file) => file.endsWith('.segment'))).to.have.length(2);
    });

    it('may be filled up at once with what was freed while disconnected', async () => {
      const fill = (connection: Connection): void => {
        while (connection.send(new Uint8Array(32)));
      };
      const { client, address, local, remote, clientEnded, server } = await scene.pair(
        'tcp native',
        { onConnection: (connection) => fill(connection) },
        { onMessage: () => {} },
      );
      fill(remote);
      await scene.until(() => local.side.readState().received.sequence === remote.pushed, 'all of it');
      dropLink(local);
      await scene.until(() => remote.state === 'disconnected', 'the end');
      const before = remote.pushed;
      for (let i = 0; i < 3; i++) {
        local.front();
        local.pop();
      }
      await scene.connect(client, address);
      await scene.until(() => remote.pushed > before, 'room');
      await scene.until(() => local.side.readState().received.sequence === remote.pushed, 'the rest');
      expect(clientEnded).to.deep.equal([]);
      expect(server.connections.map(({ state }) => state)).to.deep.equal(['connected']);
    });

    it('over tcp live as long as their client when it has no folder', async () => {
      const { client, local, remote, address } = await scene.pair('tcp native', {}, NO_FOLDER);
      dropLink(local);
      await scene.until(() => local.state === 'disconnected', 'the end');
      local.send('kept');
      expect(await scene.connect(client, address)).to.equal(local);
      await scene.until(() => remote.popped === 1, 'the message');
      expect(scene.files().filter((file) => file.endsWith('client.journal'))).to.deep.equal([]);
    });

    it('that one side has lost are refused with all numbers, until the other one removes them', async () => {
      const { client, server, address, local, remote } = await scene.pair(
        'tcp native',
        {
          onSequenceMismatch(connection, numbers) {
            told.push(`server ${numbers.local.popped.sequence} ${numbers.remote.pushed.sequence}`);
            if (told.length > 2) connection.close({ remove: true });
          },
        },
        NO_FOLDER,
      );
      const told: string[] = [];
      local.send('one');
      local.send('two');
      await scene.until(() => remote.popped === 2, 'the messages');
      await client.close();
      const forgetful = scene.client({
        ...NO_FOLDER,
        onSequenceMismatch(connection, numbers) {
          told.push(`client ${numbers.local.pushed.sequence} ${numbers.remote.popped.sequence}`);
          expect(connection.state).to.equal('disconnected');
        },
      });
      await scene.refused(forgetful.connect(address), 'ERR_SEQUENCE_MISMATCH', /cannot both be true/);
      await scene.until(() => told.length === 2, 'both sides to be told');
      expect(told.sort()).to.deep.equal(['client 0 2', 'server 2 0']);
      await scene.refused(forgetful.connect(address), 'ERR_SEQUENCE_MISMATCH');
      await scene.until(() => told.length === 4, 'both sides to be told');
      const fresh = await scene.connect(forgetful, address);
      expect([fresh.pushed, server.connections.length]).to.deep.equal([0, 1]);
    });

    it('in which nothing has arrived yet survive a login that fails halfway', async () => {
      const { client, server, local } = await scene.pair('tcp native');
      await server.close();
      await scene.until(() => local.state === 'disconnected', 'the end');
      local.send('waits for the server');
      await client.close();
      const again = scene.server();
      const address = await scene.address(again, 'tcp native');
      const { socket, received, ended } = await scene.socket(address);
      socket.write(helloFrame(scene.clientName));
      await scene.until(() => received.length > 0, 'the offer');
      socket.destroy();
      await scene.until(ended, 'the end of the socket');
      await scene.until(() => again.connections.length === 0, 'the login to be over');
      expect((await scene.connect(scene.client(), address)).pushed).to.equal(1);
    });

    it('that the server took for begun although the client did not hear of it go on', async () => {
      // A client that falls silent right before it would hear that the login is complete.
      const { server, client } = {
        server: scene.server({ onConnection: (connection) => connection.send('welcome') }),
        client: scene.client({ ...NO_FOLDER, loginTimeoutMs: 100 }),
      };
      const { port } = (await scene.address(server, 'tcp native')) as { port: number };
      let deaf = true;
      const address = await scene.listener((near) => {
        const far = connect({ port, host: '127.0.0.1' });
        far.on('error', () => {});
        near.pipe(far);
        let replies = 0;
        // The first reply is the offer; what follows is lost.
        far.on('data', (chunk) => (replies++ === 0 || !deaf) && near.write(chunk));
        far.on('close', () => near.destroy());
        near.on('close', () => far.destroy());
      });
      await scene.refused(client.connect(address), 'ERR_LOGIN_TIMEOUT');
      await scene.until(() => server.connections.every(({ state }) => state === 'disconnected'), 'its end');
      expect(server.connections[0]?.pushed).to.equal(1);
      deaf = false;
      const connection = await scene.connect(client, address);
      await scene.until(() => connection.front() !== null, 'the message');
      expect(connection.front()?.text()).to.equal('welcome');
    });

    it('in shared memory that the client removed begin anew', async () => {
      const { client, server, address, local, serverEnded } = await scene.pair('shm');
      local.send('gone');
      local.close({ remove: true });
      await scene.until(() => serverEnded.length === 1, 'the end');
      expect(scene.files()).to.deep.equal([]);
      const fresh = await scene.connect(client, address);
      fresh.send('new');
      await scene.until(() => server.connections[0]?.popped === 1, 'the message');
      expect(scene.files()).to.have.length(1);
    });

    it('between threads begin anew after they were removed', async () => {
      const { client, server, address, local, remote } = await scene.pair('inproc');
      local.send('one');
      await scene.until(() => remote.popped === 1, 'the message');
      remote.close({ remove: true });
      local.close();
      const fresh = await scene.connect(client, address);
      expect([fresh.pushed, server.connections[0]?.popped]).to.deep.equal([0, 0]);
    });

    it('of which this side has other memory than the server are refused', async () => {
      const { client, server, local, remote } = await scene.pair('shm', { onMessage: () => {} });
      local.send('in the old memory');
      remote.close({ remove: true });
      await server.close();
      await scene.until(() => local.state === 'disconnected', 'the end');
      const again = scene.server();
      const address = await scene.address(again, 'shm');
      await scene.refused(client.connect(address), 'ERR_SEQUENCE_MISMATCH');
      local.close({ remove: true });
      const fresh = await scene.connect(client, address);
      expect([fresh.pushed, fresh.state]).to.deep.equal([0, 'connected']);
      expect(scene.files()).to.have.length(1);
    });
  });

  describe("transport 'auto'", () => {
    it('is shared memory on one host', async () => {
      const server = scene.server();
      const { port } = (await scene.address(server, 'tcp native')) as { port: number };
      const connection = await scene.connect(scene.client(), { port });
      expect(connection.transport).to.equal('shm');
    });

    it('has the capacities of what it becomes', async () => {
      const capacities = {
        sendCapacityBytes: { shm: 4096, tcp: 8192 },
        receiveCapacityBytes: { shm: 4096, tcp: 8192 },
      };
      const file = join(scene.folders.directory, 'file');
      writeFileSync(file, '');
      for (const [transport, sharedDirectory, largest] of [
        ['shm', scene.folders.sharedDirectory, 1024],
        ['tcp', join(file, 'below'), 2048],
      ] as const) {
        const server = scene.server({ ...capacities, sharedDirectory, name: newName('server') });
        const { port } = (await scene.address(server, 'tcp native')) as { port: number };
        const client = scene.client(capacities);
        const connection = await scene.connect(client, { port });
        expect([connection.transport, connection.maxMessageBytes]).to.deep.equal([transport, largest]);
      }
    });

    it('is tcp where the server cannot make shared memory, under the decision for tcp', async () => {
      const file = join(scene.folders.directory, 'file');
      writeFileSync(file, '');
      const transports: string[] = [];
      const server = scene.server({
        sharedDirectory: join(file, 'below'),
        acceptLogin({ transport }) {
          transports.push(transport);
          return { group: 0 };
        },
      });
      const { port } = (await scene.address(server, 'tcp native')) as { port: number };
      const connection = await scene.connect(scene.client(), { port });
      expect(connection.transport).to.equal('tcp');
      expect(transports).to.deep.equal(['shm', 'tcp']);
    });
  });

  describe('Unix sockets', () => {
    for (const wire of ['native', 'net'] as const) {
      it(`carry logins and messages, and are gone after close (${wire})`, async () => {
        const path = join(scene.folders.directory, 'socket');
        const heard: string[] = [];
        const server = scene.server({
          wire,
          onMessage(connection, message) {
            heard.push(message.text());
            connection.pop();
          },
        });
        expect(await server.listen({ path })).to.deep.equal({ path });
        for (const transport of ['shm', 'tcp'] as const) {
          const client = scene.client({ wire, name: newName('client') });
          const connection = await scene.connect(client, { path, transport });
          expect(connection.transport).to.equal(transport);
          connection.send(transport);
        }
        await scene.until(() => heard.length === 2, 'both messages');
        await server.close();
        expect(scene.files()).to.not.include(path);
      });

      it(`that a killed server has left are taken over (${wire})`, async () => {
        const path = join(scene.folders.directory, 'socket');
        const { child, words } = scene.child(
          `const server = new tcpshm.Server({ name: 'killed', wire: ${JSON.stringify(wire)} });
           await server.listen({ path: ${JSON.stringify(path)} });
           say('up');
           await server.run();`,
        );
        await scene.until(() => words.length > 0, 'the server');
        const server = scene.server({ wire });
        await scene.refused(server.listen({ path }), 'ERR_LISTEN', /EADDRINUSE/);
        child.kill('SIGKILL');
        await once(child, 'exit');
        await server.listen({ path });
        expect((await scene.connect(scene.client({ wire }), { path })).state).to.equal('connected');
      });
    }
  });
});

const NO_FOLDER = { directory: undefined as unknown as string };
