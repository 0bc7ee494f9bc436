import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import {
  type Compression,
  type Connection,
  type ConnectOptions,
  type DestinationOptions,
  deflate,
  type Messenger,
  messenger,
  Relay,
  type Server,
} from '../../lib/index.js';
import { newName, type Way } from '../peers/support.js';
import { authority, certificate } from '../support/certificates.js';
import { Pools } from './pools.js';

const PART_BYTES = 100_000;

/** Bytes that a compression makes smaller, and others, of a size, for a number. */
function bytesOf(size: number, number: number): Buffer {
  const bytes = Buffer.alloc(size, `${number}, and what follows it. `);
  for (let i = 0; i < size; i += 7) bytes[i] = (i * 31 + number) & 0xff;
  return bytes;
}

async function digest(parts: AsyncIterable<unknown>): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha1');
  let bytes = 0;
  for await (const part of parts) {
    hash.update(part as Uint8Array);
    bytes += (part as Uint8Array).length;
  }
  return { bytes, hash: hash.digest('hex') };
}

/** What lies between the two: plain, or with TLS, or with compression. */
interface Between {
  readonly name: string;
  readonly way: Way;
  readonly tls?: boolean;
  readonly compression?: Compression;
}

const BETWEEN: readonly Between[] = [
  { name: 'tcp with TLS', way: 'tcp native', tls: true },
  { name: 'tcp, compressed', way: 'tcp native', compression: deflate() },
  { name: 'tcp with TLS, compressed', way: 'tcp native', tls: true, compression: deflate() },
  { name: 'shm, compressed', way: 'shm', compression: deflate() },
];

