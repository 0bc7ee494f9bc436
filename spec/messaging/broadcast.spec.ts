import { expect } from 'chai';
import { type Connection, json, type Message, textCodec } from '../../lib/index.js';
import { Broadcaster } from '../../lib/messaging/broadcast.js';
import { newName, Scene, WAYS } from '../peers/support.js';
import { expectCode, thrownBy } from '../support/failure.js';

const CLIENTS = 3;

describe('a broadcast', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  /** Clients and what they have got; they take nothing while they are `slow`. */
  async function audience(way: (typeof WAYS)[number]) {
    const server = scene.server({ ...scene.wire(way) });
    const address = await scene.address(server, way);
    const slow = new Set<string>();
    const got = new Map<string, string[]>();
    const names = Array.from({ length: CLIENTS }, () => newName('client'));
    for (const name of names) {
      got.set(name, []);
      const onMessage = (connection: Connection, message: Message): void => {
        if (slow.has(name)) return;
        got.get(name)?.push(message.text());
        connection.pop();
      };
      await scene.connect(scene.client({ name, ...scene.wire(way), onMessage }), address);
    }
    await scene.until(() => server.members.length === CLIENTS, 'all to be there');
    const of = (i: number): Connection =>
      server.connections.find(({ remoteName }) => remoteName === names[i]) as Connection;
    return { server, names, slow, got: (i: number) => got.get(names[i] as string) ?? [], of };
  }

  for (const way of WAYS) {
    it(`reaches all clients or those that are chosen, encoded once, ${way}`, async () => {
      const { server, got, of } = await audience(way);
      let encoded = 0;
      const counting = { toJSON: () => `${++encoded}` };
      const all = new Broadcaster<unknown>(server, json());
      expect(all.send(counting)).to.include({ sent: 3, waiting: 0, dropped: 0, disconnected: 0 });
      await scene.until(() => [0, 1, 2].every((i) => got(i).length === 1), 'all to have it');
      expect([0, 1, 2].map(got)).to.deep.equal([['"1"'], ['"1"'], ['"1"']]);
      expect(all.send('some', [of(0), of(2), of(0)]).sent).to.equal(2);
      await scene.until(() => got(2).length === 2, 'some to have it');
      await scene.turn();
      expect([0, 1, 2].map((i) => got(i).length)).to.deep.equal([2, 1, 2]);
    });

    it(`waits for who is slow, in order, and delays nobody else, ${way}`, async () => {
      const { server, names, slow, got } = await audience(way);
      const all = new Broadcaster(server, textCodec, { maxWaiting: 8 });
      slow.add(names[1] as string);
      let next = 0;
      // Where a long one has no room, a short one may have: it must not go before it.
      const text = (i: number): string => `${i} `.padEnd(i % 2 === 0 ? 700 : 20, '.');
      let outcome = all.send(text(next++));
      while (outcome.waiting === 0) {
        outcome = all.send(text(next++));
        await scene.turn();
      }
      for (let i = 1; i < 8; i++) {
        outcome = all.send(text(next++));
        await scene.turn();
        await scene.until(() => got(0).length === next && got(2).length === next, 'the others to have all');
      }
      expectCode(() => all.send('one more'), 'ERR_QUEUE_FULL', /8 messages/);
      let settled = false;
      outcome.settled.then(() => {
        settled = true;
      });
      await scene.turn();
      expect(settled).to.equal(false);
      slow.clear();
      await scene.until(() => settled, 'all to have it');
      await scene.until(() => got(1).length === next, 'the slow one to have all');
      for (const i of [0, 1, 2])
        expect(got(i)).to.deep.equal(Array.from({ length: next }, (_, n) => text(n)));
    });
  }

  it('drops for who is slow, and counts that', async () => {
    const { server, names, slow, got, of } = await audience('shm');
    const all = new Broadcaster(server, textCodec, { slow: 'drop' });
    slow.add(names[1] as string);
    let dropped = 0;
    for (let i = 0; i < 20; i++) {
      dropped += all.send(`${i} `.padEnd(700, '.')).dropped;
      await scene.turn();
    }
    expect(dropped).to.be.above(0);
    expect([0, 1, 2].map((i) => all.dropped(of(i)))).to.deep.equal([0, dropped, 0]);
    slow.clear();
    await scene.until(() => got(1).length === 20 - dropped && got(2).length === 20, 'what was sent');
    expect(all.send('on').sent).to.equal(3);
  });

  it('disconnects who is slow: its session keeps what it was sent', async () => {
    const { server, names, slow, got } = await audience('tcp native');
    const all = new Broadcaster(server, textCodec, { slow: 'disconnect' });
    slow.add(names[1] as string);
    let sent = 0;
    let disconnected = 0;
    while (disconnected === 0) {
      disconnected = all.send(`${sent++} `.padEnd(700, '.')).disconnected;
      await scene.turn();
    }
    expect(disconnected).to.equal(1);
    expect(server.members.map(({ remoteName }) => remoteName)).to.have.members([names[0], names[2]]);
    expect(all.send('on').sent).to.equal(2);
    await scene.until(() => got(0).length === sent + 1, 'the others to go on');
  });

  it('leaves out who goes while it waits', async () => {
    const { server, names, slow, of } = await audience('inproc');
    const all = new Broadcaster(server, textCodec);
    slow.add(names[1] as string);
    let outcome = all.send('x'.repeat(700));
    while (outcome.waiting === 0) {
      outcome = all.send('x'.repeat(700));
      await scene.turn();
    }
    of(1).close();
    await scene.settled(outcome.settled, 'the end of the waiting');
  });

  it('sends nothing to anyone when it cannot be sent to all', async () => {
    const { server, got } = await audience('shm');
    const all = new Broadcaster(server, textCodec);
    expect(String(thrownBy(() => all.send('x'.repeat(5000))))).to.match(/RangeError.*5000.*at most/);
    expectCode(() => new Broadcaster(server, json()).send(() => 1), 'ERR_CODEC');
    await scene.turn();
    expect([0, 1, 2].map(got)).to.deep.equal([[], [], []]);
    expectCode(() => new Broadcaster(server, textCodec, { slow: 'kill' as never }), 'ERR_OPTION', /slow/);
    expectCode(() => new Broadcaster(server, textCodec, { type: 0 }), 'ERR_MESSAGE_TYPE');
  });
});

