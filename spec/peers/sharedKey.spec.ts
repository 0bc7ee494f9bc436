import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ConnectOptions, ListenOptions, SharedKey, SharedKeys } from '../../lib/index.js';
import { controlFrame, FrameKind } from '../../lib/session/frame.js';
import { decodeReject, encodeClaim } from '../../lib/session/loginMessages.js';
import { authority, certificate } from '../support/certificates.js';
import { framesOf, helloFrame } from '../support/frames.js';
import { carryPlainly, Relay } from '../support/relay.js';
import { LoginScene } from './loginScene.js';
import { RawClient } from './rawClient.js';
import { expectError } from './support.js';

const OLD: SharedKey = { id: 'old', secret: randomBytes(32) };
const NEW: SharedKey = { id: 'new', secret: randomBytes(32) };
const BOTH = { old: OLD.secret, new: NEW.secret };

describe('a shared key', () => {
  let scene: LoginScene;
  beforeEach(() => {
    scene = new LoginScene();
  });
  afterEach(() => scene.end());

  async function port(keys: SharedKeys | undefined, server = scene.server()): Promise<number> {
    return (await server.listen(keys === undefined ? { port: 0 } : { port: 0, keys })).port;
  }

  for (const wire of ['native', 'net'] as const) {
    for (const transport of ['tcp', 'shm'] as const) {
      it(`lets a client in that has it, over ${transport} (${wire})`, async () => {
        const server = scene.server({ wire });
        const connection = await scene.connect(scene.client({ wire }), {
          port: await port(BOTH, server),
          transport,
          key: NEW,
        });
        expect(connection.transport).to.equal(transport);
        expect(scene.logins[0]).to.include({ keyId: 'new', name: scene.clientName });
      });
    }

    it(`lets a client in over a Unix socket (${wire})`, async () => {
      const path = join(scene.folders.directory, 'socket');
      await scene.server({ wire }).listen({ path, keys: BOTH });
      await scene.connect(scene.client({ wire }), { path, transport: 'tcp', key: OLD });
      expect(scene.logins[0]?.keyId).to.equal('old');
      await scene.refused(
        scene.client({ name: `${scene.clientName}-2`, wire }).connect({ path, transport: 'tcp' }),
        'ERR_AUTHENTICATION',
      );
    });
  }

  it('goes together with TLS', async () => {
    const server = scene.server();
    const tls = { ca: authority };
    const listening = await server.listen({ port: 0, keys: BOTH, tls: certificate('server') });
    await scene.connect(scene.client(), { port: listening.port, transport: 'tcp', tls, key: OLD });
    expect(scene.logins[0]?.keyId).to.equal('old');
    expect(scene.logins[0]?.tls).to.not.equal(null);
  });

  it('is never sent, nor is anything that a second login could use', async () => {
    const server = scene.server();
    const target = await port(BOTH, server);
    const sent: Buffer[][] = [];
    const relay = await Relay.listen((near, far) => {
      const chunks: Buffer[] = [];
      sent.push(chunks);
      near.on('data', (chunk: Buffer) => chunks.push(chunk));
      carryPlainly(near, far);
    });
    try {
      relay.targetPort = target;
      const client = scene.client();
      await scene.connect(client, { port: relay.port, transport: 'tcp', key: OLD });
      await client.close();
      const login = Buffer.concat(sent[0] as Buffer[]);
      expect(login.includes(Buffer.from(OLD.secret))).to.equal(false);
      await scene.until(() => server.members.length === 0, 'the first login to be over');
      // The whole of it again, word by word.
      const { socket, received } = await scene.socket({ port: target });
      socket.write(login);
      expectError(
        await scene.firstError(),
        'ERR_AUTHENTICATION',
        /login from 127\.0\.0\.1:\d+: the client did not prove/,
      );
      expect(framesOf(received).map(({ kind }) => kind)).to.not.include(FrameKind.welcome);
      expect(scene.logins).to.have.length(1);
    } finally {
      await relay.close();
    }
  });

  describe('refuses', () => {
    const wrong: [string, SharedKey | undefined, RegExp][] = [
      ['a client without', undefined, /the client has none/],
      ['a client with another secret', { id: 'old', secret: randomBytes(32) }, /did not prove/],
      ['a client with the secret of another id', { id: 'old', secret: NEW.secret }, /did not prove/],
      ['a client with an id that is not known', { id: 'older', secret: OLD.secret }, /did not prove/],
      [
        'a client with the name of what all objects have',
        { id: 'toString', secret: OLD.secret },
        /did not prove/,
      ],
    ];
    for (const [what, key, message] of wrong) {
      it(`${what}: both sides are told, and nothing is left`, async () => {
        const address = { port: await port(BOTH), transport: 'tcp', ...(key && { key }) } as ConnectOptions;
        await scene.refused(scene.client().connect(address), 'ERR_AUTHENTICATION', message);
        expectError(await scene.firstError(), 'ERR_AUTHENTICATION', message);
        expect(scene.logins).to.deep.equal([]);
        expect(scene.files()).to.deep.equal([]);
      });
    }

    it('a server that has no keys: both sides are told', async () => {
      const address = { port: await port(undefined), transport: 'tcp', key: OLD } as const;
      await scene.refused(scene.client().connect(address), 'ERR_AUTHENTICATION', /this address has none/);
      expectError(await scene.firstError(), 'ERR_AUTHENTICATION', /this address has none/);
    });

    it('a server that lets the client in without a question', async () => {
      const address = await scene.listener((socket) => {
        socket.once('data', () => socket.write(controlFrame(FrameKind.welcome, new Uint8Array(64))));
      });
      const connecting = scene.client().connect({ ...address, key: OLD });
      await scene.refused(connecting, 'ERR_AUTHENTICATION', /expected the server to ask/);
    });

    it('a server that asks, and does not have it', async () => {
      const client = scene.client();
      const connecting = client.connect({
        port: await port({ old: NEW.secret }),
        transport: 'tcp',
        key: OLD,
      });
      await scene.refused(connecting, 'ERR_AUTHENTICATION');
      // One that only pretends to have believed the client.
      const address = await scene.listener((socket) => {
        let frames = 0;
        socket.on('data', () => {
          const challenge = Buffer.alloc(40);
          challenge.writeUInt32LE(32);
          if (frames++ === 0) socket.write(controlFrame(FrameKind.challenge, challenge));
          else socket.write(controlFrame(FrameKind.welcome, new Uint8Array(256)));
        });
      });
      const fooled = client.connect({ ...address, key: OLD });
      await scene.refused(fooled, 'ERR_AUTHENTICATION', /the server did not prove/);
      expect(scene.files()).to.deep.equal([]);
    });

    it('a session that somebody in the middle has changed in the offer', async () => {
      const target = await port(BOTH);
      let changed = 0;
      const relay = await Relay.listen((near, far) => {
        near.on('data', (chunk: Buffer) => far.write(chunk));
        far.on('data', (chunk: Buffer) => near.write(spoil(chunk)));
        endBoth(near, far);
      });
      /** Changes a bit of the welcome, and its checksum to what that must be. */
      const spoil = (chunk: Buffer): Buffer => {
        const [frame] = framesOf([chunk]);
        if (frame?.kind !== FrameKind.welcome) return chunk;
        changed++;
        const payload = Buffer.from(frame.payload);
        payload[payload.length - 40] = (payload[payload.length - 40] as number) ^ 1;
        return Buffer.from(controlFrame(FrameKind.welcome, payload));
      };
      try {
        relay.targetPort = target;
        const connecting = scene.client().connect({ port: relay.port, transport: 'tcp', key: OLD });
        await scene.refused(connecting, 'ERR_AUTHENTICATION', /the server did not prove/);
        expect(changed).to.equal(1);
      } finally {
        await relay.close();
      }
    });

    it('somebody in the middle who speaks TLS with both, though the client does not look at certificates', async () => {
      const server = scene.server();
      const listening = await server.listen({ port: 0, keys: BOTH, tls: certificate('server') });
      const { createServer, connect } = await import('node:tls');
      const middle = createServer(certificate('intruder'), (near) => {
        const far = connect({ port: listening.port, host: '127.0.0.1', rejectUnauthorized: false });
        carryPlainly(near, far);
      });
      try {
        await new Promise<void>((resolve) => middle.listen(0, '127.0.0.1', resolve));
        const { port: middlePort } = middle.address() as { port: number };
        const tls = { rejectUnauthorized: false };
        const connecting = scene.client().connect({ port: middlePort, transport: 'tcp', tls, key: OLD });
        await scene.refused(connecting, 'ERR_AUTHENTICATION', /the client did not prove/);
        // Without somebody in the middle the same goes well.
        await scene.connect(scene.client(), { port: listening.port, transport: 'tcp', tls, key: OLD });
      } finally {
        middle.close();
      }
    });

    it('messages out of order, each with an error that harms nobody else', async () => {
      const target = await port(BOTH);
      const claim = controlFrame(FrameKind.claim, encodeClaim({ keyId: 'old', nonce: randomBytes(32) }));
      const empty = (kind: FrameKind) => controlFrame(kind, new Uint8Array(0));
      const talks = [
        [helloFrame('raw')],
        [claim, claim],
        [claim, helloFrame('raw')],
        [claim, empty(FrameKind.attach)],
        [empty(FrameKind.challenge)],
        [empty(FrameKind.claim)],
      ];
      for (const talk of talks) {
        const raw = await RawClient.connect('raw', scene, { port: target });
        for (const frame of talk) raw.say(frame);
        await scene.until(() => raw.ended, 'the server to hang up');
        const last = raw.frames.at(-1);
        expect(last?.kind).to.equal(FrameKind.reject);
        expect(decodeReject(last?.payload as Buffer).code).to.be.oneOf([
          'ERR_AUTHENTICATION',
          'ERR_PROTOCOL',
        ]);
      }
      expect(scene.errors).to.have.length(talks.length);
      await scene.connect(scene.client(), { port: target, transport: 'tcp', key: OLD });
    });
  });

  describe('is exchanged', () => {
    it('while the server has the old one and the new one', async () => {
      const target = await port(BOTH);
      for (const [i, key] of [OLD, NEW].entries()) {
        await scene.connect(scene.client({ name: `${scene.clientName}-${i}` }), { port: target, key });
      }
      expect(scene.logins.map(({ keyId }) => keyId)).to.deep.equal(['old', 'new']);
    });

    it('by a function, at the next login; those that are connected stay so', async () => {
      let known: Record<string, Uint8Array> = { old: OLD.secret };
      const target = await port((id) => known[id]);
      const first = await scene.connect(scene.client(), { port: target, key: OLD });
      known = { new: NEW.secret };
      const other = scene.client({ name: `${scene.clientName}-2` });
      await scene.refused(other.connect({ port: target, key: OLD }), 'ERR_AUTHENTICATION');
      await scene.connect(other, { port: target, key: NEW });
      expect(first.state).to.equal('connected');
    });

    it('without a change of what was given to listen taking effect behind its back', async () => {
      const keys = { old: OLD.secret.slice() };
      const target = await port(keys);
      keys.old.fill(0);
      Object.assign(keys, { new: NEW.secret });
      const client = scene.client();
      await scene.refused(client.connect({ port: target, key: NEW }), 'ERR_AUTHENTICATION');
      await scene.connect(client, { port: target, key: OLD });
    });
  });

  describe('as an option', () => {
    const bad: [string, unknown][] = [
      ['no keys', {}],
      ['a list', []],
      ['a secret that can be guessed', { a: new Uint8Array(15) }],
      ['a secret as text', { a: 'correct horse battery staple' }],
      ['an id that is no name', { 'a b': OLD.secret }],
      ['nothing', null],
    ];
    for (const [what, keys] of bad) {
      it(`of a server cannot be ${what}`, async () => {
        await scene.refused(
          scene.server().listen({ port: 0, keys: keys as SharedKeys }),
          'ERR_OPTION',
          /key/,
        );
      });
    }

    for (const [what, key] of [
      ['without an id', { secret: OLD.secret }],
      ['without a secret', { id: 'a' }],
      ['with a short secret', { id: 'a', secret: new Uint8Array(15) }],
      ['null', null],
    ] as [string, unknown][]) {
      it(`of a client cannot be one ${what}`, async () => {
        await scene.refused(scene.client().connect({ port: 1, key: key as SharedKey }), 'ERR_OPTION', /key/);
      });
    }

    it('does not go with threads of one process', async () => {
      const listening = scene
        .server()
        .listen({ transport: 'inproc', keys: BOTH } as unknown as ListenOptions);
      await scene.refused(listening, 'ERR_OPTION', /threads/);
      const address = { transport: 'inproc', server: scene.serverName, key: OLD } as const;
      await scene.refused(scene.client().connect(address), 'ERR_OPTION', /threads/);
    });

    it('shows no secret in an error', async () => {
      const secret = Buffer.from('fifteen letters');
      const error = await scene.refused(
        scene.server().listen({ port: 0, keys: { a: secret } }),
        'ERR_OPTION',
      );
      expect(JSON.stringify([error.message, error])).to.not.include('fifteen letters');
    });
  });
});

function endBoth(near: Socket, far: Socket): void {
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}