describe('a client and a server', () => {
  let scene: Pools;
  beforeEach(() => {
    scene = new Pools();
  });
  afterEach(() => scene.end());

  /** A server whose messengers are made so. */
  function serving(
    { way, compression }: Between,
    handlers: (near: Messenger, connection: Connection) => void,
  ): Server {
    return scene.server({
      ...scene.wire(way),
      sendCapacityBytes: 2 ** 20,
      receiveCapacityBytes: 2 ** 20,
      onConnection(connection) {
        if (connection.userData !== undefined) return;
        const near = messenger(connection, compression && { compression });
        connection.userData = near;
        handlers(near, connection);
      },
    });
  }

  async function address(server: Server, { way, tls }: Between): Promise<ConnectOptions> {
    if (!tls) return scene.address(server, way);
    const { port } = await server.listen({ port: 0, tls: certificate('server') });
    return { port, transport: 'tcp', tls: { ca: authority } };
  }

  function caller({ compression }: Between): Partial<DestinationOptions> {
    return { caller: (connection) => messenger(connection, compression && { compression }) };
  }

  for (const between of BETWEEN) {
    for (const maxConnections of [1, 2, 4, 8]) {
      it(`echo 150 messages of 2 KB to 16 MB over up to ${maxConnections} connections, ${between.name}`, async () => {
        const server = serving(between, (near) => near.handle('echo', (value) => value));
        const destination = scene.destination(await address(server, between), {
          ...caller(between),
          maxConnections,
          maxInFlight: 4,
        });
        const answers = Array.from({ length: 150 }, (_, i) => {
          // One is of 16 MB where there is one connection, which is where it could stop the others.
          const largest = maxConnections === 1 ? 16_000_000 : 1_000_000;
          const bytes = bytesOf(i === 75 ? largest : 2048 + 137 * i, i);
          return destination.request<Uint8Array>('echo', bytes).then((answer) => bytes.equals(answer));
        });
        const equal = await scene.settled(Promise.all(answers), 'the answers');
        expect(equal).to.deep.equal(answers.map(() => true));
        const connections = destination.connections.length;
        expect(connections).to.be.within(Math.min(2, maxConnections), maxConnections);
      });
    }
  }

  const PLAIN: readonly Between[] = [
    { name: 'inproc', way: 'inproc' },
    { name: 'shm', way: 'shm' },
    { name: 'tcp', way: 'tcp native' },
    { name: 'tcp with TLS', way: 'tcp native', tls: true },
  ];

  for (const between of PLAIN) {
    // All of it over one of them: the others have a tenth.
    const [upBytes, downBytes] = between.name === 'tcp' ? [30_000_000, 60_000_000] : [3_000_000, 6_000_000];
    it(`upload and download files of ${upBytes / 1e6} and ${downBytes / 1e6} MB in parts of 100 KB, ${between.name}`, async () => {
      const { directory } = scene.folders;
      const up = join(directory, 'up');
      const down = join(directory, 'down');
      writeFileSync(up, bytesOf(upBytes, 1));
      writeFileSync(down, bytesOf(downBytes, 2));
      const parts: number[] = [];
      const server = serving(between, (near) =>
        near
          .handle('up', async (name, { body }) => {
            await pipeline(Readable.from(body), createWriteStream(join(directory, String(name))));
          })
          .handle('down', () => createReadStream(down, { highWaterMark: PART_BYTES })),
      );
      const client = scene.client({ ...scene.wire(between.way) });
      const far = messenger(await scene.connect(client, await address(server, between)));
      const body = createReadStream(up, { highWaterMark: PART_BYTES });
      body.on('data', (part) => parts.push(part.length));
      body.pause();
      await scene.settled(far.request('up', 'arrived', { body }), 'the upload');
      expect(parts).to.have.length(upBytes / PART_BYTES);
      const downloaded = scene.settled(digest(far.stream('down')), 'the download');
      expect(await downloaded).to.deep.equal(await digest(createReadStream(down)));
      const arrived = await digest(createReadStream(join(directory, 'arrived')));
      expect(arrived).to.deep.equal(await digest(createReadStream(up)));
      expect(arrived.bytes).to.equal(upBytes);
    });

    it(`give up ten of fifteen requests while six are interleaved, and five arrive, ${between.name}`, async () => {
      const arrived: number[] = [];
      const server = serving(between, (near) =>
        near.handle('work', ({ n }: { n: number }) => void arrived.push(n)),
      );
      const client = scene.client({ ...scene.wire(between.way) });
      const connection = await scene.connect(client, await address(server, between));
      const far = messenger(connection, { maxInterleaved: 6 });
      const calls = Array.from({ length: 15 }, (_, n) =>
        far.call('work', { n, fill: bytesOf(1_000_000, n) }),
      );
      const outcomes = scene.outcomes(
        Object.fromEntries(calls.map(({ response }, n) => [n, response.then(() => 'done')])),
      );
      await scene.until(() => calls.filter(({ left }) => left).length >= 6, 'six to be under way');
      expect(arrived).to.deep.equal([]);
      const kept = [0, 3, 6, 9, 12];
      for (const [n, call] of calls.entries()) if (!kept.includes(n)) call.cancel({ code: 'given up' });
      await scene.until(() => Object.keys(outcomes).length === 15, 'all to be settled');
      expect(Object.values(outcomes)).to.deep.equal(
        calls.map((_, n) => (kept.includes(n) ? 'done' : 'given up')),
      );
      expect(await scene.settled(far.request('work', { n: 99 }), 'one more')).to.equal(undefined);
      expect(arrived.sort((a, b) => a - b)).to.deep.equal([...kept, 99]);
    });

    it(`part after a logout, by the server, ${between.name}`, async () => {
      const running: unknown[] = [];
      const server = serving(between, (near, connection) =>
        near
          .handle('echo', (value) => value)
          .handle('hang', (value) => {
            running.push(value);
            return new Promise(() => {});
          })
          .handle('logout', () => {
            // Behind the answer.
            setImmediate(() => connection.close());
            return 'goodbye';
          }),
      );
      const ended: string[] = [];
      const client = scene.client({
        ...scene.wire(between.way),
        onDisconnect: (_, reason) => ended.push(reason),
      });
      const target = await address(server, between);
      const connection = await scene.connect(client, target);
      const far = messenger(connection);
      const outcomes = scene.outcomes({ hang: far.request('hang', 'before') });
      await scene.until(() => running.length === 1, 'one to run');
      expect(await scene.settled(far.request('logout'), 'the answer')).to.equal('goodbye');
      await scene.until(() => ended.length === 1, 'the end');
      expect(ended).to.deep.equal(['closed by peer']);
      expect(server.members).to.deep.equal([]);
      await scene.refused(far.request('echo', 1, { oneShot: true }), 'ERR_NOT_SENT');
      expect(outcomes).to.deep.equal({});
      // What the server had taken it has forgotten, and says so when the client comes again.
      if (between.way === 'inproc') return;
      const later = far.request('echo', 'later');
      expect(await scene.connect(client, target)).to.equal(connection);
      expect(await scene.settled(later, 'what has waited')).to.equal('later');
      expect(outcomes).to.deep.equal({ hang: 'ERR_UNANSWERED' });
      expect(running).to.deep.equal(['before']);
    });

    it(`have nothing passed on to another client where no relay is, ${between.name}`, async () => {
      const heard: unknown[] = [];
      const server = serving(between, (near) => near.handle('echo', (value) => value));
      const target = await address(server, between);
      const other = scene.client({ ...scene.wire(between.way), name: newName('other') });
      messenger(await scene.connect(other, target)).handle('told', (value) => void heard.push(value));
      const client = scene.client({ ...scene.wire(between.way) });
      const login = Buffer.from(other.name);
      const far = messenger(await scene.connect(client, { ...target, login }));
      // It is the server that answers.
      await scene.refused(far.request('told', 'a secret'), 'ERR_ANSWER', /told/);
      await scene.settled(far.notify('told', 'another one'), 'a notification');
      expect(await scene.settled(far.request('echo', 'here'), 'an answer')).to.equal('here');
      expect(heard).to.deep.equal([]);
      const relay = new Relay(server);
      for (const connection of server.connections) expect(relay.peerOf(connection)).to.equal(null);
    });
  }
});
