import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { channel, RingChannel, RingPort, TcpshmError, textCodec } from '../../lib/index.js';
import { type Pair, Scene, WAYS } from '../peers/support.js';
import { expectCode, thrownBy } from '../support/failure.js';
import { until } from '../support/until.js';

/** Several times what a queue of the specs has. */
const LARGE = new Uint8Array(50_000).map((_, i) => (i * 7) & 0xff);
/** A type as a port gives it to the first, a further and the last part of a value. */
const FIRST_PART = (2 << 14) | 1;
const PART = 2 << 14;
const LAST_PART = 3 << 14;

/** Collects what a port gets. */
function listen(port: RingPort): { readonly got: unknown[]; readonly errors: TcpshmError[] } {
  const got: unknown[] = [];
  const errors: TcpshmError[] = [];
  port.on('message', (value) => got.push(value));
  port.on('messageerror', (error) => errors.push(error));
  return { got, errors };
}

for (const way of WAYS) {
  describe(`a RingPort over ${way}`, () => {
    let scene: Scene;
    let peers: Pair;
    let near: RingPort;
    let far: RingPort;
    beforeEach(async () => {
      scene = new Scene();
      peers = await scene.pair(way);
      near = RingPort.over(peers.local);
      far = RingPort.over(peers.remote);
    });
    afterEach(() => scene.end());

    it('carries values of all kinds and sizes in order, in both directions', async () => {
      const cyclic: { self?: unknown } = {};
      cyclic.self = cyclic;
      const values = ['a text', { at: new Date(5), map: new Map([[1, { n: 2n }]]) }, LARGE, undefined, LARGE];
      const forth = listen(far);
      const back = listen(near);
      for (const value of values) {
        near.postMessage(value);
        far.postMessage(value);
      }
      near.postMessage(cyclic);
      await scene.until(() => forth.got.length === 6 && back.got.length === 5, 'all values');
      expect(forth.got.slice(0, 5)).to.deep.equal(values);
      expect(back.got).to.deep.equal(values);
      const [{ self }] = forth.got.slice(5) as [typeof cyclic];
      expect(self).to.equal(forth.got[5]);
    });

    it('gets messages as events too, and one by one', async () => {
      const events: unknown[] = [];
      far.onmessage = ({ data }) => events.push(data);
      near.postMessage('an event');
      await scene.until(() => events.length === 1, 'the event');
      far.onmessage = null;
      for (let n = 0; n < 10; n++) near.postMessage(n);
      for (let n = 0; n < 10; n++) {
        expect(await scene.settled(once(far, 'message'), 'a message')).to.deep.equal([n]);
      }
      expect(events).to.deep.equal(['an event']);
    });

    it('keeps what has no room in memory, and tells when that is over', async () => {
      let told = true;
      for (let n = 0; n < 2000; n++) told = near.postMessage({ n, fill: 'x'.repeat(1000) });
      expect(told).to.equal(false);
      expect(near.writableLength).to.be.above(1e6);
      const drained = once(near, 'drain');
      const { got } = listen(far);
      await scene.until(() => got.length === 2000, 'all values');
      await scene.settled(drained, 'the drain');
      expect(near.writableLength).to.equal(0);
      expect((got as { n: number }[]).map(({ n }) => n)).to.deep.equal(
        Array.from({ length: 2000 }, (_, n) => n),
      );
    });

    it('stays over a disconnect, and goes on with what was posted meanwhile', async function () {
      if (way === 'inproc') this.skip();
      const { got, errors } = listen(far);
      let closed = false;
      far.on('close', () => {
        closed = true;
      });
      near.postMessage('before');
      near.postMessage(LARGE);
      peers.local.side.violate(new TcpshmError('ERR_PROTOCOL', 'cut'));
      await scene.until(() => peers.local.state === 'disconnected', 'the disconnect');
      near.postMessage('meanwhile');
      await scene.connect(peers.client, peers.address);
      await scene.until(() => got.length === 3, 'all values');
      expect(got).to.deep.equal(['before', LARGE, 'meanwhile']);
      expect(errors).to.deep.equal([]);
      expect(closed).to.equal(false);
    });

    it('closes its connection once all has gone out, and the port of the peer stays', async () => {
      const { got } = listen(far);
      near.postMessage(LARGE);
      near.postMessage('last');
      const closed = once(near, 'close');
      near.close();
      near.close();
      expect(peers.local.state).to.equal('connected');
      await scene.settled(closed, 'the close');
      expect(peers.local.state).to.equal('closed');
      expect(near.postMessage('nobody is there')).to.equal(true);
      await scene.until(() => got.length === 2, 'all values');
      expect(got).to.deep.equal([LARGE, 'last']);
      await scene.until(() => peers.remote.state === 'disconnected', 'the disconnect');
      // Between threads the session ends with its client's connection.
      if (way === 'inproc') return;
      far.postMessage('for the next one');
      const next = RingPort.over(await scene.connect(peers.client, peers.address));
      expect(await scene.settled(once(next, 'message'), 'a message')).to.deep.equal(['for the next one']);
    });

    it("tells by 'close' that its connection was closed", async () => {
      const closed = once(near, 'close');
      near.postMessage('x'.repeat(10_000));
      peers.local.close();
      await closed;
      expect(near.writableLength, 'what was lost').to.be.above(0);
      expect(near.hasRef()).to.equal(false);
    });

    it('gets a value again whose listener has thrown, and not one whose listener has closed it', async () => {
      const got: unknown[] = [];
      far.on('message', (value) => {
        got.push(value);
        if (got.length === 1) throw new Error('thrown by a listener');
        if (value === 'second') far.close();
      });
      near.postMessage('first');
      near.postMessage('second');
      near.postMessage('third');
      let thrown: unknown = null;
      await scene
        .until(() => got.length > 1, 'the message again')
        .catch((error: unknown) => {
          thrown = error;
        });
      expect(thrown).to.have.property('message', 'thrown by a listener');
      await scene.until(() => peers.remote.state === 'closed', 'the close');
      expect(got).to.deep.equal(['first', 'first', 'second']);
      expect(peers.remote.popped).to.equal(2);
    });

    it('delivers to nobody while nobody listens', async () => {
      near.postMessage('kept');
      for (let i = 0; i < 10; i++) await scene.turn();
      expect(peers.remote.popped).to.equal(0);
      expect(peers.log).to.deep.equal(['server: connection']);
      expect(await scene.settled(once(far, 'message'), 'the message')).to.deep.equal(['kept']);
    });

    it('passes over a value in parts whose sender has died in the middle', async () => {
      const { got, errors } = listen(far);
      peers.local.send(new Uint8Array([1]), FIRST_PART);
      peers.local.send(new Uint8Array([2]), PART);
      near.postMessage('next');
      peers.local.send(new Uint8Array([1]), FIRST_PART);
      near.postMessage(LARGE);
      await scene.until(() => got.length === 2, 'the values');
      expect(got).to.deep.equal(['next', LARGE]);
      expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_CODEC', 'ERR_CODEC']);
    });

    it('passes over the rest of a value that another receiver has taken parts of', async () => {
      const { got, errors } = listen(far);
      peers.local.send(new Uint8Array([1]), PART);
      peers.local.send(new Uint8Array([2]), PART);
      peers.local.send(new Uint8Array([3]), LAST_PART);
      near.postMessage('next');
      await scene.until(() => got.length === 1, 'the value');
      expect(got).to.deep.equal(['next']);
      expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_CODEC']);
    });

    it('is closed when the peer has no port, whose message stays', async () => {
      const { errors } = listen(far);
      const closed = once(far, 'close');
      peers.local.send('a text');
      await scene.settled(closed, 'the close');
      expect(errors).to.have.length(1);
      expect(errors[0]).to.have.property('code', 'ERR_PROTOCOL');
      expect(peers.remote.popped).to.equal(0);
    });

    it("gets a 'messageerror' for what cannot be read, and the messages behind it", async () => {
      const { got, errors } = listen(far);
      peers.local.send(new Uint8Array([0xc1, 0xff, 0xff]), 1 << 14);
      near.postMessage('next');
      await scene.until(() => got.length === 1, 'the value');
      expect(errors.map(({ code }) => code)).to.deep.equal(['ERR_CODEC']);
    });

    it('refuses what cannot be moved, and sends nothing then', async () => {
      const { port1, port2 } = new MessageChannel();
      expectCode(() => near.postMessage(port1), 'ERR_CODEC');
      expectCode(() => near.postMessage(null, [port1]), 'ERR_CODEC', /cannot be transferred/);
      expectCode(() => near.postMessage(new SharedArrayBuffer(8)), 'ERR_CODEC');
      port1.close();
      port2.close();
      const bytes = new Uint8Array([1, 2, 3]);
      near.postMessage(bytes, [bytes.buffer]);
      expect(bytes.length, 'it was copied, then detached').to.equal(0);
      const [value] = await scene.settled(once(far, 'message'), 'the message');
      expect(value).to.deep.equal(new Uint8Array([1, 2, 3]));
    });

    it('is the one reader of its connection', () => {
      expectCode(() => RingPort.over(peers.local), 'ERR_BUSY');
      expectCode(() => channel(peers.local, textCodec), 'ERR_BUSY');
      expectCode(() => RingPort.over({} as never), 'ERR_OPTION');
      expectCode(() => near.detach(), 'ERR_OPTION', /stays in its thread/);
      peers.local.close();
      expectCode(() => RingPort.over(peers.local), 'ERR_CLOSED');
    });

    for (const idle of ['yield', 'backoff', 'park'] as const) {
      it(`echoes while both sides run, idle by '${idle}'`, async () => {
        const stop = new AbortController();
        const runs = [peers.client, peers.server].map((peer) => peer.run({ idle, signal: stop.signal }));
        far.on('message', (value) => far.postMessage(value));
        const { got } = listen(near);
        for (let n = 0; n < 300; n++) {
          near.postMessage({ n, fill: 'x'.repeat(n % 50 === 0 ? 10_000 : 500) });
          // Long enough for either side to fall asleep.
          if (n % 100 === 0) await sleep(20);
        }
        await until(() => got.length === 300, 'all echoes');
        stop.abort();
        await Promise.all(runs);
        expect((got as { n: number }[]).map(({ n }) => n)).to.deep.equal(
          Array.from({ length: 300 }, (_, n) => n),
        );
      });
    }
  });
}

