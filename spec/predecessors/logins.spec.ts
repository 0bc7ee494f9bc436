import { join } from 'node:path';
import { expect } from 'chai';
import { Client, type Connection, type ErrorCode, type Login, type TcpshmError } from '../../lib/index.js';
import { native } from '../../lib/memory/native.js';
import type { Attach, Hello, Reject, Welcome } from '../../lib/session/loginMessages.js';
import { openDescriptors } from '../native/support.js';
import { RawClient } from '../peers/rawClient.js';
import { expectError, newName, Scene, WAYS } from '../peers/support.js';
import { helloFrame } from '../support/frames.js';

describe("TCPSHM's faults: who logs in", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const way of ['tcp native', 'tcp net', 'shm'] as const) {
    it(`any client can claim another "last server" and wipe the queue: here no claim changes it, over ${way}`, async () => {
      const first = await scene.pair(way, { onMessage: () => {} }, { onMessage: () => {} });
      first.local.send('to the server');
      first.remote.send('to the client');
      await scene.until(() => first.remote.front() !== null && first.local.front() !== null, 'both messages');
      await first.client.close();
      await first.server.close();

      const server = scene.server({ ...scene.wire(way), onMessage: () => {} });
      const address = await scene.address(server, way);
      const mine: Partial<Hello> =
        way === 'shm' ? { transport: 'shm', bootId: native().bootId() } : { transport: 'tcp' };
      const claims: [Partial<Hello>, Partial<Attach> | null, ErrorCode | null][] = [
        [{ server: 'another' }, null, 'ERR_LOGIN_REJECTED'],
        [{}, { outcome: 'mismatch' }, 'ERR_SEQUENCE_MISMATCH'],
        [{}, { sessionId: '0123456789abcdef' }, 'ERR_SEQUENCE_MISMATCH'],
        [
          { clientToServer: 8192, overTcp: { clientToServer: 8192, serverToClient: 0 } },
          null,
          'ERR_CAPACITY',
        ],
        [{}, null, null],
      ];
      // With an empty queue of its own: over shared memory there is no such thing.
      if (way !== 'shm') claims.push([{}, {}, 'ERR_SEQUENCE_MISMATCH']);
      for (const [hello, attach, code] of claims) {
        const liar = await RawClient.connect(first.client.name, scene, address);
        const answer = await liar.hello({ ...mine, ...hello });
        let refusal: Reject | null = 'code' in answer ? answer : null;
        if (attach !== null) refusal = await liar.attach((answer as Welcome).sessionId, attach);
        expect(refusal?.code ?? null).to.equal(code);
        liar.hangUp();
        await scene.until(() => server.connections.length === 0, 'the end of the login');
      }
      // A true one of that name which has lost all that it had, or says that it has other memory.
      if (way !== 'shm') {
        const forgetful = scene.client({
          ...scene.wire(way),
          directory: join(scene.folders.directory, 'new'),
        });
        await scene.refused(forgetful.connect(address), 'ERR_SEQUENCE_MISMATCH');
      }

      const local = await scene.connect(scene.client(scene.wire(way)), address);
      await scene.until(() => local.front() !== null, 'the message');
      const remote = server.connections[0] as Connection;
      expect([local.front()?.text(), remote.front()?.text()]).to.deep.equal([
        'to the client',
        'to the server',
      ]);
      expect([local.pushed, remote.pushed]).to.deep.equal([1, 1]);
    });
  }

  for (const way of WAYS) {
    it(`slots of clients that left are never freed: here they are, round after round, over ${way}`, async () => {
      const limit = 2;
      const server = scene.server({
        ...scene.wire(way),
        groups: { shmConnections: limit, tcpConnections: limit },
        maxPendingLogins: limit,
      });
      const address = await scene.address(server, way);
      const connected = (): Connection[] => server.connections.filter(({ state }) => state === 'connected');
      let descriptors = 0;
      for (let round = 0; round < 20; round++) {
        const clients: Client[] = [];
        for (let i = 0; i <= limit; i++) {
          const client = new Client({ name: newName('guest'), ...scene.wire(way), ...scene.folders });
          clients.push(client);
          if (i < limit) await scene.connect(client, address);
          else await scene.refused(client.connect(address), 'ERR_LOGIN_REJECTED', /has its 2 (shm|tcp) conn/);
        }
        expect(connected()).to.have.length(limit);
        for (const client of clients) await client.close();
        await scene.until(() => connected().length === 0, 'the end of all');
        // Those that leave without a word, in the middle of their login or after it.
        for (const word of way.startsWith('tcp') ? ['none', 'hello', 'login'] : []) {
          const raw = await RawClient.connect(newName('guest'), scene, address);
          if (word === 'hello') await raw.hello();
          if (word === 'login') await raw.login();
          raw.hangUp();
        }
        for (let i = 0; i < 10; i++) await scene.turn();
        await scene.until(() => connected().length === 0, 'the end of all');
        // The slots are free while the sessions are still open; those hold files, until they are closed.
        if (round % 2 === 1) for (const connection of server.connections) connection.close();
        if (round === 1) descriptors = openDescriptors();
      }
      await scene.until(() => openDescriptors() <= descriptors, 'descriptors to be given back');
    });
  }

  for (const wire of ['native', 'net'] as const) {
    it(`idle sockets starve logins: here the oldest goes for the next, and real ones get in (${wire})`, async () => {
      const errors: TcpshmError[] = [];
      const server = scene.server({ wire, maxPendingLogins: 4, onError: (error) => errors.push(error) });
      const address = await scene.address(server, 'tcp native');
      const idle = await Promise.all(Array.from({ length: 20 }, () => scene.socket(address)));
      await scene.until(() => errors.length >= 16, 'the oldest to go');
      expect(errors.every(({ code }) => code === 'ERR_LOGIN_TIMEOUT')).to.equal(true);
      const client = scene.client({ wire });
      const login = client.connect(address);
      const more = await Promise.all(Array.from({ length: 20 }, () => scene.socket(address)));
      for (const { socket } of more.slice(10)) socket.write(helloFrame('half').subarray(0, 30));
      expect((await scene.settled(login, 'the login')).state).to.equal('connected');
      await scene.until(
        () => [...idle, ...more].filter(({ ended }) => ended()).length >= 36,
        'idle sockets to be closed',
      );
    });

    it(`so do those that fall silent in the middle of a login: here they go, too (${wire})`, async () => {
      const errors: TcpshmError[] = [];
      const server = scene.server({ wire, maxPendingLogins: 4, onError: (error) => errors.push(error) });
      const address = await scene.address(server, 'tcp native');
      for (let i = 0; i < 4; i++) {
        const silent = await RawClient.connect(newName('silent'), scene, address);
        expect(await silent.hello()).to.include({ server: server.name });
      }
      expect(errors).to.deep.equal([]);
      // A login whose first byte takes its time.
      const slow = await RawClient.connect(newName('slow'), scene, address);
      await scene.until(() => errors.length > 0, 'one to go');
      await slow.login();
      expect((await scene.connect(scene.client({ wire }), address)).state).to.equal('connected');
      for (const error of errors) expectError(error, 'ERR_LOGIN_TIMEOUT', /more than 4 logins are pending/);
      expect(server.connections.filter(({ state }) => state === 'connected')).to.have.length(2);
    });
  }

  for (const way of WAYS) {
    it(`the same name can be live twice in two groups: here the second is refused, over ${way}`, async () => {
      const groups: number[] = [];
      const { server, address, local, remote } = await scene.pair(way, {
        groups: { count: 2 },
        acceptLogin({ data }: Login) {
          groups.push(data.length);
          return { group: data.length };
        },
      });
      const rival = scene.client({ ...scene.wire(way), directory: join(scene.folders.directory, 'rival') });
      const inOther = rival.connect({ ...address, login: new Uint8Array(1) });
      await scene.refused(inOther, 'ERR_ALREADY_CONNECTED', /is connected to .* already/);
      expect(groups).to.deep.equal([0, 1]);
      expect(server.connections).to.deep.equal([remote]);
      local.send('still here');
      await scene.until(() => remote.popped === 1, 'the message');
    });

    it(`the same name can be live over two transports: here the second is refused, as over ${way}`, async () => {
      const { server, local, remote } = await scene.pair(way);
      for (const other of WAYS) {
        if (other === way) continue;
        const address = await scene.address(server, other);
        const rival = scene.client({
          ...scene.wire(other),
          directory: join(scene.folders.directory, 'rival'),
        });
        await scene.refused(
          rival.connect(address),
          'ERR_ALREADY_CONNECTED',
          /is connected to .* already, over/,
        );
        await rival.close();
      }
      expect([local.state, remote.state]).to.deep.equal(['connected', 'connected']);
      local.send('still here');
      await scene.until(() => remote.popped === 1, 'the message');
    });
  }

  for (const way of ['tcp native', 'shm'] as const) {
    /** Every client with every server, at once, and a message of its own in each session: then once more. */
    const crossed = async (clientNames: readonly string[], serverNames: readonly string[]): Promise<void> => {
      const heard: string[] = [];
      for (const life of [1, 2]) {
        const servers = serverNames.map((name) =>
          scene.server({
            name,
            onMessage(connection, message) {
              heard.push(`${message.text()} at ${connection.remoteName} ${name} as ${connection.popped + 1}`);
              connection.pop();
            },
          }),
        );
        const clients: Client[] = [];
        for (const server of servers) {
          const address = await scene.address(server, way);
          for (const name of clientNames) {
            const client = scene.client({ name });
            clients.push(client);
            const connection = await scene.connect(client, address);
            connection.send(`${name} ${server.name}`);
          }
        }
        const pairs = clientNames.length * serverNames.length;
        await scene.until(() => heard.length === pairs, 'all messages');
        const expected = serverNames.flatMap((server) =>
          clientNames.map((client) => `${client} ${server} at ${client} ${server} as ${life}`),
        );
        expect(heard.splice(0).sort()).to.deep.equal(expected.sort());
        expect(scene.files()).to.have.length(way === 'shm' ? pairs : 2 * pairs);
        for (const peer of [...clients, ...servers]) await peer.close();
      }
    };

    it(`_ joins names ambiguously: here every pair has a session of its own, over ${way}`, () =>
      crossed(['a', 'a_b', 'a-b', 'a.b', '_'], ['c', 'b_c', 'b-c', 'b.c', '_']));

    it(`long names are cut and collide: here the last character tells, and longer ones are refused, over ${way}`, async () => {
      const long = 'n'.repeat(62);
      await crossed([long, `${long}1`, `${long}2`], [`${long}1`, `${long}2`]);
      const address = await scene.address(scene.server(), way);
      const raw = await RawClient.connect(`${long}12`, scene, address);
      expect(await raw.hello()).to.include({ code: 'ERR_PROTOCOL' });
      expect(() => new Client({ name: `${long}12` })).to.throw(/1 to 63 characters/);
    });
  }

  for (const wire of ['native', 'net'] as const) {
    it(`a name with / is not refused: here it is, and reaches no file (${wire})`, async () => {
      const errors: TcpshmError[] = [];
      const server = scene.server({ wire, onError: (error) => errors.push(error) });
      const address = await scene.address(server, 'tcp native');
      for (const name of ['/', 'a/b', '../up', '/tmp/a', '..', '.', 'a\0b', 'a@b', '']) {
        const raw = await RawClient.connect(name, scene, address);
        expect(await raw.hello()).to.include({ code: 'ERR_PROTOCOL' });
        expectError(errors.pop(), 'ERR_PROTOCOL', /client name/);
      }
      expect([server.connections, scene.files()]).to.deep.equal([[], []]);
    });
  }
});
