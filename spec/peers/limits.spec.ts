import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ListenOptions, ServerOptions } from '../../lib/index.js';
import { controlFrame, FrameKind } from '../../lib/session/frame.js';
import { decodeReject } from '../../lib/session/loginMessages.js';
import { authority, certificate } from '../support/certificates.js';
import { helloFrame } from '../support/frames.js';
import { LoginScene } from './loginScene.js';
import { RawClient } from './rawClient.js';
import { expectError } from './support.js';

const KEY = { id: 'k', secret: randomBytes(32) };
const ELSEWHERE = '127.0.0.2';

describe('the limits of a server', () => {
  let scene: LoginScene;
  beforeEach(() => {
    scene = new LoginScene();
  });
  afterEach(() => scene.end());

  /** One that says something wrong, and what it is told. */
  async function offend(port: number, from?: string): Promise<string> {
    const raw = await RawClient.connect('raw', scene, { port }, from);
    raw.say(helloFrame('raw'));
    await scene.until(() => raw.ended, 'the server to hang up');
    const [frame] = raw.frames;
    return frame === undefined ? '' : decodeReject(frame.payload).reason;
  }

  describe('on failed logins', () => {
    for (const wire of ['native', 'net'] as const) {
      it(`refuse the address for a while, and no other one (${wire})`, async () => {
        const server = scene.server({ wire, maxFailedLogins: 3 });
        const { port } = await server.listen({ port: 0, keys: { k: KEY.secret } });
        for (let i = 0; i < 3; i++) expect(await offend(port)).to.match(/the client has none/);
        expect(scene.errors.map(({ code }) => code)).to.deep.equal([
          ...Array(3).fill('ERR_AUTHENTICATION'),
          'ERR_LOGIN_REJECTED',
        ]);
        expectError(scene.errors[3], 'ERR_LOGIN_REJECTED', /3 logins from 127\.0\.0\.1 have failed/);
        expect(await offend(port)).to.match(/too many logins/);
        // Even one who has the key; and nothing more is told.
        await scene.refused(
          scene.client().connect({ port, transport: 'tcp', key: KEY }),
          'ERR_CONNECT',
          /too many logins from this address/,
        );
        expect(scene.errors).to.have.length(4);
        expect(await offend(port, ELSEWHERE)).to.match(/the client has none/);
      });
    }

    it('forget them with time', async () => {
      const server = scene.server({ maxFailedLogins: 2, failedLoginWindowMs: 30 });
      const { port } = await server.listen({ port: 0, keys: { k: KEY.secret } });
      const client = scene.client();
      for (let i = 0; i < 2; i++) await offend(port);
      expect(await offend(port)).to.match(/too many logins|the client has none/);
      const start = performance.now();
      await scene.until(() => performance.now() - start > 40, 'the time to pass');
      await scene.connect(client, { port, key: KEY });
    });

    it('count those that fail in TLS, which then get no handshake', async () => {
      const server = scene.server({ maxFailedLogins: 2 });
      const { port } = await server.listen({ port: 0, tls: certificate('server') });
      for (let i = 0; i < 2; i++) await offend(port);
      await scene.until(() => scene.errors.length >= 3, 'the server to be told');
      expect(scene.errors.map(({ code }) => code)).to.deep.equal([
        'ERR_TLS',
        'ERR_TLS',
        'ERR_LOGIN_REJECTED',
      ]);
      expect(await offend(port)).to.equal('');
      const connecting = scene.client().connect({ port, tls: { ca: authority } });
      await scene.refused(connecting, 'ERR_CONNECT');
      expect(scene.errors).to.have.length(3);
    });

    it('count those that acceptLogin rejects, and that break the protocol', async () => {
      const server = scene.server({ maxFailedLogins: 2, acceptLogin: () => ({ reject: 'no' }) });
      const { port } = await server.listen({ port: 0 });
      await scene.refused(scene.client().connect({ port }), 'ERR_LOGIN_REJECTED', /no/);
      const raw = await RawClient.connect('raw', scene, { port });
      raw.say(Buffer.alloc(100, 1));
      await scene.until(() => raw.ended, 'the server to hang up');
      expect(await offend(port)).to.match(/too many logins/);
    });

    it('let a client that connects again by itself go on trying, until it may', async () => {
      const server = scene.server({ maxFailedLogins: 1, failedLoginWindowMs: 1000 });
      const { port } = await server.listen({ port: 0, keys: { k: KEY.secret } });
      const outcomes: string[] = [];
      const client = scene.client({
        reconnect: { initialDelayMs: 10, maxDelayMs: 10 },
        onReconnect: ({ outcome }) => outcomes.push(outcome),
      });
      await scene.connect(client, { port, transport: 'tcp', key: KEY });
      await offend(port);
      server.connections[0]?.close();
      await scene.until(() => outcomes.includes('connected'), 'the client to be in again');
      expect(outcomes).to.include('failed');
      expect(outcomes).to.not.include('given up');
    });

    it('count none that an honest client runs into', async () => {
      const server = scene.server({ maxFailedLogins: 1, maxConnections: 1 });
      const { port } = await server.listen({ port: 0 });
      await scene.connect(scene.client(), { port });
      const other = scene.client({ name: `${scene.clientName}-2` });
      for (let i = 0; i < 3; i++) {
        await scene.refused(other.connect({ port }), 'ERR_LOGIN_REJECTED', /has its 1 connections/);
      }
      const again = scene.client();
      for (let i = 0; i < 3; i++) await scene.refused(again.connect({ port }), 'ERR_ALREADY_CONNECTED');
      const picky = scene.client({ name: `${scene.clientName}-3`, sendCapacityBytes: 8192 });
      for (let i = 0; i < 3; i++) await scene.refused(picky.connect({ port }), 'ERR_CAPACITY');
    });

    it('count nothing of local sockets', async () => {
      const path = join(scene.folders.directory, 'socket');
      await scene.server({ maxFailedLogins: 1 }).listen({ path, keys: { k: KEY.secret } });
      const client = scene.client();
      for (let i = 0; i < 3; i++) await scene.refused(client.connect({ path }), 'ERR_AUTHENTICATION');
      await scene.connect(client, { path, key: KEY });
    });
  });

  it('on logins per second let the others wait, and lose none', async () => {
    const server = scene.server({ maxLoginsPerSecond: 20 });
    const { port } = await server.listen({ port: 0 });
    const clients = Array.from({ length: 30 }, (_, i) =>
      scene.client({ name: `${scene.clientName}-${i}`, loginTimeoutMs: 30_000 }),
    );
    const started = performance.now();
    const connecting = Promise.all(clients.map((client) => client.connect({ port, transport: 'tcp' })));
    let beyond = 0;
    await scene.until(() => {
      // At once as many as in a second, and then what each part of a second allows.
      const allowed = 20 + (performance.now() - started) / 50;
      beyond = Math.max(beyond, scene.logins.length - allowed);
      return scene.logins.length === 30;
    }, 'all logins');
    expect(beyond).to.be.below(1);
    await scene.settled(connecting, 'all clients');
  });

  describe('on pending logins', () => {
    it('drop one from where the most come: who floods does not push out others', async () => {
      const server = scene.server({ maxPendingLogins: 4 });
      const { port } = await server.listen({ port: 0 });
      const slow = await RawClient.connect('slow', scene, { port }, ELSEWHERE);
      const flood: RawClient[] = [];
      for (let i = 0; i < 20; i++) {
        flood.push(await RawClient.connect(`flood-${i}`, scene, { port }));
        await scene.turn();
      }
      await scene.until(() => flood.filter(({ ended }) => ended).length >= 17, 'the flood to be dropped');
      expect(slow.ended).to.equal(false);
      expect(await slow.hello()).to.have.property('sessionId');
    });

    it('drop one that sends its login byte by byte in time', async () => {
      const server = scene.server({ loginTimeoutMs: 100 });
      const { port } = await server.listen({ port: 0 });
      const slow = await RawClient.connect('slow', scene, { port });
      expect(await slow.drip(helloFrame('slow', { login: new Uint8Array(4096) }))).to.be.above(1);
      expectError(await scene.firstError(), 'ERR_LOGIN_TIMEOUT', /not complete after 100 ms/);
    });

    it('let nobody have sessions made again and again in one login', async () => {
      const server = scene.server();
      const { port } = await server.listen({ port: 0 });
      const raw = await RawClient.connect('raw', scene, { port });
      const { native } = await import('../../lib/memory/native.js');
      const fields = { transport: 'auto', bootId: native().bootId() } as const;
      const offer = await raw.hello(fields);
      if ('code' in offer) throw new Error(offer.reason);
      const { encodeAttach } = await import('../../lib/session/loginMessages.js');
      const { FRESH_STATE } = await import('../../lib/session/state.js');
      const cannot = controlFrame(
        FrameKind.attach,
        encodeAttach({ outcome: 'cannot share memory', sessionId: offer.sessionId, state: FRESH_STATE }),
      );
      raw.say(cannot);
      expect(await raw.hello(fields)).to.have.property('sessionId');
      raw.say(cannot);
      await scene.until(() => raw.ended, 'the server to hang up');
      expectError(await scene.firstError(), 'ERR_PROTOCOL', /cannot share it/);
      expect(scene.files()).to.deep.equal([]);
    });
  });

  describe('on sessions of one client', () => {
    const clientOf = (i: number) => scene.client({ name: `${scene.clientName}-${i}` });

    it('are of its address, if nothing better is known of it', async () => {
      const server = scene.server({ maxSessionsPerIdentity: 2 });
      const { port } = await server.listen({ port: 0 });
      const clients = [0, 1, 2].map(clientOf);
      await scene.connect(clients[0] as never, { port, transport: 'tcp' });
      await scene.connect(clients[1] as never, { port, transport: 'tcp' });
      await scene.refused(
        (clients[2] as (typeof clients)[0]).connect({ port, transport: 'tcp' }),
        'ERR_LOGIN_REJECTED',
        /address 127\.0\.0\.1 has its 2 sessions/,
      );
      // Its own name is not one more, and a session that is not there any more counts no more.
      await clients[0]?.close();
      await scene.until(() => server.members.length === 1, 'the server to notice');
      await scene.connect(clientOf(0), { port, transport: 'tcp' });
      const raw = await RawClient.connect('raw', scene, { port }, ELSEWHERE);
      await raw.login();
      for (const connection of server.connections) {
        if (connection.remoteName === `${scene.clientName}-1`) connection.close({ remove: true });
      }
      await scene.connect(clients[2] as never, { port, transport: 'tcp' });
    });

    it('are of its key, its certificate, or its user', async () => {
      const server = scene.server({ maxSessionsPerIdentity: 1 });
      const path = join(scene.folders.directory, 'socket');
      const keyed = await server.listen({ port: 0, keys: { k: KEY.secret, l: KEY.secret } });
      const tls = { ...certificate('server'), ca: authority, requestCert: true };
      const secured = await server.listen({ port: 0, tls });
      await server.listen({ path });
      const mine = { ca: authority, ...certificate('client') };
      const other = { ca: authority, ...certificate('renewed') };
      await scene.connect(clientOf(0), { port: keyed.port, key: KEY });
      await scene.refused(
        clientOf(1).connect({ port: keyed.port, key: KEY }),
        'ERR_LOGIN_REJECTED',
        /key k has its 1/,
      );
      await scene.connect(clientOf(2), { port: keyed.port, key: { ...KEY, id: 'l' } });
      await scene.connect(clientOf(3), { port: secured.port, tls: mine });
      await scene.refused(
        clientOf(4).connect({ port: secured.port, tls: mine }),
        'ERR_LOGIN_REJECTED',
        /certificate [0-9A-F:]+ has its 1/,
      );
      await scene.connect(clientOf(5), { port: secured.port, tls: other });
      await scene.connect(clientOf(6), { path });
      const user = new RegExp(`user ${process.geteuid?.()} has its 1`);
      await scene.refused(clientOf(7).connect({ path }), 'ERR_LOGIN_REJECTED', user);
    });
  });

  it('on capacities that clients choose are 16 MiB, or what it says, where it has none of its own', async () => {
    const open = { sendCapacityBytes: {}, receiveCapacityBytes: {} };
    const server = scene.server(open);
    const { port } = await server.listen({ port: 0 });
    const client = scene.client({ sendCapacityBytes: 2 ** 25 });
    await scene.refused(client.connect({ port, transport: 'tcp' }), 'ERR_CAPACITY', /up to 16777216 bytes/);
    expect(scene.files()).to.deep.equal([]);
    const strict = scene.server({ ...open, maxCapacityBytes: 4096 });
    const { port: other } = await strict.listen({ port: 0 });
    const greedy = scene.client({ receiveCapacityBytes: 8192 });
    await scene.refused(
      greedy.connect({ port: other, transport: 'tcp' }),
      'ERR_CAPACITY',
      /maxCapacityBytes/,
    );
    await scene.connect(scene.client({ receiveCapacityBytes: 4096 }), { port: other, transport: 'tcp' });
  });

  it('let acceptLogin know the process at the other end of a Unix socket, and of no other', async () => {
    const server = scene.server();
    const path = join(scene.folders.directory, 'socket');
    await server.listen({ path });
    const { port } = await server.listen({ port: 0 });
    await scene.connect(scene.client({ name: `${scene.clientName}-1` }), { path });
    await scene.connect(scene.client({ name: `${scene.clientName}-2` }), { port });
    const mine = { pid: process.pid, uid: process.geteuid?.(), gid: process.getegid?.() };
    expect(scene.logins.map((login) => login.process)).to.deep.equal([mine, null]);
    const netPath = join(scene.folders.directory, 'net');
    await scene.server({ wire: 'net' }).listen({ path: netPath });
    await scene.connect(scene.client({ name: `${scene.clientName}-3` }), { path: netPath });
    expect(scene.logins[2]?.process).to.equal(null);
  });

  describe('on addresses that others reach', () => {
    const beyond = ['0.0.0.0', '::', '192.0.2.1', 'example.invalid'];
    for (const host of beyond) {
      it(`refuse to listen on ${host} where anybody could log in`, async () => {
        const server = scene.server();
        const tls = certificate('server');
        for (const options of [
          {},
          { tls },
          { tls: { ...tls, requestCert: true, rejectUnauthorized: false } },
        ]) {
          const listening = server.listen({ host, port: 0, ...options } as ListenOptions);
          await scene.refused(listening, 'ERR_INSECURE', /keys.*allowUnauthenticated/);
        }
      });
    }

    const ways: [string, object][] = [
      ['it was said', { allowUnauthenticated: true }],
      ['a key is needed', { keys: { k: KEY.secret } }],
      ['a certificate is needed', { tls: { ...certificate('server'), ca: authority, requestCert: true } }],
    ];
    for (const [why, options] of ways) {
      it(`listen on 0.0.0.0 where ${why}`, async () => {
        const { port } = (await scene.server().listen({ host: '0.0.0.0', port: 0, ...options })) as {
          port: number;
        };
        expect(port).to.be.above(0);
      });
    }

    for (const host of ['127.0.0.1', '127.0.0.9', '::1', 'localhost']) {
      it(`have nothing against ${host}`, async () => {
        try {
          await scene.server().listen({ host, port: 0 });
        } catch (error) {
          // This host may have no IPv6.
          expectError(error, 'ERR_LISTEN');
          expect(host).to.equal('::1');
        }
      });
    }

    it('take no other answer than true or false', async () => {
      const options = { host: '0.0.0.0', port: 0, allowUnauthenticated: 'yes' } as unknown as ListenOptions;
      await scene.refused(scene.server().listen(options), 'ERR_OPTION', /allowUnauthenticated/);
    });
  });

  describe('cannot be', () => {
    const bad: [keyof ServerOptions, unknown][] = [
      ['maxLoginsPerSecond', 0],
      ['maxLoginsPerSecond', 1.5],
      ['maxFailedLogins', 0],
      ['maxFailedLogins', '3'],
      ['failedLoginWindowMs', 0],
      ['maxSessionsPerIdentity', 0],
      ['maxSessionsPerIdentity', null],
      ['maxCapacityBytes', 5000],
      ['maxCapacityBytes', 2 ** 31],
    ];
    for (const [option, value] of bad) {
      it(`${option}: ${value}`, () => {
        expect(() => scene.server({ [option]: value }))
          .to.throw(Error)
          .with.property('code')
          .that.is.oneOf(['ERR_OPTION', 'ERR_CAPACITY']);
      });
    }
  });
});
