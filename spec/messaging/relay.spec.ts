import { once } from 'node:events';
import { expect } from 'chai';
import type { Client, Connection, ConnectOptions, Message, Server, ServerOptions } from '../../lib/index.js';
import { type Messenger, messenger } from '../../lib/messaging/messenger.js';
import { Relay } from '../../lib/messaging/relay.js';
import { RECLAIMED } from '../../lib/ring/layout.js';
import { expectError, newName, Scene, WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { Relay as Wire } from '../support/relay.js';

const RELAY = new URL('../../lib/messaging/relay.js', import.meta.url).href;

/** A server in a process of its own that joins its two clients, and may be killed. */
const FRONT = `
import { Relay } from ${JSON.stringify(RELAY)};
const { NAME, PORT, DIRECTORY, SHARED } = process.env;
const server = new tcpshm.Server({
  name: NAME,
  directory: DIRECTORY,
  sharedDirectory: SHARED,
  sendCapacityBytes: 4096,
  receiveCapacityBytes: 4096,
  onConnection(connection) {
    const name = connection.remoteName.endsWith('-near') ? 'far' : 'near';
    try {
      relay.join(connection, connection.remoteName.replace(/(near|far)$/, name));
    } catch {}
  },
});
const relay = new Relay(server);
const { port } = await server.listen({ host: '127.0.0.1', port: Number(PORT) });
say('' + port);
await server.run();
`;

interface Joined {
  readonly server: Server;
  readonly relay: Relay;
  readonly address: ConnectOptions;
  readonly clients: readonly [Client, Client];
  readonly ends: readonly [Connection, Connection];
  readonly reasons: string[];
}

describe('a relay', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  /** A server that joins those who log in to whom their user data names. */
  function front(options: Partial<ServerOptions> = {}): { server: Server; relay: Relay; refused: unknown[] } {
    const refused: unknown[] = [];
    const server = scene.server({
      onConnection(connection) {
        const name = Buffer.from(connection.loginData).toString();
        if (name === '') return;
        try {
          relay.join(connection, name);
        } catch (error) {
          refused.push(error);
          connection.close();
        }
      },
      ...options,
    });
    const relay = new Relay(server);
    return { server, relay, refused };
  }

  async function joined(way: (typeof WAYS)[number], options: Partial<ServerOptions> = {}): Promise<Joined> {
    const { server, relay } = front({ ...scene.wire(way), ...options });
    const address = await scene.address(server, way);
    const names = [newName('near'), newName('far')] as const;
    const reasons: string[] = [];
    const client = (i: 0 | 1): Client =>
      scene.client({
        name: names[i],
        ...scene.wire(way),
        onDisconnect: (_, reason) => reasons.push(`${i === 0 ? 'near' : 'far'}: ${reason}`),
      });
    const clients = [client(0), client(1)] as const;
    const far = await scene.connect(clients[1], address);
    await scene.until(() => server.members.length === 1, 'the far one');
    const near = await scene.connect(clients[0], { ...address, login: Buffer.from(names[1]) });
    await scene.until(
      () => server.connections.filter((one) => relay.peerOf(one)).length === 2,
      'both to be joined',
    );
    return { server, relay, address, clients, ends: [near, far], reasons };
  }

  for (const way of WAYS) {
    it(`carries requests of any size, both ways at once, ${way}`, async () => {
      const { ends } = await joined(way);
      const [near, far] = ends.map((end) => messenger(end).handle('echo', (value: unknown) => value)) as [
        Messenger,
        Messenger,
      ];
      const sizes = [0, 1, 1000, 5000, 100_000, 1_000_000];
      const answers = sizes.flatMap((size) => {
        const bytes = Buffer.alloc(size, size);
        return [near, far].map((side) =>
          side.request<Uint8Array>('echo', bytes).then((answer) => bytes.equals(answer)),
        );
      });
      expect(await scene.settled(Promise.all(answers), 'the answers')).to.deep.equal(answers.map(() => true));
    });

    it(`holds back who sends while the other one does not read, and loses nothing, ${way}`, async () => {
      const { ends, server } = await joined(way);
      const [near, far] = ends;
      let sent = 0;
      let idle = 0;
      while (idle < 50) {
        if (near.send(`${sent}`.padEnd(300, '.'))) {
          sent++;
          idle = 0;
        } else idle++;
        await scene.turn();
      }
      // Two queues of 4 KiB are full, and there is nothing else: a relay with a queue of its own would go on.
      expect(sent).to.be.within(12, 27);
      expect(server.connections.every(({ state }) => state === 'connected')).to.equal(true);
      for (let i = 0; i < sent; i++) {
        let message: Message | null = null;
        await scene.until(() => {
          message = far.front();
          return message !== null;
        }, `message ${i}`);
        expect((message as Message | null)?.text()).to.equal(`${i}`.padEnd(300, '.'));
        far.pop();
      }
      await scene.until(() => near.send('more'), 'room again');
    });

    it(`passes on what is given up, ${way}`, async () => {
      const { ends } = await joined(way);
      const [near, far] = ends.map((end) => messenger(end)) as [Messenger, Messenger];
      let aborted: unknown = null;
      far.handle('hang', (_, { signal }) => {
        return new Promise(() => {
          signal.addEventListener('abort', () => {
            aborted = signal.reason;
          });
        });
      });
      const controller = new AbortController();
      const asked = near
        .request('hang', null, { signal: controller.signal })
        .catch((reason: unknown) => reason);
      for (let i = 0; i < 20; i++) await scene.turn();
      controller.abort('enough');
      expect(await asked).to.equal('enough');
      await scene.until(() => aborted !== null, 'the handler to hear of it');
    });

    for (const closes of [0, 1] as const) {
      const who = closes === 0 ? 'near' : 'far';
      it(`passes on that the ${who} one closes in the middle of requests, ${way}`, async () => {
        const { ends, clients, reasons, server, relay } = await joined(way);
        const [near, far] = ends.map((end) => messenger(end)) as [Messenger, Messenger];
        let runs = 0;
        for (const side of [near, far]) {
          side.handle('hang', () => {
            runs++;
            return new Promise(() => {});
          });
        }
        const asked = [near, far].map((side) => side.request('hang').catch((error: unknown) => error));
        await scene.until(() => runs === 2, 'both to run');
        await (clients[closes] as Client).close();
        await scene.until(() => reasons.length === 1, 'the other one to hear of it');
        expect(reasons).to.deep.equal([`${closes === 0 ? 'far' : 'near'}: closed by peer`]);
        expectError(await asked[closes], 'ERR_UNANSWERED');
        expect(server.members).to.deep.equal([]);
        expect(server.connections.filter((one) => relay.peerOf(one))).to.deep.equal([]);
      });
    }
  }

  it('forwards what was sent before the end, then passes on the end', async () => {
    const { ends, clients, reasons } = await joined('shm');
    const [near, far] = ends;
    let sent = 0;
    for (let idle = 0; idle < 50; idle++) {
      if (near.send(`${sent}`.padEnd(300, '.'))) {
        sent++;
        idle = 0;
      }
      await scene.turn();
    }
    await clients[0].close();
    for (let i = 0; i < 20; i++) await scene.turn();
    expect(reasons).to.deep.equal([]);
    const got: string[] = [];
    await scene.until(() => {
      for (let message = far.front(); message !== null; message = far.front()) {
        got.push(message.text().replaceAll('.', ''));
        far.pop();
      }
      return got.length === sent;
    }, 'all messages');
    await scene.until(() => reasons.length === 1, 'the end');
    expect(got).to.deep.equal(Array.from({ length: sent }, (_, i) => `${i}`));
  });

  it('goes on when both come again after that', async () => {
    const { ends, clients, reasons, server, address, relay } = await joined('tcp native');
    ends[0].send('first');
    await scene.until(() => ends[1].front()?.text() === 'first', 'the first message');
    ends[1].pop();
    await clients[0].close();
    await scene.until(() => reasons.length === 1, 'the end');
    const far = await scene.connect(clients[1], address);
    const login = Buffer.from(clients[1].name);
    const near = await scene.connect(scene.client({ name: clients[0].name }), { ...address, login });
    await scene.until(
      () => server.connections.filter((one) => relay.peerOf(one)).length === 2,
      'both to be joined',
    );
    near.send('second');
    await scene.until(() => far.front()?.text() === 'second', 'the second message');
  });

  it('waits for who is cut off', async () => {
    const { server } = front();
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    const wire = await Wire.listen();
    wire.targetPort = port;
    try {
      const names = [newName('near'), newName('far')] as const;
      const reconnect = { initialDelayMs: 1, maxDelayMs: 10 };
      const clients = names.map((name) => scene.client({ name, reconnect })) as [Client, Client];
      const to: ConnectOptions = { port: wire.port, transport: 'tcp' };
      const far = await scene.connect(clients[1], to);
      await scene.until(() => server.members.length === 1, 'the far one');
      const near = await scene.connect(clients[0], { ...to, login: Buffer.from(names[1]) });
      const got: string[] = [];
      for (let sent = 0; got.length < 400; ) {
        if (sent < 400 && near.send(`${sent}`)) sent++;
        for (let message = far.front(); message !== null; message = far.front()) {
          got.push(message.text());
          far.pop();
          if (got.length % 100 === 50) wire.cut();
        }
        await scene.turn();
      }
      expect(wire.cuts).to.be.above(0);
      expect(got).to.deep.equal(Array.from({ length: 400 }, (_, i) => `${i}`));
    } finally {
      await wire.close();
    }
  });

  it('is not kept awake by what it cannot forward, as the other one has broken its queue', async () => {
    const { ends, server, reasons } = await joined('shm');
    const [near, far] = ends;
    far.side.ends.open.segment.incoming('client').words[RECLAIMED] = 2 ** 20;
    for (let sent = 0; sent < 25; ) {
      if (near.send('x'.repeat(300))) sent++;
      await scene.turn();
    }
    await scene.until(() => reasons.length > 0, 'the end of the link');
    expect(reasons[0]).to.match(/^far: /);
    for (let i = 0; i < 20; i++) {
      server.poll();
      await new Promise(setImmediate);
    }
    const [from] = server.connections.filter(({ state }) => state === 'connected');
    expect(from?.side.ends.consumer.held).to.equal(true);
    expect(server.park(performance.now())).to.be.above(0);
  });

  for (const transport of ['tcp', 'shm'] as const) {
    it(`that is killed, and started again, has lost and repeated nothing, ${transport}`, async () => {
      const { directory, sharedDirectory } = scene.places;
      const name = newName('front');
      const start = async (port: string) => {
        const environment = { NAME: name, PORT: port, DIRECTORY: directory, SHARED: sharedDirectory };
        const talk = scene.child(FRONT, environment);
        await scene.until(() => talk.words.length > 0, 'the relay');
        return talk;
      };
      let talk = await start('0');
      const port = talk.words[0] as string;
      const base = newName('pair');
      const reconnect = { initialDelayMs: 1, maxDelayMs: 10 };
      const clients = ['near', 'far'].map((side) => scene.client({ name: `${base}-${side}`, reconnect })) as [
        Client,
        Client,
      ];
      const to: ConnectOptions = { port: Number(port), transport };
      const far = await scene.connect(clients[1], to);
      const near = await scene.connect(clients[0], to);
      const got: string[] = [];
      const back: string[] = [];
      let kills = 0;
      for (let sent = 0; back.length < 3000; ) {
        if (sent < 3000 && near.send(`${sent}`)) sent++;
        for (let message = far.front(); message !== null; message = far.front()) {
          const text = message.text();
          if (!far.send(text)) break;
          got.push(text);
          far.pop();
        }
        for (let message = near.front(); message !== null; message = near.front()) {
          back.push(message.text());
          near.pop();
        }
        if (got.length > (kills + 1) * 700) {
          kills++;
          talk.child.kill('SIGKILL');
          await once(talk.child, 'exit');
          talk = await start(port);
        }
        await scene.turn();
      }
      expect(kills).to.equal(4);
      const all = Array.from({ length: 3000 }, (_, i) => `${i}`);
      expect(got).to.deep.equal(all);
      expect(back).to.deep.equal(all);
    });
  }

  it('carries a file through a server to the one behind it', async () => {
    const back = scene.server({
      name: newName('back'),
      onConnection(connection) {
        connection.userData ??= messenger(connection).handle('keep', async (_, { body }) => {
          const parts: Uint8Array[] = [];
          for await (const part of body) parts.push(part as Uint8Array);
          return Buffer.concat(parts);
        });
      },
    });
    const behind = await scene.connect(
      scene.client({ name: newName('front') }),
      await scene.address(back, 'tcp native'),
    );
    const { server, relay } = front({ onConnection: (connection) => relay.link(connection, behind) });
    const near = messenger(await scene.connect(scene.client(), await scene.address(server, 'shm')));
    const parts = Array.from({ length: 50 }, (_, i) => Buffer.alloc(100_000, i));
    const answer = await scene.settled(near.request<Uint8Array>('keep', null, { body: parts }), 'the answer');
    expect(Buffer.concat(parts).equals(answer)).to.equal(true);
  });

  it('refuses names that nobody has, as they are written', async () => {
    const { server, refused } = front();
    const address = await scene.address(server, 'tcp native');
    await scene.connect(scene.client({ name: 'Back' }), address);
    for (const [i, name] of ['back', 'BACK', 'Back ', 'nobody'].entries()) {
      const reasons: string[] = [];
      const client = scene.client({
        name: newName('near'),
        onDisconnect: (_, reason) => reasons.push(reason),
      });
      await scene.connect(client, { ...address, login: Buffer.from(name) });
      await scene.until(() => reasons.length === 1, 'the refusal');
      expectError(refused[i], 'ERR_NOT_CONNECTED', new RegExp(`'${name}'`));
    }
  });

  it('refuses connections that are not for each other alone', async () => {
    const { ends, server, relay } = await joined('tcp native');
    const address = { port: 0 };
    const [one, two] = server.connections as [Connection, Connection];
    expectCode(() => relay.link(one, two), 'ERR_BUSY');
    expectCode(() => relay.link(one, one), 'ERR_OPTION');
    expect(ends[0].maxMessageBytes + address.port).to.be.above(0);
    const other = front({ name: newName('other') });
    const to = await scene.address(other.server, 'tcp native');
    for (const name of ['talks', 'listens', 'third'])
      await scene.connect(scene.client({ name: newName(name) }), to);
    await scene.until(() => other.server.members.length === 3, 'the three');
    const [talks, listens, third] = other.server.connections as [Connection, Connection, Connection];
    talks.send('something else');
    expectCode(() => other.relay.link(listens, talks), 'ERR_SEQUENCE_MISMATCH', /alone/);
    other.relay.link(listens, third);
    expectCode(() => other.relay.join(talks, talks.remoteName), 'ERR_NOT_CONNECTED');
    expect(() => other.relay.join(listens, third.remoteName)).not.to.throw();
  });

  it('refuses a pair whose one side may send what is too large for the other', async () => {
    const large = scene.server({
      name: newName('large'),
      sendCapacityBytes: 8192,
      receiveCapacityBytes: 8192,
    });
    const behind = await scene.connect(
      scene.client({ name: newName('front') }),
      await scene.address(large, 'shm'),
    );
    const { server, relay } = front();
    await scene.connect(scene.client(), await scene.address(server, 'shm'));
    await scene.until(() => server.members.length === 1, 'the client');
    expectCode(() => relay.link(server.connections[0] as Connection, behind), 'ERR_CAPACITY', /8192.*4096/);
  });
});
