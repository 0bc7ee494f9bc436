import { join } from 'node:path';
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
import { expectCode } from '../support/failure.js';
import { dropLink, newName, type Pair, Scene, WAYS } from './support.js';

const SOCKET_WAYS = ['tcp native', 'tcp net', 'shm'] as const;

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
          const serve = (group: number): boolean =>
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

  it('userData and sessions are closed with the client, once', async () => {
    const { client, local } = await scene.pair('shm');
    await client.close();
    expect(local.state).to.equal('closed');
    expect(client.connection).to.equal(null);
    expectCode(() => client.poll(), 'ERR_CLOSED');
  });
});

/** How the death of a process shows: over tcp its kernel resets the connection if something was not read yet. */
function endsOf(way: string): DisconnectReason[] {
  return way === 'shm' ? ['peer ended'] : ['peer ended', 'network failed'];
}

function env(way: string): Record<string, string> {
  return { WIRE: way === 'tcp net' ? 'net' : 'native' };
}
