import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import type { ConnectOptions, Login, Server, ServerOptions, TlsListenOptions } from '../../lib/index.js';
import { authority, certificate, type Holder, stranger } from '../support/certificates.js';
import { carryPlainly, Relay } from '../support/relay.js';
import { LoginScene } from './loginScene.js';
import { RawClient } from './rawClient.js';
import { expectError } from './support.js';

type TlsTarget = Extract<ConnectOptions, { port: number }>;

describe('tls', () => {
  let scene: LoginScene;
  beforeEach(() => {
    scene = new LoginScene();
  });
  afterEach(() => scene.end());

  function serve(options: Partial<ServerOptions> = {}): Server {
    return scene.server({
      onMessage(connection, message) {
        const text = message.text();
        connection.pop();
        connection.send(`${text}!`);
      },
      ...options,
    });
  }

  /** Lets it listen with TLS, and gives what a client needs that trusts it. */
  async function listen(
    server: Server,
    who: Holder = 'server',
    more: Partial<TlsListenOptions> = {},
  ): Promise<TlsTarget> {
    const { port } = await server.listen({ port: 0, tls: { ...certificate(who), ca: authority, ...more } });
    return { port, transport: 'tcp', tls: { ca: authority } };
  }

  /** What a client has heard, with a way to ask and to wait for the answer. */
  function talker(options = {}) {
    const heard: string[] = [];
    const client = scene.client({
      onMessage(connection, message) {
        heard.push(message.text());
        connection.pop();
      },
      ...options,
    });
    const ask = async (text: string): Promise<void> => {
      const connection = client.connection as NonNullable<typeof client.connection>;
      connection.send(text);
      await scene.until(() => heard.includes(`${text}!`), `the answer to ${text}`);
    };
    return { client, heard, ask };
  }

  for (const wire of ['native', 'net'] as const) {
    it(`carries messages both ways, whatever the wire is (${wire})`, async () => {
      const server = serve({ wire });
      const { client, ask } = talker({ wire });
      await scene.connect(client, await listen(server));
      await ask('hello');
      expect(scene.logins[0]?.tls).to.include({
        authorized: false,
        authorizationError: null,
        certificate: null,
      });
      expect(scene.logins[0]?.tls?.protocol).to.match(/^TLSv1\.[23]$/);
    });
  }

  it('puts nothing readable on the line', async () => {
    const server = serve();
    const target = await listen(server);
    const seen: Buffer[] = [];
    const relay = await Relay.listen((near, far) => {
      near.on('data', (chunk: Buffer) => seen.push(chunk));
      far.on('data', (chunk: Buffer) => seen.push(chunk));
      carryPlainly(near, far);
    });
    try {
      relay.targetPort = target.port;
      const { client, ask } = talker();
      await scene.connect(client, { ...target, port: relay.port, login: Buffer.from('passphrase') });
      await ask('between you and me');
      const line = Buffer.concat(seen);
      expect(line.length).to.be.above(500);
      for (const text of ['between', 'passphrase', scene.clientName])
        expect(line.includes(text)).to.equal(false);
    } finally {
      await relay.close();
    }
  });

  it('resumes a session over a cut connection: nothing is lost or repeated', async () => {
    const received: string[] = [];
    const server = serve({
      onMessage(connection, message) {
        received.push(message.text());
        connection.pop();
      },
    });
    const target = await listen(server);
    const relay = await Relay.listen();
    try {
      relay.targetPort = target.port;
      const { client } = talker();
      const address = { ...target, port: relay.port };
      const connection = await scene.connect(client, address);
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 20; i++) connection.send(`${round}.${i}`);
        const { cuts } = relay;
        relay.cut();
        expect(relay.cuts).to.be.above(cuts);
        await scene.until(() => connection.state !== 'connected', 'the client to notice');
        expect(await scene.connect(client, address)).to.equal(connection);
      }
      await scene.until(() => received.length >= 100, 'all messages');
      const expected = Array.from({ length: 100 }, (_, i) => `${Math.floor(i / 20)}.${i % 20}`);
      expect(received).to.deep.equal(expected);
    } finally {
      await relay.close();
    }
  });

  it('resumes a session from its journal after both processes went', async () => {
    const first = serve();
    const target = await listen(first);
    const { client } = talker();
    const connection = await scene.connect(client, target);
    await first.close();
    await scene.until(() => connection.state === 'disconnected', 'the client to notice');
    connection.send('kept');
    await client.close();
    const again = talker();
    await scene.connect(again.client, await listen(serve()));
    await scene.until(() => again.heard.includes('kept!'), 'the answer to what was pushed before');
  });

  it('connects again by itself, with what a function gives for each attempt', async () => {
    const server = serve();
    const target = await listen(server);
    const relay = await Relay.listen();
    try {
      relay.targetPort = target.port;
      let asked = 0;
      const tls = () => {
        asked++;
        return { ca: authority };
      };
      const { client, ask } = talker({ reconnect: { initialDelayMs: 1 } });
      await scene.connect(client, { ...target, port: relay.port, tls });
      relay.cut();
      await scene.until(() => client.connection?.state === 'disconnected', 'the client to notice');
      await scene.until(() => client.connection?.state === 'connected', 'another login');
      expect(asked).to.equal(2);
      await ask('again');
    } finally {
      await relay.close();
    }
  });

  for (const transport of ['shm', 'auto'] as const) {
    it(`logs in over TLS, and shares memory after that with transport '${transport}' on one host`, async () => {
      const server = serve();
      const target = await listen(server);
      const { client, ask } = talker();
      const connection = await scene.connect(client, { ...target, transport });
      expect(connection.transport).to.equal('shm');
      expect(scene.logins[0]?.tls).to.not.equal(null);
      await ask('hello');
    });
  }

  describe('with certificates of clients', () => {
    const mutual = { requestCert: true };

    it('gives the identity of the client to acceptLogin', async () => {
      const server = serve();
      const target = await listen(server, 'server', mutual);
      const { client, ask } = talker();
      await scene.connect(client, { ...target, tls: { ca: authority, ...certificate('client') } });
      await ask('hello');
      const { tls } = scene.logins[0] as Login;
      expect(tls).to.include({ authorized: true, authorizationError: null });
      expect(tls?.certificate?.subject).to.deep.equal({ CN: 'client' });
      expect(tls?.certificate?.issuer).to.deep.equal({ CN: 'tcpshm spec authority' });
      expect(tls?.certificate?.subjectAltName).to.equal('URI:tcpshm:client, DNS:client.invalid');
      expect(tls?.certificate?.fingerprint256).to.match(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    });

    it('lets nobody in without one: both sides are told', async () => {
      const server = serve();
      const target = await listen(server, 'server', mutual);
      const { client } = talker();
      await scene.refused(client.connect(target), 'ERR_TLS', /must show a certificate/);
      expectError(await scene.firstError(), 'ERR_TLS', /127\.0\.0\.1:\d+.*must show a certificate/);
      expect(scene.logins).to.deep.equal([]);
      expect(scene.files()).to.deep.equal([]);
    });

    it('lets nobody in with one of an authority that is not trusted: both sides are told', async () => {
      const server = serve();
      const target = await listen(server, 'server', mutual);
      const { client } = talker();
      const tls = { ca: authority, ...certificate('intruder') };
      await scene.refused(
        client.connect({ ...target, tls }),
        'ERR_TLS',
        /not accepted: [A-Z_]*(VERIFY|ISSUER)/,
      );
      expectError(await scene.firstError(), 'ERR_TLS', /not accepted/);
      expect(scene.logins).to.deep.equal([]);
    });

    it('lets nobody in with one that has expired', async () => {
      const server = serve();
      const target = await listen(server, 'server', mutual);
      const { client } = talker();
      const tls = { ca: authority, ...certificate('expired') };
      await scene.refused(client.connect({ ...target, tls }), 'ERR_TLS', /CERT_HAS_EXPIRED/);
      expect(scene.logins).to.deep.equal([]);
    });

    it('leaves it to acceptLogin where rejectUnauthorized is false', async () => {
      const server = serve({
        acceptLogin(login) {
          scene.logins.push(login);
          return login.tls?.authorized
            ? { group: 0 }
            : { reject: `you are ${login.tls?.authorizationError}` };
        },
      });
      const target = await listen(server, 'server', { ...mutual, rejectUnauthorized: false });
      const { client } = talker();
      const tls = { ca: authority, ...certificate('intruder') };
      await scene.refused(
        client.connect({ ...target, tls }),
        'ERR_LOGIN_REJECTED',
        /you are [A-Z_]*(VERIFY|ISSUER)/,
      );
      expect(scene.logins[0]?.tls).to.include({ authorized: false });
      expect(scene.logins[0]?.tls?.certificate?.subject).to.deep.equal({ CN: 'client' });
    });
  });

  describe('does not believe', () => {
    const cases: [string, Holder, object, RegExp][] = [
      [
        'a server of an authority that is not trusted',
        'server',
        { ca: stranger },
        /not accepted: [A-Z_]*(VERIFY|ISSUER|SIGNED)/,
      ],
      [
        'a server whose certificate has expired',
        'expired',
        { ca: authority },
        /not accepted.*CERT_HAS_EXPIRED/,
      ],
      [
        'a server of another name',
        'elsewhere',
        { ca: authority },
        /not accepted.*ERR_TLS_CERT_ALTNAME_INVALID/,
      ],
    ];
    for (const [what, who, tls, message] of cases) {
      it(`${what}`, async () => {
        const server = serve();
        const target = await listen(server, who);
        const { client } = talker();
        await scene.refused(client.connect({ ...target, tls }), 'ERR_TLS', message);
        expect(scene.logins).to.deep.equal([]);
        // The server goes on, and so does the client: with another one.
        const good = await listen(server);
        await scene.connect(client, good);
      });
    }

    it('a server of another name, unless that is the one that is meant', async () => {
      const { client, ask } = talker();
      const target = await listen(serve(), 'elsewhere');
      await scene.connect(client, { ...target, tls: { ca: authority, servername: 'elsewhere.invalid' } });
      await ask('hello');
    });
  });

  describe('where only one side speaks it', () => {
    for (const wire of ['native', 'net'] as const) {
      it(`a client without is told by a server with (${wire})`, async () => {
        const { port } = await listen(serve());
        const { client } = talker({ wire });
        const connecting = client.connect({ port, transport: 'tcp' });
        await scene.refused(connecting, 'ERR_TLS', /TLS was expected, the client sent plain text/);
        expectError(await scene.firstError(), 'ERR_TLS', /client at 127\.0\.0\.1:\d+: it does not speak TLS/);
      });

      it(`a client with is told of a server without (${wire})`, async () => {
        const { port } = await serve({ wire }).listen({ port: 0 });
        const { client } = talker();
        const connecting = client.connect({ port, transport: 'tcp', tls: { ca: authority } });
        await scene.refused(
          connecting,
          'ERR_TLS',
          /TLS was expected of 127\.0\.0\.1:\d+, which does not speak it/,
        );
        expectError(await scene.firstError(), 'ERR_TLS', /the peer speaks TLS/);
      });
    }

    it('a client with is told in time of a server that says nothing', async () => {
      const address = await scene.listener();
      const { client } = talker({ loginTimeoutMs: 50 });
      await scene.refused(client.connect({ ...address, tls: true }), 'ERR_LOGIN_TIMEOUT');
    });

    it('a client with is told of a server that hangs up', async () => {
      const address = await scene.listener((socket) => socket.end());
      const { client } = talker();
      await scene.refused(client.connect({ ...address, tls: true }), 'ERR_CONNECT');
    });

    it('a client with is told where nobody listens', async () => {
      const { client } = talker();
      const server = serve();
      const target = await listen(server);
      await server.close();
      await scene.refused(client.connect(target), 'ERR_CONNECT', /ECONNREFUSED/);
    });
  });

  describe('harms only the offender', () => {
    it('who sends garbage in place of a handshake, or behind its begin', async () => {
      const server = serve();
      const target = await listen(server);
      for (const bytes of [[0x16, 3, 1, 0, 4, 9, 9, 9, 9], [0x16], [0], [0x47, 0x45, 0x54, 0x20]]) {
        const raw = await RawClient.connect('raw', scene, target);
        raw.say(Uint8Array.from(bytes));
        if (bytes.length === 1 && bytes[0] === 0x16) raw.reset();
        await scene.until(() => raw.ended, 'the server to hang up');
      }
      await scene.until(() => scene.errors.length >= 4, 'the server to be told');
      for (const error of scene.errors) expectError(error, 'ERR_TLS');
      const { client, ask } = talker();
      await scene.connect(client, target);
      await ask('still there');
    });

    it('who sends garbage within TLS', async () => {
      const server = serve();
      const target = await listen(server);
      const socket = connectTls({ port: target.port, host: '127.0.0.1', ca: authority });
      socket.on('error', () => {});
      let ended = false;
      socket.on('close', () => {
        ended = true;
      });
      await once(socket, 'secureConnect');
      socket.resume();
      socket.write('x'.repeat(100));
      await scene.until(() => ended, 'the server to hang up');
      expectError(await scene.firstError(), 'ERR_PROTOCOL', /other bytes/);
      const { client, ask } = talker();
      await scene.connect(client, target);
      await ask('still there');
    });

    it('who says nothing: it is dropped in time', async () => {
      const server = serve({ loginTimeoutMs: 50 });
      const target = await listen(server);
      const silent = await RawClient.connect('silent', scene, target);
      await scene.until(() => silent.ended, 'the server to drop it');
      expectError(await scene.firstError(), 'ERR_TLS', /not complete after 50 ms/);
    });

    it('who sends its handshake byte by byte: it is dropped in time', async () => {
      const server = serve({ loginTimeoutMs: 100 });
      const target = await listen(server);
      // A good beginning of a handshake, as a client of node:tls has it.
      let hello = Buffer.alloc(0);
      const recorder = await scene.listener((socket) =>
        socket.on('data', (chunk: Buffer) => {
          hello = Buffer.concat([hello, chunk]);
        }),
      );
      const model = connectTls({ port: recorder.port, host: '127.0.0.1' });
      model.on('error', () => {});
      await scene.until(() => hello.length > 100, 'a handshake to begin');
      model.destroy();
      const slow = await RawClient.connect('slow', scene, target);
      expect(await slow.drip(hello)).to.be.above(1);
      expectError(await scene.firstError(), 'ERR_TLS', /not complete after 100 ms/);
    });

    it('who begins more handshakes than may be pending: the oldest go', async () => {
      const server = serve({ maxPendingLogins: 4 });
      const target = await listen(server);
      const silent = await Promise.all(
        Array.from({ length: 10 }, () => RawClient.connect('silent', scene, target)),
      );
      await scene.until(() => silent.filter(({ ended }) => ended).length >= 6, 'the oldest to be dropped');
      const { client, ask } = talker();
      await scene.connect(client, target);
      await ask('there is room');
      expect(silent.filter(({ ended }) => !ended)).to.have.length(3);
    });

    it('who only looks whether somebody is there: no error is told', async () => {
      const server = serve();
      const target = await listen(server);
      for (let i = 0; i < 3; i++) {
        const socket = connectPlain({ port: target.port, host: '127.0.0.1' });
        await once(socket, 'connect');
        socket.destroy();
        await once(socket, 'close');
      }
      const { client, ask } = talker();
      await scene.connect(client, target);
      await ask('hello');
      expect(scene.errors).to.deep.equal([]);
    });
  });

  describe('a certificate that is renewed', () => {
    it('is shown to the next clients, while those that are connected stay so', async () => {
      const server = serve();
      const target = await listen(server);
      const old = talker();
      const connection = await scene.connect(old.client, target);
      server.setSecureContext({ ...certificate('renewed'), ca: authority });
      const shown: string[] = [];
      const checkServerIdentity = (_: string, { subject }: { subject: object }): undefined => {
        shown.push((subject as { CN: string }).CN);
      };
      const other = talker({ name: `${scene.clientName}-2` });
      await scene.connect(other.client, { ...target, tls: { ca: authority, checkServerIdentity } });
      expect(shown).to.deep.equal(['renewed']);
      await old.ask('still there');
      expect(connection.state).to.equal('connected');
    });

    it('is not taken where it cannot be read, and all stays as it was', async () => {
      const server = serve();
      const target = await listen(server);
      expect(() => server.setSecureContext({ key: 'no key', cert: 'no certificate' }))
        .to.throw(Error)
        .with.property('code', 'ERR_OPTION');
      const { client, ask } = talker();
      await scene.connect(client, target);
      await ask('hello');
    });

    it('needs an address with TLS', async () => {
      const server = serve();
      const { port } = await server.listen({ port: 0 });
      expect(() => server.setSecureContext(certificate('renewed'), { host: '127.0.0.1', port }))
        .to.throw(Error)
        .with.property('code', 'ERR_OPTION');
    });
  });

  describe('options', () => {
    const bad: [string, unknown][] = [
      ['true', true],
      ['null', null],
      ['nothing to show', { ca: authority }],
      ['a key alone', { key: certificate('server').key }],
      ['a key that is none', { key: 'x', cert: 'y' }],
      ['the key of another one', { key: certificate('client').key, cert: certificate('server').cert }],
      ['a socket', { ...certificate('server'), socket: {} }],
      ['requestCert that is no flag', { ...certificate('server'), requestCert: 'yes' }],
    ];
    for (const [what, tls] of bad) {
      it(`a server cannot listen with ${what}`, async () => {
        const listening = serve().listen({ port: 0, tls: tls as TlsListenOptions });
        await scene.refused(listening, 'ERR_OPTION', /tls/);
      });
    }

    for (const [what, tls] of [
      ['false', false],
      ['a text', 'yes'],
      ['a host within', { host: 'elsewhere' }],
      ['a certificate that is none', { ca: authority, key: 'x', cert: 'y' }],
    ] as [string, unknown][]) {
      it(`a client cannot connect with ${what}`, async () => {
        const { client } = talker();
        await scene.refused(client.connect({ port: 1, tls: tls as true }), 'ERR_OPTION', /tls/);
      });
    }

    it('go with a host and port only', async () => {
      const path = `${scene.folders.directory}/socket`;
      const { client } = talker();
      const tls = certificate('server');
      await scene.refused(
        client.connect({ path, tls } as unknown as ConnectOptions),
        'ERR_OPTION',
        /host and port/,
      );
      await scene.refused(serve().listen({ path, tls } as { path: string }), 'ERR_OPTION', /host and port/);
    });

    it('do not go with groups in threads, whose sockets are passed on', async () => {
      const server = serve({ groups: { worker: 'data:text/javascript,' } });
      await scene.refused(listen(server), 'ERR_OPTION', /node:tls/);
    });
  });
});
