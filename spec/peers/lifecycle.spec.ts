import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  type Client,
  type Connection,
  type ConnectOptions,
  type DisconnectReason,
  type Login,
  Server,
  type TcpshmError,
} from '../../lib/index.js';
import { RECLAIMED, RECORDS } from '../../lib/ring/layout.js';
import { decodeReject } from '../../lib/session/loginMessages.js';
import { expectCode } from '../support/failure.js';
import { helloFrame } from '../support/frames.js';
import { expectError, newName, type Pair, Scene, WAYS } from './support.js';

const SOCKET_WAYS = ['tcp native', 'tcp net', 'shm'] as const;
const FILE_WAYS = ['tcp native', 'shm'] as const;

describe('the life of a connection', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const way of WAYS) {
    describe(`over ${way}`, () => {
      it('is told in order: connection, messages, end', async () => {
        const { local, remote, log, serverEnded } = await scene.pair(way);
        expect(log).to.deep.equal(['server: connection']);
        for (const text of ['one', 'two', 'three']) local.send(text);
        remote.send('hello');
        await scene.until(() => log.length === 5, 'all messages');
        expect(log.filter((line) => line.startsWith('server')).slice(1)).to.deep.equal([
          'server: one',
          'server: two',
          'server: three',
        ]);
        local.send('last');
        local.close();
        await scene.until(() => serverEnded.length > 0, 'the end');
        expect(log.slice(-2)).to.deep.equal(['server: last', 'server: closed by peer']);
        expect([remote.state, local.state]).to.deep.equal(['disconnected', 'closed']);
      });

      it('hands over what was pushed right before the end, also without a session folder', async () => {
        const { remote, local, clientEnded, log } = await scene.pair(way, {
          directory: undefined as unknown as string,
        });
        for (let n = 0; n < 20; n++) expect(remote.send(`${n}`)).to.equal(true);
        remote.close();
        await scene.until(() => clientEnded.length > 0, 'the end');
        expect(log.filter((line) => line.startsWith('client'))).to.deep.equal([
          ...Array.from({ length: 20 }, (_, n) => `client: ${n}`),
          'client: closed by peer',
        ]);
        expect(local.popped).to.equal(20);
      });

      const closers: [string, (pair: Pair) => unknown, 'server' | 'client'][] = [
        ["the client's connection", ({ local }) => local.close(), 'server'],
        ['the client', ({ client }) => client.close(), 'server'],
        ["the server's connection", ({ remote }) => remote.close(), 'client'],
        ['the server', ({ server }) => server.close(), 'client'],
      ];
      for (const [what, close, who] of closers) {
        it(`ends with 'closed by peer' when ${what} is closed`, async () => {
          const pair = await scene.pair(way);
          close(pair);
          const heard = who === 'server' ? pair.serverEnded : pair.clientEnded;
          await scene.until(() => heard.length > 0, 'the end');
          for (let i = 0; i < 10; i++) await scene.turn();
          expect(heard).to.have.length(1);
          expect(heard[0]).to.include({ reason: 'closed by peer', error: null });
          expect(pair[who === 'server' ? 'clientEnded' : 'serverEnded']).to.deep.equal([]);
          const connection = who === 'server' ? pair.remote : pair.local;
          expect(heard[0]?.connection).to.equal(connection);
          // The session is still there to be used.
          expect(connection.send('for later')).to.equal(true);
          expect(connection.front()).to.equal(null);
        });
      }

      it('gives the same object again, and goes on where it was', async () => {
        const { client, local, remote, server, address, serverEnded } = await scene.pair(way);
        local.userData = remote.userData = 'kept';
        local.send('before');
        await scene.until(() => remote.popped === 1, 'the message');
        if (way === 'inproc') server.connections[0]?.close();
        else dropLink(local);
        await scene.until(() => local.state === 'disconnected', 'the end');
        await scene.until(() => way === 'inproc' || serverEnded.length === 1, 'the end on the other side');
        local.send('meanwhile');
        const again = await scene.connect(client, address);
        expect(again).to.equal(local);
        expect([again.state, again.userData, client.connection]).to.deep.equal(['connected', 'kept', local]);
        const other = server.connections[0] as Connection;
        if (way !== 'inproc') expect(other).to.equal(remote);
        await scene.until(() => other.popped === 2, 'the message pushed while disconnected');
        expect([again.pushed, other.popped]).to.deep.equal([2, 2]);
      });

      it('hands a message out again when the handler throws, and poll tells', async () => {
        let failures = 3;
        const texts: string[] = [];
        const { local, server } = await scene.pair(way, {
          onMessage(connection, message) {
            texts.push(message.text());
            if (failures-- > 0) throw new Error('not now');
            connection.pop();
          },
        });
        local.send('a');
        local.send('b');
        const told: string[] = [];
        for (let i = 0; i < 1000 && texts.length < 5; i++) {
          try {
            await scene.turn();
          } catch (error) {
            told.push((error as Error).message);
          }
        }
        expect(texts).to.deep.equal(['a', 'a', 'a', 'a', 'b']);
        expect(told).to.deep.equal(['not now', 'not now', 'not now']);
        expect(server.closed).to.equal(false);
      });

      it('tells of the end after the last messages, also when their handler throws first', async () => {
        let failures = 2;
        const heard: string[] = [];
        const { local } = await scene.pair(way, {
          onMessage(connection, message) {
            if (failures-- > 0) throw new Error('not now');
            heard.push(message.text());
            connection.pop();
          },
          onDisconnect: (_, reason) => heard.push(reason),
        });
        local.send('last');
        local.close();
        let told = 0;
        for (let i = 0; i < 1000 && heard.length < 2; i++) {
          await scene.turn().catch(() => told++);
        }
        expect(heard).to.deep.equal(['last', 'closed by peer']);
        expect(told).to.equal(2);
      });

      const selfClosers: [string, (server: Server, connection: Connection) => unknown][] = [
        ['connection', (_, connection) => connection.close()],
        ['server', (server) => server.close()],
      ];
      for (const [what, close] of selfClosers) {
        for (const where of ['acceptLogin', 'onConnection', 'onMessage', 'onDisconnect'] as const) {
          if (where === 'acceptLogin' && what === 'connection') continue;
          it(`can close the ${what} from within ${where}`, async () => {
            let closed = 0;
            const act = (connection: Connection): void => {
              closed++;
              close(server, connection);
            };
            const server = scene.server({
              ...scene.wire(way),
              acceptLogin(): { group: number } {
                if (where === 'acceptLogin') act(null as unknown as Connection);
                return { group: 0 };
              },
              onConnection: (connection) => where === 'onConnection' && act(connection),
              onMessage: (connection) => (where === 'onMessage' ? act(connection) : connection.pop()),
              onDisconnect: (connection) => where === 'onDisconnect' && act(connection),
            });
            const reasons: DisconnectReason[] = [];
            const client = scene.client({
              ...scene.wire(way),
              onDisconnect: (_, reason) => reasons.push(reason),
            });
            const address = await scene.address(server, way);
            if (where === 'acceptLogin') {
              await scene.refused(client.connect(address), 'ERR_CONNECT', /the server closes/);
              expect(scene.files()).to.deep.equal([]);
            } else {
              const local = await scene.connect(client, address);
              if (where === 'onMessage') local.send('close!');
              if (where === 'onDisconnect') local.close();
              await scene.until(() => closed > 0, 'the handler');
              if (where !== 'onDisconnect') {
                await scene.until(() => reasons.length > 0, 'the end');
                expect(reasons).to.deep.equal(['closed by peer']);
              }
            }
            for (let i = 0; i < 10; i++) await scene.turn();
            expect([closed, server.connections]).to.deep.equal([1, []]);
          });
        }
      }

      for (const where of ['onMessage', 'onDisconnect'] as const) {
        it(`can close the client from within its ${where}`, async () => {
          let closed = 0;
          const act = (client: Client): void => {
            closed++;
            void client.close();
          };
          const { client, remote, serverEnded } = await scene.pair(
            way,
            {},
            {
              onMessage: () => where === 'onMessage' && act(client),
              onDisconnect: () => where === 'onDisconnect' && act(client),
            },
          );
          if (where === 'onMessage') remote.send('close!');
          else remote.close();
          await scene.until(() => client.closed, 'the handler');
          if (where === 'onMessage') await scene.until(() => serverEnded.length > 0, 'the end');
          expect(closed).to.equal(1);
        });
      }

      it('carries user data with the login and its reply', async () => {
        const logins: Login[] = [];
        const { local, remote, client } = await scene.pair(way, {
          acceptLogin(login) {
            logins.push(login);
            return { group: 0, reply: Buffer.from('welcome') };
          },
        });
        expect(Buffer.from(local.loginData).toString()).to.equal('welcome');
        expect(logins[0]).to.include({ name: client.name, transport: local.transport });
        expect(logins[0]?.address).to.match(way === 'inproc' ? /^thread 0$/ : /^127\.0\.0\.1:\d+$/);
        expect(remote.loginData).to.have.length(0);
        const second = scene.client({ ...scene.wire(way), name: newName('second') });
        const address = await scene.address(scene.server({ ...scene.wire(way), name: newName('s') }), way);
        await scene.connect(second, { ...address, login: new Uint8Array(4096).fill(7) });
      });

      it('keeps a client out while the server closes', async () => {
        let offers = 0;
        const acceptLogin = () => {
          offers++;
          return { group: 0 };
        };
        const server = scene.server({ ...scene.wire(way), acceptLogin });
        const client = scene.client(scene.wire(way));
        const address = await scene.address(server, way);
        const login = client.connect(address);
        // Up to the offer of a session, so that there is something to take back.
        await scene.until(() => offers > 0, 'the offer');
        const closing = server.close();
        await scene.refused(login, 'ERR_CONNECT', /the server closes/).catch((error) => {
          // Where the offer was answered in the same turn, the login was complete, and ended in order.
          expect(client.connection?.state, String(error)).to.equal('disconnected');
        });
        await closing;
        await client.close({ removeSessions: true });
        expect(scene.files().filter((file) => file.endsWith('segment'))).to.deep.equal([]);
      });

      it('makes room in a group of one when the client leaves', async () => {
        const server = scene.server({
          ...scene.wire(way),
          groups: { count: 2, shmConnections: 1, tcpConnections: 1 },
        });
        const address = await scene.address(server, way);
        const first = scene.client(scene.wire(way));
        const second = scene.client({ ...scene.wire(way), name: newName('second') });
        await scene.connect(first, address);
        await scene.refused(
          second.connect(address),
          'ERR_LOGIN_REJECTED',
          /group 0 has its 1 (shm|tcp) conn/,
        );
        first.connection?.close();
        await scene.until(
          () => server.connections.every(({ state }) => state === 'disconnected'),
          'the end of the first',
        );
        expect((await scene.connect(second, address)).state).to.equal('connected');
      });

      it('lets one of two logins of a name in, and both know which', async () => {
        const server = scene.server(scene.wire(way));
        const address = await scene.address(server, way);
        const places = ['a', 'b'].map((part) => join(scene.folders.directory, part));
        const clients = places.map((directory) => scene.client({ ...scene.wire(way), directory }));
        const logins = clients.map((client) =>
          client.connect(address).then(
            () => 'in',
            (error: TcpshmError) => error.code,
          ),
        );
        const outcomes = await scene.settled(Promise.all(logins), 'both logins');
        expect(outcomes.sort()).to.deep.equal(['ERR_ALREADY_CONNECTED', 'in']);
        expect(server.connections).to.have.length(1);
        const winner = clients.find((client) => client.connection !== null) as Client;
        winner.connection?.send('mine');
        await scene.until(() => server.connections[0]?.front()?.text() === 'mine', 'the message');
      });

      it('routes logins to groups that are polled apart', async () => {
        const heard: string[] = [];
        const server = new Server({
          name: scene.serverName,
          sharedDirectory: scene.folders.sharedDirectory,
          ...scene.wire(way),
          groups: { count: 2 },
          acceptLogin: (login) => ({ group: login.data[0] as number }),
          onMessage(connection, message) {
            heard.push(message.text());
            connection.pop();
          },
        });
        try {
          const address = await scene.address(server, way);
          const connections: Connection[] = [];
          for (const group of [0, 1]) {
            const client = scene.client({ ...scene.wire(way), name: newName(`group${group}`) });
            const login = client.connect({ ...address, login: Uint8Array.of(group) });
            let done = false;
            login.finally(() => {
              done = true;
            });
            while (!done) {
              server.pollControl();
              await scene.turn();
            }
            connections.push(await login);
          }
          const serve = (group: number): void =>
            way.startsWith('tcp') ? server.pollTcp(performance.now(), group) : server.pollShm(group);
          connections.forEach((connection, group) => {
            connection.send(`to ${group}`);
          });
          for (let i = 0; i < 50; i++) {
            serve(1);
            server.pollControl();
            await scene.turn();
          }
          expect(heard).to.deep.equal(['to 1']);
          while (heard.length < 2) {
            serve(0);
            await scene.turn();
          }
          expect(heard).to.deep.equal(['to 1', 'to 0']);
        } finally {
          await server.close();
        }
      });
    });
  }

  describe('peers that die', () => {
    const AT_SERVER = (address: ConnectOptions, name: string, rest: string): string => `
      const client = new tcpshm.Client({ name: ${JSON.stringify(name)}, wire: process.env.WIRE });
      const connection = await client.connect(${JSON.stringify(address)});
      connection.send('alive');
      say('in');
      ${rest}
      await client.run();`;

    for (const way of SOCKET_WAYS) {
      it(`a client killed over ${way} is a 'peer ended' for the server`, async () => {
        const heard: string[] = [];
        const server = scene.server({
          ...scene.wire(way),
          onMessage(connection, message) {
            heard.push(message.text());
            connection.pop();
          },
          onDisconnect: (_, reason) => heard.push(reason),
        });
        const address = await scene.address(server, way);
        const { child } = scene.child(AT_SERVER(address, 'victim', ''), scene.wire(way) && env(way));
        await scene.until(() => heard.length > 0, 'the client');
        child.kill('SIGKILL');
        await scene.until(() => heard.length > 1, 'its end');
        expect(heard[0]).to.equal('alive');
        expect(endsOf(way)).to.include(heard[1]);
        // Its place, its lock and its name are free again.
        const next = scene.client({ ...scene.wire(way), name: 'victim', directory: undefined as never });
        if (way === 'shm') expect((await scene.connect(next, address)).pushed).to.equal(1);
      });

      it(`a server killed over ${way} is a 'peer ended' for the client, and resumes`, async () => {
        const { directory, sharedDirectory } = scene.folders;
        const places = JSON.stringify({ directory: join(directory, 'server'), sharedDirectory });
        const text = `
          const server = new tcpshm.Server({ name: 'mortal', ...${places}, wire: process.env.WIRE,
            onMessage(connection, message) {
              const answer = message.text() + ' ' + connection.popped + ' ' + connection.pushed;
              connection.pop();
              connection.send(answer);
            } });
          const { port } = await server.listen({ port: 0 });
          say(port);
          await server.run();`;
        const heard: string[] = [];
        const client = scene.client({
          ...scene.wire(way),
          onMessage(connection, message) {
            heard.push(message.text());
            connection.pop();
          },
          onDisconnect: (_, reason) => heard.push(reason),
        });
        for (const life of [0, 1, 2]) {
          const { child, words } = scene.child(text, env(way));
          await scene.until(() => words.length > 0, 'the server');
          const connection = await scene.connect(client, {
            port: Number(words[0]),
            transport: way === 'shm' ? 'shm' : 'tcp',
          });
          connection.send(`life ${life}`);
          await scene.until(() => heard.length === 1, 'the answer');
          expect(heard.splice(0)).to.deep.equal([`life ${life} ${life} ${life}`]);
          child.kill('SIGKILL');
          await scene.until(() => heard.length === 1, 'its end');
          expect(endsOf(way)).to.include(heard.pop());
        }
      });
    }

    for (const [how, rest] of [
      ['is terminated', ''],
      ['exits', 'setTimeout(() => process.exit(), 20);'],
      ['fails', "setTimeout(() => { throw new Error('on purpose'); }, 20);"],
    ] as const) {
      it(`a worker that ${how} is a 'peer ended' by name`, async () => {
        const { server, log, serverEnded } = await scene.pair('inproc');
        const address = { transport: 'inproc', server: server.name } as const;
        const { worker, words } = scene.worker(AT_SERVER(address, newName('worker'), rest));
        worker.on('error', () => {});
        await scene.until(() => words.length > 0, 'the worker');
        if (rest === '') await worker.terminate();
        await scene.until(() => serverEnded.length > 0, 'its end');
        expect(log.slice(-2)).to.deep.equal(['server: alive', 'server: peer ended']);
      });
    }

    it('a server whose thread ends is a ’peer ended’ for its clients in other threads', async () => {
      const name = newName('threaded');
      const { worker, words } = scene.worker(`
        const server = new tcpshm.Server({ name: ${JSON.stringify(name)} });
        await server.listen({ transport: 'inproc' });
        say('up');
        await server.run();`);
      await scene.until(() => words.length > 0, 'the worker');
      const reasons: string[] = [];
      const client = scene.client({ onDisconnect: (_, reason) => reasons.push(reason) });
      await scene.connect(client, { transport: 'inproc', server: name });
      await worker.terminate();
      await scene.until(() => reasons.length > 0, 'the end');
      expect(reasons).to.deep.equal(['peer ended']);
    });
  });

  describe('the clock of the caller', () => {
    for (const way of SOCKET_WAYS) {
      it(`keeps an idle link alive by heartbeats, and ends a silent one, over ${way}`, async () => {
        for (const silent of ['client', 'server'] as const) {
          const name = newName('server');
          const { server, client, local, remote, serverEnded, clientEnded } = await scene.pair(
            way,
            { name, heartbeatIntervalMs: 3000, connectionTimeoutMs: 10_000 },
            { name: newName('client'), heartbeatIntervalMs: 3000, connectionTimeoutMs: 10_000 },
          );
          let now = performance.now() + 1000;
          const bothFor = async (ms: number): Promise<void> => {
            for (const end = now + ms; now < end; now += 1000) {
              server.poll(now);
              client.poll(now);
              await nextTurn();
            }
          };
          await bothFor(60_000);
          expect([local.state, remote.state]).to.deep.equal(['connected', 'connected']);
          const listener = silent === 'client' ? server : client;
          const heard = silent === 'client' ? serverEnded : clientEnded;
          const last = now;
          for (; heard.length === 0 && now < last + 60_000; now += 500) {
            listener.poll(now);
            await nextTurn();
          }
          expect(heard[0]).to.include({ reason: 'timed out', error: null });
          expect(now - last).to.be.within(7000, 12_000);
          // The silent side learns of it as soon as it looks.
          const other = silent === 'client' ? clientEnded : serverEnded;
          await scene
            .until(() => other.length > 0, 'the other side to hear of it')
            .catch((error) => {
              throw error;
            });
          expect(['peer ended', 'network failed']).to.include(other[0]?.reason);
          await client.close();
          await server.close();
        }
      });
    }

    for (const way of SOCKET_WAYS) {
      it(`takes nobody for dead who has spoken while this side was blocked, over ${way}`, async () => {
        const { server, client, local, remote, serverEnded } = await scene.pair(
          way,
          { heartbeatIntervalMs: 3000, connectionTimeoutMs: 10_000 },
          { heartbeatIntervalMs: 3000, connectionTimeoutMs: 10_000 },
        );
        let servers = performance.now() + 1000;
        let clients = servers;
        for (let blocks = 0; blocks < 5; blocks++) {
          server.poll(servers);
          client.poll(clients);
          await nextTurn();
          // A sign of life gets as far as this host while a handler of the server's does not return.
          clients += 3000;
          client.poll(clients);
          servers += 20_000;
          for (let i = 0; i < 20; i++) server.poll(servers);
          expect(serverEnded).to.deep.equal([]);
          for (let i = 0; i < 5; i++) {
            await nextTurn();
            server.poll(servers);
          }
          expect(serverEnded).to.deep.equal([]);
        }
        expect([local.state, remote.state]).to.deep.equal(['connected', 'connected']);
      });
    }

    it('never ends a link with traffic', async () => {
      const { server, client, local, remote } = await scene.pair(
        'tcp native',
        { heartbeatIntervalMs: 9_999, connectionTimeoutMs: 10_000 },
        { heartbeatIntervalMs: 9_999, connectionTimeoutMs: 10_000 },
      );
      let now = performance.now() + 1000;
      for (let i = 0; i < 100; i++, now += 4000) {
        local.send('traffic');
        remote.send('traffic');
        server.poll(now);
        client.poll(now);
        server.poll(now);
      }
      expect([local.state, remote.state, remote.popped]).to.deep.equal(['connected', 'connected', 100]);
    });
  });

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
        local.open.segment.outgoing('client').words[RECORDS >> 2] = 0x7fffffff;
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
        const incoming = bad.open.segment.incoming('client');
        incoming.words[RECLAIMED] = 123_456;
        const [victim] = server.connections;
        for (let i = 0; i < 600; i++) {
          // The server looks at the space handed back when it seems to be used up.
          if (victim?.violation !== null || ended.length > 0) break;
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

  describe('pending logins', () => {
    it('end after the login timeout, by the clock of the caller, with a reason', async () => {
      const server = new Server({ name: scene.serverName, loginTimeoutMs: 500 });
      const { port } = await server.listen({ port: 0 });
      const { received, ended } = await scene.socket({ port });
      server.poll(1000);
      server.poll(1499);
      await nextTurn();
      expect(ended()).to.equal(false);
      server.poll(1500);
      await scene.until(ended, 'the server to hang up');
      const { code, reason } = decodeReject(Buffer.concat(received).subarray(24));
      expect([code, reason]).to.deep.equal(['ERR_LOGIN_TIMEOUT', 'a login was not complete after 500 ms']);
      await server.close();
    });

    it('of clients that gave up are forgotten when the client tries again', async () => {
      for (const way of WAYS) {
        const server = scene.server({ ...scene.wire(way), name: newName('slow') });
        const address = await scene.address(server, way);
        const client = scene.client({ ...scene.wire(way), loginTimeoutMs: 30 });
        for (let i = 0; i < 3; i++) {
          const outcome = client.connect(address).then(
            () => 'in',
            (error: TcpshmError) => error.code,
          );
          expect(await outcome).to.equal('ERR_LOGIN_TIMEOUT');
        }
        await client.close();
        const patient = scene.client(scene.wire(way));
        expect((await scene.connect(patient, address)).state).to.equal('connected');
        await patient.close();
        await server.close();
      }
    });
  });

  describe('errors of handlers within a login', () => {
    for (const where of ['acceptLogin', 'onConnection', 'onError'] as const) {
      it(`of ${where} reach the caller of poll, and the server goes on`, async () => {
        let failing = true;
        const fail = (): void => {
          if (failing) throw new Error(`${where} failed`);
        };
        const server = new Server({
          name: scene.serverName,
          acceptLogin() {
            if (where === 'acceptLogin') fail();
            return { group: where === 'onError' && failing ? 5 : 0 };
          },
          onConnection: () => where === 'onConnection' && fail(),
          onError: () => where === 'onError' && fail(),
        });
        try {
          const { port } = await server.listen({ port: 0 });
          const client = scene.client();
          const told: string[] = [];
          const login = async (): Promise<string> => {
            let outcome = '';
            client.connect({ port, transport: 'tcp' }).then(
              () => {
                outcome = 'in';
              },
              (error: TcpshmError) => {
                outcome = error.code;
              },
            );
            while (outcome === '') {
              try {
                server.poll();
              } catch (error) {
                told.push((error as Error).message);
              }
              await nextTurn();
            }
            return outcome;
          };
          const expected = { acceptLogin: 'ERR_LOGIN_REJECTED', onConnection: 'in', onError: 'ERR_OPTION' };
          expect(await login()).to.equal(expected[where]);
          expect(told).to.deep.equal([`${where} failed`]);
          failing = false;
          if (where !== 'onConnection') expect(await login()).to.equal('in');
          expect(server.connections.map(({ state }) => state)).to.deep.equal(['connected']);
        } finally {
          await server.close();
        }
      });
    }
  });

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
      await scene.until(() => local.readState().received.sequence === remote.pushed, 'all of it');
      dropLink(local);
      await scene.until(() => remote.state === 'disconnected', 'the end');
      const before = remote.pushed;
      for (let i = 0; i < 3; i++) {
        local.front();
        local.pop();
      }
      await scene.connect(client, address);
      await scene.until(() => remote.pushed > before, 'room');
      await scene.until(() => local.readState().received.sequence === remote.pushed, 'the rest');
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

  describe('run', () => {
    it("'yield' lets the event loop turn, and stops by its signal", async () => {
      const { server, client, local, remote } = await scene.pair('tcp net');
      const stop = new AbortController();
      const running = [
        server.run({ signal: stop.signal }),
        client.run({ idle: 'yield', signal: stop.signal }),
      ];
      local.send('by itself');
      await waitFor(() => remote.popped === 1);
      stop.abort();
      await Promise.all(running);
      await server.run({ signal: stop.signal });
    });

    it('stops when what is driven is closed', async () => {
      const { server, client } = await scene.pair('shm');
      const running = [server.run(), client.run()];
      await nextTurn();
      await client.close();
      await server.close();
      await Promise.all(running);
    });

    it("'busy' serves until a handler stops it", async () => {
      const stop = new AbortController();
      for (const how of ['abort', 'close'] as const) {
        const { server, local } = await scene.pair(
          'shm',
          {
            name: newName('server'),
            onMessage(connection) {
              connection.pop();
              if (how === 'abort') stop.abort();
              else void server.close();
            },
          },
          { name: newName('client') },
        );
        local.send('stop');
        await server.run({ idle: 'busy', ...(how === 'abort' ? { signal: stop.signal } : {}) });
        expect(server.closed).to.equal(how === 'close');
      }
    });

    it('rejects with what a handler throws, and can go on', async () => {
      const failure = new Error('on purpose');
      let failing = true;
      const { server, local, remote } = await scene.pair('inproc', {
        onMessage(connection) {
          if (failing) throw failure;
          connection.pop();
        },
      });
      local.send('once more');
      const error = await server.run().then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).to.equal(failure);
      failing = false;
      const stop = new AbortController();
      const running = server.run({ signal: stop.signal });
      await waitFor(() => remote.popped === 1);
      stop.abort();
      await running;
    });
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

  describe('a process', () => {
    const lives: [string, string, boolean][] = [
      ['listens with native sockets', "wire: 'native'", false],
      ['listens with node:net', "wire: 'net'", true],
    ];
    for (const [what, option, stays] of lives) {
      it(`that ${what} and does nothing else ${stays ? 'stays' : 'ends'}`, async () => {
        const { child, words } = scene.child(
          `const server = new tcpshm.Server({ name: 'server', ${option} });
           await server.listen({ port: 0 });
           process.stdin.on('data', async () => { await server.close(); process.stdin.destroy(); });
           process.stdin.unref();
           say('up');`,
        );
        await scene.until(() => words.length > 0, 'the process');
        if (stays) {
          expect(child.exitCode).to.equal(null);
          child.stdin?.write('close');
        }
        await scene.until(() => child.exitCode !== null, 'its end');
        expect(child.exitCode).to.equal(0);
      });
    }
  });

  it('userData and sessions are closed with the client, once', async () => {
    const { client, local } = await scene.pair('shm');
    await client.close();
    expect(local.state).to.equal('closed');
    expect(client.connection).to.equal(null);
    expectCode(() => client.poll(), 'ERR_CLOSED');
  });
});

const NO_FOLDER = { directory: undefined as unknown as string };

/** The link ends without a goodbye, as when the network goes away. */
function dropLink(connection: Connection): void {
  connection.disconnect({}, () => {});
}

/** How the death of a process shows: over tcp its kernel resets the connection if something was not read yet. */
function endsOf(way: string): DisconnectReason[] {
  return way === 'shm' ? ['peer ended'] : ['peer ended', 'network failed'];
}

function env(way: string): Record<string, string> {
  return { WIRE: way === 'tcp net' ? 'net' : 'native' };
}

/** For what drives itself. The watchdog is that of the runner. */
async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}