describe('a RingPort over a connection', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  it('has a codec of its own, by which logins of others are refused', async () => {
    const server = scene.server({ codec: RingPort.codec });
    const address = await scene.address(server, 'shm');
    const other = scene.client({ codec: textCodec });
    await scene.refused(other.connect(address), 'ERR_CODEC', /structured@1/);
    const port = RingPort.over(await scene.connect(scene.client({ codec: RingPort.codec }), address));
    expect(port.hasRef()).to.equal(false);
  });

  it('works over an end of a RingChannel that is polled', () => {
    const { local, remote } = new RingChannel({ capacityBytes: 4096 });
    const other = RingChannel.open(remote);
    const near = RingPort.over(local);
    const { got } = listen(RingPort.over(other));
    near.postMessage(LARGE);
    for (let i = 0; i < 100 && got.length === 0; i++) {
      other.poll({});
      local.poll({});
    }
    expect(got).to.deep.equal([LARGE]);
    near.close();
    other.close();
    expectCode(() => local.poll({}), 'ERR_CLOSED');
  });

  it('delivers to a listener what had arrived when the peer was cut off', async () => {
    const { local, remote, client, server } = await scene.pair('shm');
    RingPort.over(local).postMessage('before the cut');
    const far = RingPort.over(remote);
    await client.close();
    await until(
      () => remote.state === 'disconnected',
      'the disconnect',
      async () => {
        server.poll();
        await sleep(1);
      },
    );
    expect(await once(far, 'message')).to.deep.equal(['before the cut']);
  });

  it('a port that is closed twice or polled from its own listener delivers each value once', async () => {
    const { local, remote, server } = await scene.pair('shm');
    const near = RingPort.over(local);
    const far = RingPort.over(remote);
    const got: unknown[] = [];
    far.on('message', (value) => {
      got.push(value);
      server.poll();
    });
    for (let n = 0; n < 10; n++) near.postMessage(n);
    await scene.until(() => got.length >= 10, 'the values');
    expect(got).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(thrownBy(() => remote.pop())).to.have.property('code', 'ERR_NO_MESSAGE');
  });

  for (const transport of ['shm', 'tcp'] as const) {
    it(`loses and repeats nothing over ${transport} when its process is killed between two values`, async () => {
      const RECEIVER = `
        const { port, directory, sharedDirectory, name, server, transport, last } = JSON.parse(process.env.PLAN);
        const client = new tcpshm.Client({ name, directory, sharedDirectory });
        const connection = await client.connect({ host: '127.0.0.1', port, transport });
        const over = tcpshm.RingPort.over(connection);
        let count = 0;
        over.on('message', (value) => {
          // In the middle of the third one of this process, before it is done with it.
          if (++count === 3 && value !== last) process.kill(process.pid, 'SIGKILL');
          over.postMessage({ value, by: process.pid });
          if (value === last) over.close();
        });
        over.on('close', () => client.close());
        await client.run();
        say('ended');
      `;
      const server = scene.server();
      const { port } = (await scene.address(server, transport === 'tcp' ? 'tcp native' : transport)) as {
        port: number;
      };
      const plan = { port, ...scene.places, name: scene.clientName, server: server.name, transport, last: 9 };
      let far: RingPort | null = null;
      const answers: { value: number; by: number }[] = [];
      let children = 0;
      let child = scene.child(RECEIVER, { PLAN: JSON.stringify(plan) });
      await scene.until(() => {
        const [connection] = server.connections;
        if (connection !== undefined && far === null) {
          far = RingPort.over(connection);
          far.on('message', (value) => answers.push(value as { value: number; by: number }));
          for (let n = 0; n < 10; n++) far.postMessage(n);
        }
        if (child.child.signalCode !== null) {
          children++;
          child = scene.child(RECEIVER, { PLAN: JSON.stringify(plan) });
        }
        return child.words.includes('ended');
      }, 'all values');
      await scene.until(() => answers.length >= 10, 'all answers');
      expect(answers.map(({ value }) => value)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(new Set(answers.map(({ by }) => by)).size, 'processes').to.equal(children + 1);
      expect(children).to.equal(4);
    });
  }

  for (const native of ['on', 'off']) {
    it(`lets its process end when nothing listens or it was unref-ed, with the native module ${native}`, async () => {
      const { child, words } = scene.child(
        `
        const server = new tcpshm.Server({ name: 'server-' + process.pid });
        const client = new tcpshm.Client({ name: 'client-' + process.pid });
        let far;
        server.run(); client.run();
        server.unref();
        const accepted = new Promise((resolve) => {
          const timer = setInterval(() => {
            if (server.connections.length === 0) return;
            clearInterval(timer);
            resolve(server.connections[0]);
          }, 1);
        });
        await server.listen({ transport: 'inproc' });
        const near = tcpshm.RingPort.over(await client.connect({ transport: 'inproc', server: server.name }));
        far = tcpshm.RingPort.over(await accepted);
        far.on('message', (value) => { far.postMessage(value); });
        far.unref();
        const echoed = new Promise((resolve) => near.once('message', resolve));
        near.postMessage('echo');
        say(await echoed);
        // What a process that must go on would print.
        setTimeout(() => say('still there'), 5000).unref();
      `,
        native === 'off' ? { TCPSHM_NATIVE: 'off' } : {},
      );
      await once(child, 'exit');
      expect(words).to.deep.equal(['echo']);
    });
  }
});
