import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { Server, type TcpshmError } from '../../lib/index.js';
import { decodeReject } from '../../lib/session/loginMessages.js';
import { newName, Scene, WAYS } from './support.js';

const SOCKET_WAYS = ['tcp native', 'tcp net', 'shm'] as const;

describe('when a peer is dead', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

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
        // Whole milliseconds: sums of others are rounded, and may come short of an interval.
        let servers = Math.ceil(performance.now()) + 1000;
        let clients = servers;
        for (let blocks = 0; blocks < 3; blocks++) {
          server.poll(servers);
          client.poll(clients);
          await nextTurn();
          // A sign of life gets as far as this host while a handler of the server's does not return.
          clients += 3000;
          client.poll(clients);
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
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
});
