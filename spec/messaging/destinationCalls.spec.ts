import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  type Call,
  type Messenger,
  messenger,
  method,
  notice,
  type Server,
  service,
  streamOf,
  type TcpshmError,
} from '../../lib/index.js';
import { WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { freePort, kill, Pools } from './pools.js';
import { gate } from './support.js';

const shop = service({
  price: method<string, number>(),
  orders: streamOf<number, number>(),
  viewed: notice<string>(),
});

describe('a destination, as what clients of services ask', () => {
  let scene: Pools;
  beforeEach(() => {
    scene = new Pools();
  });
  afterEach(() => scene.end());

  /** A server whose messengers are made so. */
  function serving(handlers: (near: Messenger) => void): Server {
    return scene.server({
      onConnection(connection) {
        if (connection.userData !== undefined) return;
        const near = messenger(connection);
        connection.userData = near;
        handlers(near);
      },
    });
  }

  for (const way of WAYS) {
    it(`serves typed clients, ${way}`, async () => {
      const viewed: string[] = [];
      const server = scene.server({
        ...scene.wire(way),
        onConnection(connection) {
          if (connection.userData !== undefined) return;
          const near = messenger(connection);
          connection.userData = near;
          shop.serve(near, {
            price: (item) => item.length,
            async *orders(count) {
              for (let i = 0; i < count; i++) yield i;
            },
            viewed: (item) => void viewed.push(item),
          });
        },
      });
      const destination = scene.destination(await scene.address(server, way), { ...scene.wire(way) });
      const client = shop.client(destination);
      const price: number = await scene.settled(client.price('tea'), 'an answer');
      expect(price).to.equal(3);
      const orders: number[] = [];
      const read = async (): Promise<void> => {
        for await (const order of client.orders(500)) orders.push(order);
      };
      await scene.settled(read(), 'the stream');
      expect(orders).to.deep.equal(Array.from({ length: 500 }, (_, i) => i));
      await scene.settled(client.viewed('tea'), 'the notification');
      await scene.until(() => viewed.length === 1, 'the notification to come');
      expect(viewed).to.deep.equal(['tea']);
    });
  }

  it('counts a stream as in flight until its last part has come', async () => {
    const end = gate();
    const server = serving((near) =>
      near
        .handle('parts', async function* () {
          yield 1;
          await end.opened;
          yield 2;
        })
        .handle('echo', (value) => value),
    );
    const destination = scene.destination(await scene.address(server, 'shm'), {
      maxConnections: 1,
      maxInFlight: 1,
    });
    const parts = destination.stream('parts');
    const first = await scene.settled(parts.next(), 'the first part');
    expect(first).to.deep.equal({ done: false, value: 1 });
    const other = scene.outcomes({ other: destination.request('echo', 'other') });
    for (let i = 0; i < 50; i++) await scene.until(() => true, 'a turn');
    expect(other).to.deep.equal({});
    expect(destination.connections[0]?.inFlight).to.equal(1);
    expect(destination.queued).to.equal(1);
    end.open();
    expect(await scene.settled(parts.next(), 'the second part')).to.deep.equal({ done: false, value: 2 });
    expect(await scene.settled(parts.next(), 'its end')).to.deep.equal({ done: true, value: undefined });
    await scene.until(() => 'other' in other, 'the other answer');
    expect(other).to.deep.equal({ other: 'other' });
  });

  it('gives a stream up when its loop is left, before there is a connection too', async () => {
    let aborted = 0;
    const server = serving((near) =>
      near.handle('parts', async function* (_, { signal }) {
        signal.addEventListener('abort', () => aborted++);
        for (let i = 0; ; i++) yield i;
      }),
    );
    const destination = scene.destination(await scene.address(server, 'tcp native'));
    const unsent = destination.stream('parts');
    const waiting = unsent.next();
    expect(destination.queued).to.equal(1);
    await unsent.return?.();
    expect(await waiting).to.deep.equal({ done: true, value: undefined });
    expect(destination.queued).to.equal(0);
    const read = async (): Promise<unknown> => {
      for await (const part of destination.stream('parts')) if (part === 3) return part;
      return null;
    };
    expect(await scene.settled(read(), 'the stream')).to.equal(3);
    await scene.until(() => aborted === 1, 'its handler to be aborted');
    expect(destination.connections[0]?.inFlight).to.equal(0);
  });

  it('has the parts that came read after the connections were closed', async () => {
    const server = serving((near) =>
      near.handle('parts', async function* () {
        yield* [1, 2, 3];
      }),
    );
    const destination = scene.destination(await scene.address(server, 'shm'));
    const parts = destination.stream<number>('parts');
    expect(await scene.settled(parts.next(), 'the first part')).to.include({ value: 1 });
    await scene.settled(destination.close(), 'its end');
    const rest: number[] = [];
    for await (const part of parts) rest.push(part);
    expect(rest).to.deep.equal([2, 3]);
  });

  it('tells the reader of a stream when its server was killed, after what had come', async () => {
    const port = await freePort();
    const talk = await scene.process(`${scene.clientName}-server`, port);
    const destination = scene.destination({ port, transport: 'tcp' }, { resumeMs: 50 });
    const parts = destination.stream('hang', { name: 'stream' });
    const outcome = scene.outcomes({ next: parts.next() });
    await scene.until(() => talk.words.includes('hang stream'), 'it to run');
    await kill(talk);
    await scene.until(() => 'next' in outcome, 'the reader to be told');
    expect(outcome).to.deep.equal({ next: 'ERR_UNANSWERED' });
    expect(await parts.next()).to.deep.equal({ done: true, value: undefined });
  });

  it('takes a stream that a connection has and that has not left to another server', async () => {
    const runs: unknown[] = [];
    // As many hang as the server takes at once: what follows waits in its connection.
    const full = scene.server({
      onConnection(connection) {
        if (connection.userData !== undefined) return;
        connection.userData = messenger(connection, { maxRequests: 64 }).handle('hang', (value) => {
          runs.push(value);
          return new Promise(() => {});
        });
      },
    });
    const other = serving((near) =>
      near.handle('parts', async function* () {
        yield* ['from', 'here'];
      }),
    );
    const { port } = await full.listen({ host: '127.0.0.1', port: 0 });
    const destination = scene.destination(
      { port, transport: 'tcp' },
      {
        maxConnections: 1,
        maxInFlight: 100,
        resumeMs: 20,
        resolveMs: 1,
      },
    );
    const hanging = scene.outcomes(
      Object.fromEntries(Array.from({ length: 64 }, (_, i) => [i, destination.request('hang', i)])),
    );
    await scene.until(() => runs.length === 64, 'all to hang');
    const parts = destination.stream<string>('parts');
    const first = scene.outcomes({ part: parts.next().then(({ value }) => value) });
    for (let i = 0; i < 20; i++) await scene.until(() => true, 'a turn');
    expect(destination.connections[0]?.inFlight).to.equal(65);
    expect(first).to.deep.equal({});
    await full.close();
    await other.listen({ host: '127.0.0.1', port });
    await scene.until(() => 'part' in first, 'a part');
    expect(first).to.deep.equal({ part: 'from' });
    expect(await scene.settled(parts.next(), 'the next part')).to.include({ value: 'here' });
    expect(Object.values(hanging)).to.deep.equal(Array.from({ length: 64 }, () => 'ERR_UNANSWERED'));
  });

  it('settles a notification when it is pushed, and not before', async () => {
    const heard: unknown[] = [];
    const port = await freePort();
    const destination = scene.destination({ port, transport: 'tcp' });
    const outcome = scene.outcomes({ told: destination.notify('hear', 'this') });
    await scene.until(() => scene.events.length > 0, 'a refusal');
    expect(outcome).to.deep.equal({});
    const server = serving((near) => near.handle('hear', (value) => void heard.push(value)));
    await server.listen({ host: '127.0.0.1', port });
    await scene.until(() => 'told' in outcome, 'it to be pushed');
    expect(outcome).to.deep.equal({ told: undefined });
    await scene.until(() => heard.length > 0, 'it to be heard');
    expect(heard).to.deep.equal(['this']);
    expect(destination.connections[0]?.inFlight).to.equal(0);
  });

  it('tells of a call whether it has left, and takes it back before that', async () => {
    const port = await freePort();
    const destination = scene.destination({ port, transport: 'tcp' });
    const taken: Call = destination.call('echo', 'taken');
    const kept = destination.call('hang', 'kept');
    expect([taken.left, kept.left]).to.deep.equal([false, false]);
    expect(taken.withdraw()).to.equal(true);
    expect(taken.withdraw()).to.equal(false);
    await scene.refused(taken.response, 'ERR_NOT_SENT');
    const runs: unknown[] = [];
    await scene.serving(runs).listen({ host: '127.0.0.1', port });
    await scene.until(() => runs.length > 0, 'the other one to run');
    expect(kept.left).to.equal(true);
    expect(kept.withdraw()).to.equal(false);
    kept.cancel('enough');
    expect(await kept.response.catch((reason: unknown) => reason)).to.equal('enough');
    expect(kept.left).to.equal(true);
    expect(runs).to.deep.equal(['kept']);
  });

  it('knows that a call has left when it is sent again', async () => {
    const ports = [await freePort(), await freePort()] as const;
    const talk = await scene.process(`${scene.clientName}-server`, ports[0]);
    const destination = scene.destination(
      ports.map((port) => ({ port, transport: 'tcp' as const })),
      { maxConnections: 1, resumeMs: 50 },
    );
    const call = destination.call('hang', { name: 'again' }, { idempotent: true });
    const outcome = scene.outcomes({ call: call.response });
    await scene.until(() => talk.words.includes('hang again'), 'it to run');
    await kill(talk);
    await scene.until(() => destination.queued === 1, 'it to wait for another server');
    expect(call.left).to.equal(true);
    expect(call.withdraw()).to.equal(false);
    expect(outcome).to.deep.equal({});
    await destination.close({ force: true });
    await nextTurn();
    expect(outcome).to.deep.equal({ call: 'ERR_CLOSED' });
  });

  it('refuses streams that are to be idempotent, and what else no connection takes', async () => {
    const destination = scene.destination({ port: await freePort() });
    expectCode(() => destination.stream('x', 1, { idempotent: true }), 'ERR_OPTION', /idempotent/);
    expectCode(() => destination.call('x', 1, { timeoutMs: -1 }), 'ERR_OPTION', /timeoutMs/);
    const reason = new Error('enough');
    const aborted = destination.stream('x', 1, { signal: AbortSignal.abort(reason) });
    expect(await aborted.next().catch((error: TcpshmError) => error)).to.equal(reason);
    expect(await aborted.next()).to.deep.equal({ done: true, value: undefined });
    expect(destination.queued).to.equal(0);
  });
});
