import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { ConnectionWriter, TcpshmError } from '../../lib/index.js';
import { RECLAIMED, RECORDS } from '../../lib/ring/layout.js';
import { openWriterMemory } from '../../lib/writer/handle.js';
import { openPeers } from '../contract/pairs.js';
import { Scene, WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { until } from '../support/until.js';
import { CAPACITY, Channel, claim, gather, LARGEST } from './channel.js';

describe('what writers have pushed', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  describe('is moved', () => {
    for (const way of WAYS) {
      it(`by the polls of client and server over ${way}`, async () => {
        const { local, remote, log } = await scene.pair(way);
        const ofClient = ConnectionWriter.open(local.writer());
        const ofServer = ConnectionWriter.open(remote.writer());
        ofClient.send('from the client');
        ofServer.send('from the server');
        await scene.until(() => log.length >= 3, 'both messages');
        expect(log).to.include.members(['server: from the client', 'client: from the server']);
      });
    }

    it('also when its connection has nobody to hand messages to', async () => {
      for (const way of WAYS) {
        const pair = await openPeers(
          CAPACITY,
          way === 'shm' || way === 'inproc' ? { transport: way } : { transport: 'tcp' },
        );
        const writer = ConnectionWriter.open(pair.a.writer());
        writer.send('x');
        await pair.turn();
        expect(pair.a.pushed, way).to.equal(1);
        await pair.close();
      }
    });

    it('in the same poll that sends it', async () => {
      const { client, server, local, remote } = await scene.pair('tcp native');
      const writer = ConnectionWriter.open(local.writer());
      for (let n = 0; n < 20; n++) writer.send(`${n}`);
      client.pollTcp();
      expect(local.pushed).to.equal(20);
      await until(
        () => remote.popped === 20,
        'what that poll has sent',
        async () => {
          server.poll();
          await nextTurn();
        },
      );
    });

    for (const way of ['shm', 'tcp native'] as const) {
      it(`while a server's client is gone, over ${way}, until the queue is full`, async () => {
        const { server, client, remote, address, log } = await scene.pair(way);
        const writer = ConnectionWriter.open(remote.writer());
        await client.close();
        await scene.until(() => remote.state === 'disconnected', 'the end');
        let sent = 0;
        while (sent < 300) {
          if (writer.send(`${sent}`)) {
            sent++;
            continue;
          }
          const { pushed } = remote;
          server.pollControl();
          if (remote.pushed === pushed) break;
        }
        expect(sent).to.equal(300);
        server.pollControl();
        expect(remote.pushed).to.be.above(200);
        const back = scene.client({
          onMessage: (connection, message) => {
            log.push(`back: ${message.text()}`);
            connection.pop();
          },
        });
        await scene.connect(back, address);
        await scene.until(() => log.includes('back: 299'), 'all messages');
        expect(log.filter((line) => line.startsWith('back'))).to.deep.equal(
          Array.from({ length: 300 }, (_, n) => `back: ${n}`),
        );
      });
    }

    it('while a client’s server is gone, and while the client is with another one', async () => {
      const { server, client, local, clientEnded } = await scene.pair('tcp native');
      const writer = ConnectionWriter.open(local.writer());
      await server.close();
      await scene.until(() => clientEnded.length > 0, 'the end');
      writer.send('one');
      client.poll();
      expect(local.pushed).to.equal(1);

      const other = scene.server({ name: `${scene.serverName}-other` });
      const elsewhere = await scene.connect(client, await scene.address(other, 'tcp native'));
      expect([elsewhere === local, client.connection === elsewhere]).to.deep.equal([false, true]);
      writer.send('two');
      client.poll();
      expect([local.pushed, elsewhere.pushed]).to.deep.equal([2, 0]);
    });

    it('by a flush, as far as there is room', async () => {
      const channel = new Channel();
      const writers = [channel.writer(), channel.writer()];
      for (let n = 0; n < 200; n++) for (const writer of writers) writer.send('x');
      await channel.local.flush();
      expect(channel.local.pushed).to.be.within(CAPACITY / 16 - 1, 400);
      channel.receive();
      await channel.local.flush();
      expect(channel.local.pushed).to.equal(400);
      channel.close();
    });

    it('and on the disk after a flush with that durability', async () => {
      const { local } = await scene.pair('tcp native', {}, { durability: 'disk' });
      const writer = ConnectionWriter.open(local.writer());
      writer.send('kept');
      await scene.settled(local.flush(), 'the flush');
      expect(local.pushed).to.equal(1);
    });
  });

  describe('waits', () => {
    it('while a message is allocated in the connection, which stays as it is', () => {
      const channel = new Channel();
      const writer = channel.writer();
      const message = claim(channel.local, 'begun bef---');
      writer.send('behind');
      channel.poll();
      message.setText('ore', 9);
      channel.local.push();
      channel.poll();
      expect(channel.receive()).to.deep.equal(['begun before', 'behind']);
      channel.close();
    });

    it('while a batch of the connection is open, which stays whole', () => {
      const channel = new Channel();
      const writer = channel.writer();
      gather(channel.local, ['a', 'b']);
      writer.send('behind');
      channel.poll();
      expect(channel.receive()).to.deep.equal([]);
      gather(channel.local, ['c']);
      channel.local.publish();
      channel.poll();
      expect(channel.receive()).to.deep.equal(['a', 'b', 'c', 'behind']);
      channel.close();
    });

    it('not for a send or an allocation that has failed', () => {
      const channel = new Channel();
      const writer = channel.writer();
      expectCode(() => channel.local.send('x', 70_000), 'ERR_MESSAGE_TYPE');
      writer.send('a');
      channel.poll();
      expect(channel.receive()).to.deep.equal(['a']);
      expect(() => channel.local.alloc(LARGEST + 1)).to.throw(RangeError);
      while (channel.local.alloc(LARGEST) !== null) channel.local.push();
      channel.receive();
      writer.send('b');
      channel.poll();
      expect(channel.receive()).to.deep.equal(['b']);
      channel.close();
    });
  });

  describe('when the connection is closed', () => {
    it('is moved before, and the writers are closed', () => {
      const channel = new Channel();
      const [first, second] = [channel.writer(), channel.writer()];
      for (let n = 0; n < 5; n++) for (const writer of [first, second]) writer.send(`${n}`);
      const unused = channel.local.writer();
      channel.local.close();
      for (const call of [
        () => first.alloc(1),
        () => first.push(),
        () => first.pushMore(),
        () => first.publish(),
        () => first.send('x'),
        () => second.send('x'),
        () => ConnectionWriter.open(unused),
        () => channel.local.writer(),
      ]) {
        expectCode(call, 'ERR_CLOSED', /the connection of 'main' to 'worker' is closed/);
      }
      expect(channel.receive()).to.deep.equal([...'0123401234']);
      first.close();
      channel.close();
    });

    it('is moved as far as there is room, and in order', () => {
      const channel = new Channel();
      const [large, small] = [channel.writer(), channel.writer()];
      for (let n = 0; n < 3; n++) expect(large.send(`${n}`.repeat(LARGEST))).to.equal(true);
      for (let n = 0; n < 100; n++) small.send(`s${n}`);
      channel.local.send('x'.repeat(LARGEST));
      channel.local.send('x'.repeat(LARGEST / 2));
      channel.local.close();
      const got = channel.receive().map((text) => (text.length < LARGEST / 2 ? text : text[0]));
      const smalls = got.filter((text) => text?.startsWith('s'));
      expect(got.slice(0, 4)).to.deep.equal(['x', 'x', '0', '1']);
      // The third large one had no room, which is for small ones.
      expect(smalls.length).to.be.within(10, 99);
      expect(smalls).to.deep.equal(Array.from({ length: smalls.length }, (_, n) => `s${n}`));
      expect(got).to.have.length(4 + smalls.length);
      channel.close();
    });

    it('comes before nothing that was allocated or gathered there', () => {
      for (const begin of [
        (channel: Channel) => claim(channel.local, 'never pushed'),
        (channel: Channel) => gather(channel.local, ['never', 'published']),
      ]) {
        const channel = new Channel();
        const writer = channel.writer();
        writer.send('pushed');
        begin(channel);
        channel.local.close();
        expect(channel.receive()).to.deep.equal(['pushed']);
        channel.close();
      }
    });

    it('is there for the next login', async () => {
      const { client, local, address, log } = await scene.pair('tcp native');
      const writer = ConnectionWriter.open(local.writer());
      scene.turn();
      for (let n = 0; n < 10; n++) writer.send(`${n}`);
      await client.close();
      expect(() => writer.send('x')).to.throw(TcpshmError);
      await scene.connect(scene.client(), address);
      await scene.until(() => log.includes('server: 9'), 'all messages');
    });

    it('goes with a session that is removed', () => {
      const channel = new Channel();
      const writer = channel.writer();
      writer.send('x');
      channel.local.close({ remove: true });
      expectCode(() => writer.send('y'), 'ERR_CLOSED');
      expect(channel.receive()).to.deep.equal([]);
      channel.close();
    });

    it('is refused once that has begun: what is moved then is all there is', () => {
      const channel = new Channel();
      const [first, second] = [channel.writer(), channel.writer()];
      first.send('a');
      first.send('b');
      const { alloc } = channel.local;
      let calls = 0;
      channel.local.alloc = function (size) {
        for (const writer of [first, second]) expectCode(() => writer.send(`${++calls}`), 'ERR_CLOSED');
        return alloc.call(this, size);
      };
      channel.local.close();
      expect(calls).to.equal(4);
      expect(channel.receive()).to.deep.equal(['a', 'b']);
      channel.close();
    });

    it('and a push comes at the same time, was taken or throws', () => {
      // The writer looks at the word behind its publication: closing in between is done here, by its hand.
      const channel = new Channel();
      const handle = channel.local.writer();
      const writer = ConnectionWriter.open(handle);
      const { connection } = openWriterMemory(handle);
      const message = claim(writer, 'x');
      const { store } = Atomics;
      Object.assign(Atomics, {
        store: (array: Int32Array, index: number, value: number) => {
          const result = store(array, index, value);
          store(connection, 0, 1);
          return result;
        },
      });
      try {
        expectCode(() => writer.push(), 'ERR_CLOSED', /is closed/);
      } finally {
        Object.assign(Atomics, { store });
      }
      expect(message.size).to.equal(0);
      channel.close();
    });
  });

  describe('through a writer that was closed', () => {
    it('is moved all the same, however many turns that takes', () => {
      const channel = new Channel(65536);
      const writer = channel.writer();
      const texts = Array.from({ length: 1000 }, (_, n) => `${n}`.padEnd(40));
      for (const text of texts) expect(writer.send(text)).to.equal(true);
      writer.close();
      let polls = 0;
      for (; channel.local.pushed < 1000; polls++) {
        expect(polls).to.be.below(1000);
        channel.poll();
      }
      expect(polls).to.be.above(5);
      expect(channel.receive()).to.deep.equal(texts);
      channel.close();
    });
  });

  describe('from a writer whose memory is damaged', () => {
    it('is left there: the poll tells once, the writer is closed, and the others go on', () => {
      const channel = new Channel();
      const handle = channel.local.writer();
      const bad = ConnectionWriter.open(handle);
      const good = channel.writer();
      bad.send('before');
      channel.poll();
      bad.send('x');
      const { ring } = openWriterMemory(handle);
      ring.words[(RECORDS + 16) >> 2] = 3;
      good.send('good');
      expectCode(
        () => channel.poll(),
        'ERR_SEGMENT',
        /the memory of a writer .*'main' to 'worker' is damaged.*got size 3/,
      );
      channel.poll();
      expect(channel.receive()).to.deep.equal(['before', 'good']);
      expectCode(() => bad.send('y'), 'ERR_CLOSED', /its memory is damaged/);
      expectCode(() => ConnectionWriter.open(handle), 'ERR_CLOSED', /its memory is damaged/);
      expect(channel.local.state).to.equal('connected');
      channel.close();
    });

    it('does not keep that of others from being moved when the connection is closed', () => {
      const channel = new Channel();
      const handle = channel.local.writer();
      ConnectionWriter.open(handle).send('x');
      const good = channel.writer();
      good.send('good');
      openWriterMemory(handle).ring.words[RECORDS >> 2] = 3;
      channel.local.close();
      expect(channel.receive()).to.deep.equal(['good']);
      channel.close();
    });
  });

  it('is refused by a queue that the peer has broken, which is told as such', async () => {
    const { server, local, remote, serverEnded } = await scene.pair('shm');
    const writer = ConnectionWriter.open(remote.writer());
    local.side.ends.open.segment.incoming('client').words[RECLAIMED] = 12_345_672;
    for (let round = 0; round < 2; round++) {
      while (writer.send('x'.repeat(500)));
      server.poll();
    }
    server.poll();
    expect(serverEnded.map(({ reason }) => reason)).to.deep.equal(['protocol violated']);
    expect(serverEnded[0]?.error?.message).to.match(/hands back space up to position 12345672/);
  });

  it('is refused by a broken queue of a RingChannel, by each poll', () => {
    const channel = new Channel();
    const writer = channel.writer();
    channel.far.side.ends.open.segment.incoming('client').words[RECLAIMED] = 12_345_672;
    while (writer.send('x'.repeat(500)));
    channel.poll();
    while (writer.send('x'.repeat(500)));
    for (let i = 0; i < 2; i++) expectCode(() => channel.poll(), 'ERR_PROTOCOL', /hands back space/);
    channel.close();
  });
});