describe('the connections of a server', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const way of WAYS) {
    it(`have the lowest numbers that are free, ${way}`, async () => {
      const told: string[] = [];
      const server = scene.server({
        ...scene.wire(way),
        onConnection: ({ remoteName, number }) => told.push(`${remoteName} has ${number}`),
        onDisconnect: ({ remoteName, number }) => told.push(`${remoteName} had ${number}`),
      });
      const address = await scene.address(server, way);
      const join = async (name: string) => {
        const before = server.members.length;
        const client = scene.client({ name, ...scene.wire(way) });
        const connection = await scene.connect(client, address);
        await scene.until(() => server.members.length === before + 1, `${name} to be there`);
        return { client, connection };
      };
      const a = await join('a');
      const b = await join('b');
      await join('c');
      expect(a.connection.number).to.equal(null);
      await b.client.close();
      await scene.until(() => server.members.length === 2, 'b to go');
      await a.client.close();
      await scene.until(() => server.members.length === 1, 'a to go');
      await join('d');
      await join('b');
      const numbers = server.connections.filter(({ state }) => state === 'connected');
      expect(told).to.deep.equal([
        'a has 0',
        'b has 1',
        'c has 2',
        'b had 1',
        'a had 0',
        'd has 0',
        'b has 1',
      ]);
      expect(numbers.map(({ remoteName, number }) => `${remoteName} ${number}`)).to.have.members([
        'd 0',
        'b 1',
        'c 2',
      ]);
    });

    it(`are served in turn, message by message, however much one of them sends, ${way}`, async () => {
      const order: string[] = [];
      let serving = false;
      const server = scene.server({
        ...scene.wire(way),
        messagesPerTurn: 1,
        onMessage(connection) {
          if (!serving) return;
          order.push(connection.remoteName);
          connection.pop();
        },
      });
      const address = await scene.address(server, way);
      for (const [name, messages] of [
        ['flood', 100],
        ['b', 3],
        ['c', 3],
      ] as const) {
        const client = scene.client({ name, ...scene.wire(way) });
        const connection = await scene.connect(client, address);
        for (let i = 0; i < messages; i++) expect(connection.send('x')).to.equal(true);
      }
      for (let i = 0; i < 50; i++) await scene.turn();
      serving = true;
      await scene.until(() => order.length === 106, 'all messages');
      expect(order.slice(0, 9)).to.deep.equal(['flood', 'b', 'c', 'flood', 'b', 'c', 'flood', 'b', 'c']);
    });
  }
});
