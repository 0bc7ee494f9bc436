import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import {
  type Channel,
  type Connection,
  channel,
  json,
  msgpack,
  type PeerOptions,
  RingChannel,
  struct,
  TcpshmError,
  textCodec,
} from '../../lib/index.js';
import { type Pair, Scene, WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { until } from '../support/until.js';

interface Numbered {
  n: number;
  fill?: string;
}

/** Some four of them fill a queue of 4096 bytes. */
const FILL = 'x'.repeat(700);

/** A server that sends back what it gets, in a thread of its own. */
const ECHO = `
  const { way, name, places } = workerData;
  const server = new tcpshm.Server({
    name,
    ...places,
    wire: way === 'tcp net' ? 'net' : 'native',
    onConnection: async (connection) => {
      const echo = tcpshm.channel(connection, tcpshm.msgpack());
      for await (const value of echo) await echo.sendAsync(value);
    },
  });
  const { port } = await server.listen(way === 'inproc' ? { transport: 'inproc' } : { host: '127.0.0.1', port: 0 });
  say(port ?? 0);
  await server.run({ idle: 'yield' });
`;

for (const way of WAYS) {
  describe(`a channel over ${way}`, () => {
    let scene: Scene;
    let near: Channel<Numbered>;
    let far: Channel<Numbered>;
    let peers: Pair;
    beforeEach(() => begin());
    afterEach(() => scene.end());

    async function begin(options: PeerOptions = {}): Promise<void> {
      scene = new Scene();
      peers = await scene.pair(way, options, options);
      near = channel(peers.local, msgpack<Numbered>());
      far = channel(peers.remote, msgpack<Numbered>());
    }

    /** Fills the queue, and gives how many it took. */
    function fill(from: Channel<Numbered>): number {
      let n = 0;
      while (from.send({ n, fill: FILL })) n++;
      expect(n).to.be.above(0);
      return n;
    }

    it('carries values to who receives them, in order', async () => {
      expect(near.send({ n: 1 })).to.equal(true);
      const first = far.receive();
      const second = far.receive();
      near.send({ n: 2 });
      expect(await scene.settled(first, 'a value')).to.deep.equal({ n: 1 });
      expect(await scene.settled(second, 'a value')).to.deep.equal({ n: 2 });
      expect(far.connection.popped).to.equal(2);
    });

    it('keeps its messages from the handler of its server', async () => {
      near.send({ n: 1 });
      for (let i = 0; i < 10; i++) await scene.turn();
      expect(await scene.settled(far.receive(), 'the message')).to.deep.equal({ n: 1 });
      expect(peers.log).to.deep.equal(['server: connection']);
    });

    it('sends what waits for room in order, as there is some', async () => {
      const count = fill(near);
      const sent: number[] = [];
      const all = [0, 1, 2, 3, 4, 5].map((i) =>
        near.sendAsync({ n: count + i, fill: FILL }).then(() => sent.push(count + i)),
      );
      expect(near.send({ n: -1 }), 'it is behind those that wait').to.equal(false);
      const received: number[] = [];
      for (let i = 0; i < count + 6; i++) received.push((await scene.settled(far.receive(), 'a value')).n);
      await scene.settled(Promise.all(all), 'all that was sent');
      const inOrder = received.map((_, i) => i);
      expect(received).to.deep.equal(inOrder);
      expect(sent).to.deep.equal(inOrder.slice(count));
    });

    it('does not send what was given up before there was room, and goes on with the next one', async () => {
      const count = fill(near);
      const first = new AbortController();
      const lost = near.sendAsync({ n: -1, fill: FILL }, { signal: first.signal });
      const kept = near.sendAsync({ n: count });
      first.abort(new Error('given up'));
      expect(String(await lost.catch((error: unknown) => error))).to.match(/given up/);
      // It is small enough for what room there is.
      await kept;
      const received: number[] = [];
      for (let i = 0; i <= count; i++) received.push((await scene.settled(far.receive(), 'a value')).n);
      expect(received[count]).to.equal(count);
    });

    it('gives nothing to a receive that was given up', async () => {
      const controller = new AbortController();
      const lost = far.receive({ signal: controller.signal });
      const kept = far.receive();
      controller.abort(new Error('given up'));
      expect(String(await lost.catch((error: unknown) => error))).to.match(/given up/);
      near.send({ n: 1 });
      expect(await scene.settled(kept, 'a value')).to.deep.equal({ n: 1 });
      const before = AbortSignal.abort(new Error('before'));
      expect(String(await far.receive({ signal: before }).catch((error: unknown) => error))).to.match(
        /before/,
      );
      expect(
        String(await near.sendAsync({ n: 1 }, { signal: before }).catch((error: unknown) => error)),
      ).to.match(/before/);
    });

    it('is read by a loop, each message popped after its body', async () => {
      const seen: [number, number][] = [];
      const loop = (async () => {
        for await (const { n } of far) {
          await nextTurn();
          seen.push([n, far.connection.popped]);
          if (n === 200) break;
        }
      })();
      for (let n = 0; n <= 200; n++) await scene.settled(near.sendAsync({ n }), 'room');
      await scene.settled(loop, 'the end of the loop');
      expect(seen).to.deep.equal(Array.from({ length: 201 }, (_, n) => [n, n]));
    });

    it('lets the event loop turn while values are there and room is, for who awaits each of many', async () => {
      const COUNT = 300;
      await scene.end();
      await begin({ sendCapacityBytes: 65536, receiveCapacityBytes: 65536 });
      /** How many were done when the event loop turned. */
      const turns: number[] = [];
      let done = 0;
      const observe = (): void => {
        turns.push(done);
        if (done < COUNT) setImmediate(observe);
      };
      setImmediate(observe);
      const sending = (async () => {
        for (; done < COUNT; done++) await near.sendAsync({ n: done });
      })();
      await sending;
      expect(turns[0], 'sent before the first turn').to.be.below(COUNT);
      // All are there, and nobody polls meanwhile.
      for (let i = 0; i < 50; i++) await scene.turn();
      done = 0;
      turns.length = 0;
      setImmediate(observe);
      for (; done < COUNT; done++) expect((await far.receive()).n).to.equal(done);
      expect(turns[0], 'received before the first turn').to.be.below(COUNT);
    });

    it('gives the message of a body that threw again, and not one that was popped', async () => {
      near.send({ n: 1 });
      near.send({ n: 2 });
      const seen: number[] = [];
      const read = async (pops: boolean): Promise<void> => {
        for await (const { n } of far) {
          seen.push(n);
          if (pops) far.pop();
          throw new Error('of the body');
        }
      };
      for (const pops of [false, true, false]) {
        const failed = scene.settled(read(pops), 'the loop').catch((error: unknown) => error);
        expect(String(await failed)).to.match(/of the body/);
      }
      expect(seen).to.deep.equal([1, 1, 2]);
    });

    it('hands values to the handlers of their types', async () => {
      const heard: string[] = [];
      far.on(2, ({ n }) => heard.push(`two ${n}`)).on('any', ({ n }, type) => heard.push(`${type} ${n}`));
      near.send({ n: 1 }, 2);
      near.send({ n: 2 }, 3);
      near.send({ n: 3 }, 2);
      await scene.until(() => heard.length === 3, 'three messages');
      expect(heard).to.deep.equal(['two 1', '3 2', 'two 3']);
      expect(far.connection.popped).to.equal(3);
    });

    it('keeps nobody awake with what has no handler, and hands it to one that comes later', async () => {
      const heard: string[] = [];
      far.on(2, ({ n }) => heard.push(`two ${n}`));
      near.send({ n: 1 }, 3);
      near.send({ n: 2 }, 2);
      await scene.until(() => far.connection.side.ends.consumer.held, 'the message without a handler');
      for (let i = 0; i < 20; i++) await scene.turn();
      expect(peers.server.park(performance.now())).to.be.above(0);
      far.on(3, ({ n }) => heard.push(`three ${n}`));
      await scene.until(() => heard.length === 2, 'both messages');
      expect(heard).to.deep.equal(['three 1', 'two 2']);
    });

    it('shows a batch at once', async () => {
      expect(near.sendMany([{ n: 1 }, { n: 2 }, { n: 3 }])).to.equal(3);
      const all = Promise.all([far.receive(), far.receive(), far.receive()]);
      expect(await scene.settled(all, 'three values')).to.deep.equal([{ n: 1 }, { n: 2 }, { n: 3 }]);
      const many = Array.from({ length: 20 }, (_, n) => ({ n, fill: FILL }));
      expect(near.sendMany(many)).to.be.within(1, 19);
    });

    it('sends nothing of a batch in which a value cannot be carried', async () => {
      const wrong = [{ n: 1 }, { n: (() => {}) as unknown as number }];
      expectCode(() => near.sendMany(wrong), 'ERR_CODEC');
      near.send({ n: 2 });
      expect(await scene.settled(far.receive(), 'a value')).to.deep.equal({ n: 2 });
    });

    it('is closed for all who wait, each told once', async () => {
      fill(near);
      const outcomes: string[] = [];
      const note = (what: string, promise: Promise<unknown>): Promise<void> =>
        promise.then(
          () => void outcomes.push(`${what} resolved`),
          (error: { code: string }) => void outcomes.push(`${what} ${error.code}`),
        );
      const all = [
        note('send', near.sendAsync({ n: 1, fill: FILL })),
        note('writable', near.connection.writable(1000)),
        note('receive', near.receive()),
      ];
      near.close();
      await Promise.all(all);
      await scene.turn();
      expect(outcomes).to.have.members(['send ERR_CLOSED', 'writable ERR_CLOSED', 'receive ERR_CLOSED']);
      for (const late of [near.sendAsync({ n: 1 }), near.receive(), near.connection.writable(1)]) {
        expect(await late.catch((error: unknown) => error)).to.have.property('code', 'ERR_CLOSED');
      }
      expectCode(() => near.send({ n: 1 }), 'ERR_CLOSED');
    });

    it('ends its loop when it is closed', async () => {
      const loop = (async () => {
        let n = 0;
        for await (const value of far) n += value.n;
        return n;
      })();
      near.send({ n: 7 });
      await scene.until(() => far.connection.popped === 1, 'the value');
      far.close();
      expect(await loop).to.equal(7);
    });

    it('is read in one way at a time', async () => {
      const loop = far[Symbol.asyncIterator]();
      expectCode(() => far[Symbol.asyncIterator](), 'ERR_BUSY', /a loop/);
      expectCode(() => far.on(1, () => {}), 'ERR_BUSY');
      expect(await far.receive().catch((error: unknown) => error)).to.have.property('code', 'ERR_BUSY');
      await loop.return?.();
      const waiting = far.receive();
      expectCode(() => far[Symbol.asyncIterator](), 'ERR_BUSY', /a receive/);
      near.send({ n: 1 });
      await scene.settled(waiting, 'a value');
      far.on('any', () => {});
      expectCode(() => far[Symbol.asyncIterator](), 'ERR_BUSY', /handlers/);
      expectCode(() => channel(far.connection, json()), 'ERR_BUSY');
    });

    it('keeps a message that is not of its codec until it is popped', async () => {
      near.connection.send(Buffer.from([0xc1, 0xc1, 0xc1]));
      near.send({ n: 2 });
      for (let i = 0; i < 2; i++) await scene.refused(far.receive(), 'ERR_CODEC');
      far.pop();
      expect(await scene.settled(far.receive(), 'a value')).to.deep.equal({ n: 2 });
    });

    it('waits for room of a connection', async () => {
      await near.connection.writable(1000);
      fill(near);
      let free = false;
      const room = near.connection.writable(900).then(() => {
        free = true;
      });
      for (let i = 0; i < 5; i++) await scene.turn();
      expect(free).to.equal(false);
      await scene.settled(far.receive(), 'a value');
      await scene.settled(far.receive(), 'a value');
      await scene.settled(room, 'room');
      expect(near.connection.alloc(900)).not.to.equal(null);
      expect(await near.connection.writable(1e6).catch((error: unknown) => error)).to.be.instanceOf(
        RangeError,
      );
    });

    it('tells when its queue is too full, and when that is over', async () => {
      const heard: string[] = [];
      near.connection.watermarks({
        high: 2000,
        low: 500,
        onHigh: () => heard.push('high'),
        onLow: () => heard.push('low'),
      });
      const count = fill(near);
      await scene.until(() => heard.length === 1, 'the high mark');
      for (let i = 0; i < count; i++) await scene.settled(far.receive(), 'a value');
      await scene.until(() => heard.length === 2, 'the low mark');
      expect(heard).to.deep.equal(['high', 'low']);
      expectCode(() => near.connection.watermarks({ high: 10, low: 11 }), 'ERR_OPTION');
      expectCode(() => near.connection.watermarks({ high: Number.NaN }), 'ERR_OPTION');
    });

    it('goes on after a disconnect, which rejects nothing', async function () {
      if (way === 'inproc') this.skip();
      const count = fill(near);
      const waiting = near.sendAsync({ n: count, fill: FILL });
      const received: number[] = [];
      const loop = (async () => {
        for await (const { n } of far) {
          received.push(n);
          if (n === count) break;
        }
      })();
      near.connection.side.violate(new TcpshmError('ERR_PROTOCOL', 'cut'));
      await scene.until(() => near.connection.state === 'disconnected', 'the disconnect');
      await scene.connect(peers.client, peers.address);
      await scene.settled(Promise.all([waiting, loop]), 'all of it');
      expect(received).to.deep.equal(Array.from({ length: count + 1 }, (_, n) => n));
    });

    for (const idle of ['yield', 'backoff', 'park'] as const) {
      it(`echoes while both sides run, idle by '${idle}'`, async () => {
        const stop = new AbortController();
        const runs = [peers.client, peers.server].map((peer) => peer.run({ idle, signal: stop.signal }));
        const echo = (async () => {
          for await (const value of far) {
            await far.sendAsync(value);
            if (value.n === 299) break;
          }
        })();
        const sending = (async () => {
          for (let n = 0; n < 300; n++) {
            await near.sendAsync({ n, fill: FILL });
            // Long enough for either side to fall asleep.
            if (n % 100 === 0) await sleep(20);
          }
        })();
        const received: number[] = [];
        while (received.length < 300) received.push((await near.receive()).n);
        await Promise.all([echo, sending]);
        stop.abort();
        await Promise.all(runs);
        expect(received).to.deep.equal(Array.from({ length: 300 }, (_, n) => n));
      });
    }

    it("gives promises their turn while its thread runs 'busy'", async function () {
      // node:net needs the event loop.
      if (way === 'tcp net') this.skip();
      const { worker, words } = scene.worker(ECHO, {
        way,
        name: `${scene.serverName}-echo`,
        places: scene.places,
      });
      await until(() => words.length > 0, 'the server of the other thread');
      const port = words[0] as number;
      const target =
        way === 'inproc'
          ? ({ transport: way, server: `${scene.serverName}-echo` } as const)
          : ({ transport: way === 'shm' ? 'shm' : 'tcp', port } as const);
      const client = scene.client({ ...scene.wire(way), name: `${scene.clientName}-busy` });
      const echoed = channel(await scene.connect(client, target), msgpack<Numbered>());
      const stop = new AbortController();
      let sum = 0;
      // Some promises deep, as what awaits it may be.
      const round = async (n: number): Promise<number> => {
        await echoed.sendAsync({ n });
        return (await echoed.receive()).n;
      };
      const rounds = (async () => {
        for (let n = 0; n < 100; n++) sum += await round(n);
        stop.abort();
      })();
      await client.run({ idle: 'busy', signal: stop.signal });
      await rounds;
      expect(sum).to.equal(4950);
      await worker.terminate();
    });

    it('reads structs in place in a loop', async () => {
      const layout = struct({ n: 'u32', price: 'f64' });
      const apart = new Scene();
      try {
        const { local, remote } = await apart.pair(way);
        const out = channel(local, layout);
        const inward = channel(remote, layout.inPlace);
        expect(await inward.receive().catch((error: unknown) => error)).to.have.property('code', 'ERR_BUSY');
        let sum = 0;
        const loop = (async () => {
          for await (const value of inward) {
            sum += value.price;
            if (value.n === 99) break;
          }
        })();
        for (let n = 0; n < 100; n++) await apart.settled(out.sendAsync({ n, price: 0.5 }), 'room');
        await apart.settled(loop, 'the loop');
        expect(sum).to.equal(50);
      } finally {
        await apart.end();
      }
    });
  });
}

describe('a loop over a channel', () => {
  let local: Connection;
  let reading: Channel<string>;
  beforeEach(() => {
    const rings = new RingChannel({ capacityBytes: 4096 });
    local = rings.local;
    reading = channel(local, textCodec);
    const sending = channel(RingChannel.open(rings.remote), textCodec);
    for (const text of ['first', 'second', 'third']) sending.send(text);
    sending.close();
  });
  afterEach(() => local.close());

  /** What is to be read from here on. */
  async function rest(): Promise<string[]> {
    const texts: string[] = [];
    while (local.front() !== null) texts.push(await reading.receive());
    return texts;
  }

  /** Each leaves the loop with the second value. */
  const WAYS_OUT: Record<string, (done: boolean) => Promise<unknown>> = {
    async break(done) {
      for await (const value of reading) {
        if (value !== 'second') continue;
        if (done) reading.pop();
        break;
      }
    },
    async return(done) {
      for await (const value of reading) {
        if (value !== 'second') continue;
        if (done) reading.pop();
        return value;
      }
      return null;
    },
    async throw(done) {
      for await (const value of reading) {
        if (value !== 'second') continue;
        if (done) reading.pop();
        throw new Error('thrown by the body');
      }
    },
  };
  for (const [way, leave] of Object.entries(WAYS_OUT)) {
    it(`sees the message that it was left at by '${way}' again`, async () => {
      await leave(false).catch(() => {});
      expect(local.popped).to.equal(1);
      expect(await rest()).to.deep.equal(['second', 'third']);
    });

    it(`does not see it again when that was popped before '${way}'`, async () => {
      await leave(true).catch(() => {});
      expect(local.popped).to.equal(2);
      expect(await rest()).to.deep.equal(['third']);
    });
  }

  it("has popped what its body came to the end of, also by 'continue'", async () => {
    const seen: string[] = [];
    for await (const value of reading) {
      seen.push(value);
      if (value === 'third') break;
    }
    expect(seen).to.deep.equal(['first', 'second', 'third']);
    expect(local.popped).to.equal(2);
  });
});

describe('a channel', () => {
  it('is made of a connection and a codec', async () => {
    const scene = new Scene();
    try {
      const server = scene.server();
      const client = await scene.connect(scene.client(), await scene.address(server, 'inproc'));
      expectCode(() => channel(client, {} as never), 'ERR_OPTION');
      expectCode(() => channel(client, null as never), 'ERR_OPTION');
      const text = channel(client, textCodec);
      expectCode(() => text.on('any', null as never), 'ERR_OPTION');
      expectCode(() => text.on(0, () => {}), 'ERR_MESSAGE_TYPE');
      expectCode(() => text.send('a', 0), 'ERR_MESSAGE_TYPE');
      expectCode(() => client.push(), 'ERR_NO_MESSAGE');
      await text[Symbol.asyncDispose]();
      await text[Symbol.asyncDispose]();
      expect(client.state).to.equal('closed');
      expectCode(() => channel(client, json()), 'ERR_CLOSED');
    } finally {
      await scene.end();
    }
  });
});
