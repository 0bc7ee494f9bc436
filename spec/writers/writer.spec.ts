import { expect } from 'chai';
import { ConnectionWriter, type Message, RingChannel, type WriterHandle } from '../../lib/index.js';
import { expectCode, thrownBy } from '../support/failure.js';
import { CAPACITY, Channel, claim, gather, LARGEST } from './channel.js';
import { Ledger, pushNumbered } from './numbered.js';

describe('a writer of a connection', () => {
  let channel: Channel;
  let writer: ConnectionWriter;

  beforeEach(() => {
    channel = new Channel();
    writer = channel.writer();
  });
  afterEach(() => {
    channel.close();
  });

  describe('sends', () => {
    it('what its connection moves when it is polled, with its type', () => {
      const { local, far } = channel;
      expect(writer.send('one', 7)).to.equal(true);
      expect(writer.send(Uint8Array.of(0x74, 0x77, 0x6f))).to.equal(true);
      claim(writer, 'drei: grüße').type = 65535;
      writer.push();
      expect(far.front()).to.equal(null);
      expect([writer.pushed, local.pushed]).to.deep.equal([3, 0]);
      channel.poll();
      expect([writer.pushed, local.pushed]).to.deep.equal([3, 3]);
      for (const [text, type] of [
        ['one', 7],
        ['two', 1],
        ['drei: grüße', 65535],
      ]) {
        const message = far.front() as Message;
        expect([message.text(), message.type]).to.deep.equal([text, type]);
        far.pop();
      }
      expect(far.front()).to.equal(null);
    });

    it('every size that the connection sends', () => {
      const { local, far } = channel;
      expect([writer.maxMessageBytes, local.maxMessageBytes]).to.deep.equal([LARGEST, LARGEST]);
      const ledger = new Ledger(1, null);
      for (let size = 12; size <= LARGEST; size++) {
        expect(pushNumbered(writer, 0, size - 12, size)).to.equal(true);
        channel.poll();
        const message = far.front() as Message;
        expect(message.size).to.equal(size);
        ledger.take(message);
        far.pop();
      }
      for (const text of ['', 'x']) expect(writer.send(text)).to.equal(true);
      channel.poll();
      expect(channel.receive()).to.deep.equal(['', 'x']);
    });

    it('beside the connection itself and other writers', () => {
      const other = channel.writer();
      writer.send('writer');
      other.send('other');
      channel.local.send('connection');
      channel.poll();
      expect(channel.receive()).to.deep.equal(['connection', 'writer', 'other']);
    });

    it('nothing that was allocated and not pushed', () => {
      claim(writer, 'replaced');
      claim(writer, 'kept');
      channel.poll();
      expect(channel.receive()).to.deep.equal([]);
      writer.push();
      channel.poll();
      expect(channel.receive()).to.deep.equal(['kept']);
    });

    it('from a ring that is smaller than the queue, if one is asked for', () => {
      const large = new Channel(65536);
      const small = large.writer({ capacityBytes: CAPACITY });
      expect(small.maxMessageBytes).to.equal(LARGEST);
      expect(large.writer().maxMessageBytes).to.equal(65536 / 4);
      for (let n = 0; n < 1000; n++) {
        expect(small.send(`${n}`)).to.equal(true);
        if (n % 100 === 0) large.poll();
      }
      large.poll();
      expect(large.receive()).to.deep.equal(Array.from({ length: 1000 }, (_, n) => `${n}`));
      large.close();
    });

    it('through a handle as postMessage clones it, and knows whose connection it is', () => {
      const named = new RingChannel({ localName: 'alice', remoteName: 'bob', capacityBytes: CAPACITY });
      const cloned = ConnectionWriter.open(structuredClone(named.local.writer()));
      expect([cloned.localName, cloned.remoteName]).to.deep.equal(['alice', 'bob']);
      cloned.send('cloned');
      named.local.poll({});
      expect(named.local.pushed).to.equal(1);
      named.local.close();
    });
  });

  describe('gathers batches', () => {
    it('that become visible at once, with publish or a last push', () => {
      gather(writer, ['a', 'b', 'c']);
      channel.poll();
      expect([writer.pushed, channel.receive()]).to.deep.equal([0, []]);
      writer.publish();
      expect(writer.pushed).to.equal(3);
      channel.poll();
      expect(channel.receive()).to.deep.equal(['a', 'b', 'c']);
      gather(writer, ['d', 'e']);
      claim(writer, 'f');
      writer.push();
      channel.poll();
      expect(channel.receive()).to.deep.equal(['d', 'e', 'f']);
      writer.publish();
      channel.poll();
      expect(channel.receive()).to.deep.equal([]);
    });

    it('that wait until the queue has room for all of them, with what comes behind them', () => {
      const { local } = channel;
      for (let i = 0; i < 3; i++) local.send(`${i}`.repeat(LARGEST));
      gather(writer, ['a'.repeat(LARGEST), 'b'.repeat(LARGEST)]);
      writer.publish();
      writer.send('c');
      for (let left = 3; left > 0; left--) {
        // With one left there is room for one of the batch.
        channel.poll();
        expect(local.pushed).to.equal(3);
        expect(channel.receive(1)).to.have.length(1);
      }
      expect(channel.receive()).to.deep.equal([]);
      channel.poll();
      expect(channel.receive().map((text) => text[0])).to.deep.equal(['a', 'b', 'c']);
    });

    it('as large as the queue takes at once, wherever either ring wraps, and no larger', () => {
      const { local } = channel;
      for (const size of [0, 1, 100, 500, LARGEST]) {
        for (let round = 0; round < 20; round++) {
          let count = 0;
          for (; writer.alloc(size) !== null; count++) writer.pushMore();
          const records = (size + 8 + 7) & -8;
          // All but the space of one record, in which padding may be.
          expect((count + 1) * records).to.be.at.most(CAPACITY);
          expect((count + 2) * records).to.be.above(CAPACITY - records);
          writer.publish();
          const before = local.pushed;
          channel.poll();
          expect(local.pushed - before, `of ${count} messages of ${size} bytes`).to.equal(count);
          channel.receive();
          local.send('-'.repeat(round * 40));
          channel.receive();
        }
      }
    });

    it('of which nothing is seen when it is closed before', () => {
      gather(writer, ['a', 'b']);
      writer.close();
      channel.poll();
      expect(channel.receive()).to.deep.equal([]);
    });
  });

  describe('refuses', () => {
    it('what is no handle', () => {
      const handle = channel.local.writer();
      const { remote } = new RingChannel();
      const others: readonly unknown[] = [
        undefined,
        null,
        'writer',
        {},
        remote,
        { ...handle, kind: remote.kind },
        { ...handle, memory: new ArrayBuffer(handle.memory.byteLength) },
        { ...handle, memory: new SharedArrayBuffer(0) },
        { ...handle, memory: new SharedArrayBuffer(handle.memory.byteLength) },
        { ...handle, memory: remote.memory },
      ];
      for (const other of others) {
        expectCode(
          () => ConnectionWriter.open(other as WriterHandle),
          'ERR_OPTION',
          /connection\.writer\(\)/,
        );
      }
      ConnectionWriter.open(handle).close();
    });

    it('capacities that no ring can have, or larger than the queue', () => {
      for (const capacityBytes of [0, 2048, 5000, '4096', Number.NaN]) {
        const options = { capacityBytes } as { capacityBytes: number };
        expectCode(() => channel.local.writer(options), 'ERR_CAPACITY', /power of two/);
      }
      expectCode(
        () => channel.local.writer({ capacityBytes: 8192 }),
        'ERR_CAPACITY',
        /at most that of the connection's queue, 4096, got 8192/,
      );
      expectCode(() => channel.local.writer(null as never), 'ERR_OPTION');
    });

    it('a push without an alloc', () => {
      for (const call of [() => writer.push(), () => writer.pushMore()]) {
        expectCode(call, 'ERR_NO_MESSAGE', /alloc/);
        writer.send('x');
        expectCode(call, 'ERR_NO_MESSAGE', /alloc/);
      }
      gather(writer, ['y']);
      expectCode(() => writer.push(), 'ERR_NO_MESSAGE', /alloc/);
      writer.publish();
      channel.poll();
      expect(channel.receive()).to.deep.equal(['x', 'x', 'y']);
    });

    it('sizes that no message can have, also within a batch', () => {
      for (const prepare of [() => {}, () => gather(writer, ['x'])]) {
        prepare();
        for (const size of [-1, 0.5, LARGEST + 1, 2 ** 32, Number.NaN, '8']) {
          const error = thrownBy(() => writer.alloc(size as number));
          expect(error, `${size}`).to.be.instanceOf(RangeError);
          expect((error as RangeError).message).to.match(/from 0 to 1024 bytes/);
        }
        expect(thrownBy(() => writer.send('x'.repeat(LARGEST + 1)))).to.be.instanceOf(RangeError);
      }
    });

    it('types that no message can have', () => {
      for (const type of [0, 65536, 1.5]) expectCode(() => writer.send('x', type), 'ERR_MESSAGE_TYPE');
      channel.poll();
      expect(channel.receive()).to.deep.equal([]);
    });

    it('a second one to open it, and everything after it was closed', () => {
      const handle = channel.local.writer();
      const open = ConnectionWriter.open(handle);
      expectCode(() => ConnectionWriter.open(handle), 'ERR_ALREADY_CONNECTED', /one thread at a time/);
      const unfinished = claim(open, 'unfinished');
      open.close();
      open.close();
      for (const call of [
        () => open.alloc(1),
        () => open.push(),
        () => open.pushMore(),
        () => open.publish(),
        () => open.send('x'),
      ]) {
        expectCode(call, 'ERR_CLOSED', /this writer .*'main' to 'worker' is closed/);
      }
      expect(thrownBy(() => unfinished.getUint8(0))).to.be.instanceOf(RangeError);
      expectCode(() => ConnectionWriter.open(handle), 'ERR_CLOSED', /for good/);
      expect(open.pushed).to.equal(0);
    });
  });
});
