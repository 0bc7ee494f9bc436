import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import {
  bytesCodec,
  Client,
  ConnectionWriter,
  channel,
  duplex,
  RingChannel,
  RingPool,
  RingPortPair,
  type RunOptions,
  Server,
  textCodec,
} from '../../lib/index.js';
import { expectCode } from '../support/failure.js';
import { until } from '../support/until.js';
import { Scene } from './support.js';

const WHY = new Error('aborted by the spec');
const TASKS = new URL('../pool/tasks.js', import.meta.url);

/** What a promise is rejected with. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'nothing',
    (error: unknown) => error,
  );
}

/** A signal that aborts in a moment. */
function soon(): AbortSignal {
  const stop = new AbortController();
  setTimeout(() => stop.abort(WHY), 5);
  return stop.signal;
}

describe('what is closed at the end of a block', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  it('are a client, a server and what drives them', async () => {
    let server: Server;
    let client: Client;
    {
      await using listening = new Server({ name: scene.serverName, ...scene.places });
      await using serving = listening.run();
      await using connecting = new Client({ name: scene.clientName, ...scene.places });
      const { port } = await listening.listen({ port: 0 });
      const connected = connecting.connect({ port });
      await connected;
      await using driving = connecting.run();
      server = listening;
      client = connecting;
      expect([serving, driving].map((run) => run instanceof Promise)).to.deep.equal([true, true]);
    }
    expect(client.closed).to.equal(true);
    expect(server.closed).to.equal(true);
    await client[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  it('are a connection, a channel, and the ends of a RingChannel', async () => {
    const { local, remote, client, address } = await scene.pair('tcp native');
    {
      await using flushed = local;
      flushed.send('before the end');
      using given = remote;
      given.send('before the end');
    }
    expect(local.state).to.equal('closed');
    expect(remote.state).to.equal('closed');
    const again = await scene.connect(client, address);
    {
      await using flushed = channel(again, textCodec);
      flushed.send('before the end');
    }
    expect(again.state).to.equal('closed');
    await again[Symbol.asyncDispose]();
    let other: ReturnType<typeof RingChannel.open>;
    {
      using rings = new RingChannel();
      using end = channel(RingChannel.open(rings.remote), textCodec);
      other = end.connection;
      expect(rings.local.state).to.equal('connected');
    }
    expect(other.state).to.equal('closed');
  });

  it('are writers, ports and their pairs', async () => {
    const rings = new RingChannel();
    let writer: ConnectionWriter;
    {
      using writing = ConnectionWriter.open(rings.local.writer());
      writing.send('written');
      writer = writing;
    }
    expectCode(() => writer.send('too late'), 'ERR_CLOSED', /writer/);
    rings.close();
    let ended: Promise<unknown>;
    {
      using pair = new RingPortPair();
      ended = Promise.all([once(pair.port1, 'close'), once(pair.port2, 'close')]);
    }
    await ended;
  });

  it('a port that is awaited has sent what waited', async () => {
    const { port1, port2 } = new RingPortPair({ capacityBytes: 4096 });
    const got: unknown[] = [];
    port2.on('message', (value) => got.push(value));
    {
      await using port = port1;
      for (let n = 0; n < 1000; n++) port.postMessage(n);
      expect(port.writableLength).to.be.above(0);
    }
    expect(port1.writableLength).to.equal(0);
    await once(port2, 'close');
    expect(got).to.have.length(1000);
    await port1[Symbol.asyncDispose]();
    await port2[Symbol.asyncDispose]();
  });

  it('a pool has run its tasks', async () => {
    const results: unknown[] = [];
    {
      await using pool = new RingPool({ filename: TASKS, maxThreads: 1 });
      void pool.run({ a: 1, b: 2 }).then((sum) => results.push(sum));
    }
    expect(results).to.have.length(1);
  });

  it('a stream is destroyed', async () => {
    const { local, remote } = new RingChannel();
    const far = RingChannel.open(remote);
    let stream: ReturnType<typeof duplex>;
    {
      await using streaming = duplex(local);
      stream = streaming;
    }
    expect(stream.destroyed).to.equal(true);
    local.close();
    far.close();
  });
});

describe('a signal', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  it('ends an attempt to connect, after which another one succeeds', async () => {
    const silent = await scene.listener();
    const client = scene.client();
    expect(await rejection(client.connect({ ...silent, signal: soon() }))).to.equal(WHY);
    expect(await rejection(client.connect({ ...silent, signal: AbortSignal.abort(WHY) }))).to.equal(WHY);
    expect(scene.files()).to.deep.equal([]);
    const address = await scene.address(scene.server(), 'shm');
    const stop = new AbortController();
    const connection = await scene.connect(client, { ...address, signal: stop.signal });
    stop.abort(WHY);
    await scene.turn();
    expect(connection.state, 'it counts for the attempt').to.equal('connected');
  });

  it('keeps a server from listening, which may listen then', async () => {
    const server = scene.server();
    expect(await rejection(server.listen({ port: 0, signal: AbortSignal.abort(WHY) }))).to.equal(WHY);
    const stop = new AbortController();
    const { port } = await scene.listener();
    const listening = server.listen({ port: 0, signal: stop.signal });
    stop.abort(WHY);
    expect(await rejection(listening)).to.equal(WHY);
    const address = await server.listen({ port: 0 });
    expect(address.port).not.to.equal(port);
    expect((await scene.connect(scene.client(), address)).state).to.equal('connected');
  });

  it('ends the waiting for a flush, which goes on', async () => {
    const { local } = await scene.pair('tcp native', {}, { durability: 'disk' });
    local.send('to be safe');
    const stop = new AbortController();
    const flushed = local.flush({ signal: stop.signal });
    stop.abort(WHY);
    expect(await rejection(flushed)).to.equal(WHY);
    expect(await rejection(local.flush({ signal: AbortSignal.abort(WHY) }))).to.equal(WHY);
    await scene.settled(local.flush(), 'the flush');
  });

  it('ends a loop, whose value is popped then', async () => {
    const { local, remote } = new RingChannel();
    const sending = channel(RingChannel.open(remote), textCodec);
    const reading = channel(local, textCodec);
    const stop = new AbortController();
    sending.send('first');
    sending.send('second');
    const got: string[] = [];
    const loop = async (signal: AbortSignal): Promise<void> => {
      for await (const value of reading.values({ signal })) {
        got.push(value);
        if (got.length === 1) stop.abort(WHY);
      }
    };
    expect(await rejection(loop(stop.signal))).to.equal(WHY);
    expect(local.popped).to.equal(1);
    // Here it waits for a third one.
    expect(await rejection(loop(soon()))).to.equal(WHY);
    expect(got).to.deep.equal(['first', 'second']);
    expect(local.popped).to.equal(2);
    const receiving = reading.receive();
    sending.send('third');
    local.poll({});
    expect(await receiving).to.equal('third');
    reading.close();
    sending.close();
  });

  it('ends the waiting for the end of a pool, which goes on', async () => {
    const pool = new RingPool({ filename: TASKS, maxThreads: 1 });
    const task = pool.run({ a: 1, b: 2 }, { name: 'addLater' });
    expect(await rejection(pool.close({ signal: AbortSignal.abort(WHY) }))).to.equal(WHY);
    await task;
    await pool.close();
  });

  it('that is none is refused by all that wait', async () => {
    const { local, server, client } = await scene.pair('shm');
    const reading = channel(local, bytesCodec);
    const signal = {} as AbortSignal;
    const fresh = scene.client({ name: `${scene.clientName}-2` });
    const bad = [
      () => fresh.connect({ port: 1, signal }),
      () => server.listen({ port: 0, signal }),
      () => server.move(scene.clientName, 0, { signal }),
      () => client.run({ signal } as RunOptions),
      () => local.flush({ signal }),
      () => local.writable(1, { signal }),
      () => reading.receive({ signal }),
      () => reading.sendAsync(new Uint8Array(1), { signal }),
    ];
    for (const call of bad)
      expect(await rejection(call()), String(call)).to.have.property('code', 'ERR_OPTION');
    expectCode(() => reading.values({ signal }), 'ERR_OPTION');
  });
});

describe('a promise', () => {
  it('of a loop that is left while it waits is settled', async () => {
    const { local } = new RingChannel();
    const loop = channel(local, textCodec)[Symbol.asyncIterator]();
    const next = loop.next();
    await loop.return?.();
    expect(await next).to.deep.equal({ done: true, value: undefined });
    expect(await loop.next()).to.deep.equal({ done: true, value: undefined });
    local.close();
  });

  it('of a driver that is stopped resolves, also twice, and the driver can run again', async () => {
    const scene = new Scene();
    try {
      const server = scene.server();
      for (const idle of ['yield', 'backoff', 'park'] as const) {
        const run = server.run({ idle });
        await sleep(5);
        await run.stop();
        await run.stop();
        await run;
      }
      let polls = 0;
      const { client } = await scene.pair('inproc', { onMessage: () => polls++ }, {});
      const run = client.run();
      await client.close();
      await run;
      expect(await rejection(client.run())).to.have.property('code', 'ERR_CLOSED');
      expect(polls).to.equal(0);
    } finally {
      await scene.end();
    }
  });

  it('of a second close resolves when the first one does', async () => {
    const scene = new Scene();
    try {
      const server = scene.server({
        groups: { worker: new URL('../groups/handlers.js', import.meta.url) },
      });
      await scene.settled(server.listen({ port: 0 }), 'the thread');
      let first = false;
      const closing = server.close().then(() => {
        first = true;
      });
      await server.close();
      await closing;
      expect(first).to.equal(true);
    } finally {
      await scene.end();
    }
  });
});

describe('a process', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  const BODIES: Record<string, string> = {
    'that has disposed of everything': `
      {
        const server = new tcpshm.Server({ name: 'server', ...places });
        const serving = server.run();
        const { port } = await server.listen({ port: 0 });
        const client = new tcpshm.Client({ name: 'client', ...places });
        const driving = client.run();
        const connection = await client.connect({ port });
        const port1 = tcpshm.RingPort.over(connection);
        port1.on('message', () => {});
        port1.postMessage('x'.repeat(3e6));
        const pair = new tcpshm.RingPortPair();
        pair.port1.on('message', () => {});
        const pool = new tcpshm.RingPool({ filename: ${JSON.stringify(TASKS.href)} });
        await pool.run({ a: 1, b: 2 });
        connection[Symbol.dispose]();
        pair[Symbol.dispose]();
        await pool[Symbol.asyncDispose]();
        await driving[Symbol.asyncDispose]();
        await serving[Symbol.asyncDispose]();
        await client[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      }`,
    'whose waiting was aborted': `
      const { local } = new tcpshm.RingChannel();
      const reading = tcpshm.channel(local, tcpshm.textCodec);
      const signal = AbortSignal.timeout(20);
      // A timer of its own, as that of the signal does not keep the process.
      setTimeout(() => {}, 30);
      const outcomes = await Promise.allSettled([
        reading.receive({ signal }),
        new tcpshm.Client({ name: 'client', ...places }).connect({ host: '127.0.0.1', port: 1, signal }),
      ]);
      if (outcomes.some(({ status }) => status !== 'rejected')) say('not rejected');`,
    'that waits for nothing that keeps it': `
      const { local } = new tcpshm.RingChannel();
      void tcpshm.channel(local, tcpshm.textCodec).receive();
      const server = new tcpshm.Server({ name: 'server', ...places });
      server.unref();
      void server.run();
      await server.listen({ port: 0 });`,
  };
  for (const [what, body] of Object.entries(BODIES)) {
    for (const native of ['on', 'off']) {
      it(`${what} ends by itself, with the native module ${native}`, async () => {
        const { child, words } = scene.child(
          `const places = JSON.parse(process.env.PLACES);
           ${body}
           say('done');`,
          { PLACES: JSON.stringify(scene.places), ...(native === 'off' && { TCPSHM_NATIVE: 'off' }) },
        );
        const [code] = await once(child, 'exit');
        await until(() => words.length > 0, 'its word');
        expect(words).to.deep.equal(['done']);
        expect(code).to.equal(0);
      });
    }
  }
});
