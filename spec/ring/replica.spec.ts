import { expect } from 'chai';
import fc from 'fast-check';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RECORDS } from '../../lib/ring/layout.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { RingReplica } from '../../lib/ring/replica.js';
import { expectCode } from '../support/failure.js';
import { fault, sizeOf } from '../support/traffic.js';
import { CAPACITY, claim, copyRing, newRing } from './rings.js';

/** Moves up to `length` bytes from a ring into its copy, which has `written` of them. */
function move(from: ReturnType<typeof newRing>, replica: RingReplica, length: number): void {
  const block = { words: new Int32Array(CAPACITY / 4), bytes: new Uint8Array(0) };
  block.bytes = new Uint8Array(block.words.buffer);
  for (let i = 0; i < length; i++) {
    block.bytes[i] = from.bytes[RECORDS + ((replica.written + i) & from.mask)] as number;
  }
  replica.append(block, 0, length);
}

describe('a copy of a ring', () => {
  it('has the same messages, whatever the cuts at which bytes arrive', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, -4096, 2 ** 31 - 2048),
        fc.array(
          fc.record({ eights: fc.integer({ min: 1, max: 200 }), publish: fc.boolean(), pop: fc.boolean() }),
          {
            minLength: 1,
            maxLength: 60,
          },
        ),
        (start, steps) => {
          const source = newRing(start);
          const producer = new RingProducer(source);
          const acknowledger = new RingConsumer(source);
          const copy = newRing(start);
          const replica = new RingReplica(copy);
          const consumer = new RingConsumer(copy);
          let pushed = 0;
          const popAll = (): void => {
            for (let message = consumer.front(); message !== null; message = consumer.front()) {
              const n = consumer.popped;
              expect(fault(message, n, sizeOf(n, 200))).to.equal(null);
              consumer.pop();
            }
          };
          const run = (eights: number, publish: boolean, pop: boolean): void => {
            while (claim(producer, pushed)) {
              producer.push();
              pushed++;
            }
            const missing = (producer.published - replica.written) | 0;
            move(source, replica, Math.min(eights * 8, missing));
            if (publish) replica.publish();
            expect(replica.pushed).to.be.at.most(pushed);
            if (pop) popAll();
            consumer.reclaim();
            acknowledger.popUpTo(consumer.position, producer.published);
          };
          for (const { eights, publish, pop } of steps) run(eights, publish, pop);
          while (replica.published !== producer.published) run(512, true, true);
          popAll();
          expect(consumer.popped).to.equal(pushed);
          expect(replica.pushed).to.equal(pushed);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('never shows an unfinished record, be it to a reader or after a crash', () => {
    const source = newRing(-512);
    const producer = new RingProducer(source);
    claim(producer, 0, 100);
    producer.push();
    claim(producer, 1, 700);
    producer.push();
    const copy = newRing(-512);
    const replica = new RingReplica(copy);
    const consumer = new RingConsumer(copy);
    const seen: number[] = [];
    while (replica.written !== producer.published) {
      move(source, replica, 8);
      for (const memory of [copy, copyRing(copy)]) {
        const before = memory === copy ? replica.pushed : new RingReplica(memory).pushed;
        expect(before).to.equal(replica.pushed);
      }
      replica.publish();
      expect(new RingReplica(copyRing(copy)).pushed).to.equal(replica.pushed);
      seen.push(replica.pushed);
    }
    // 100 bytes take 112, the 700 go behind 400 of padding to the end of the ring.
    expect(seen.filter((count) => count === 0).length).to.equal(13);
    expect(seen.filter((count) => count === 2).length).to.equal(1);
    for (let n = 0; n < 2; n++) {
      const message = consumer.front();
      expect(message).to.not.equal(null);
      expect(message && fault(message, n, [100, 700][n] as number)).to.equal(null);
      consumer.pop();
    }
  });

  it('publishes what has arrived all at once', () => {
    const source = newRing();
    const producer = new RingProducer(source);
    for (let n = 0; n < 10; n++) {
      claim(producer, n, 20);
      producer.push();
    }
    const copy = newRing();
    const replica = new RingReplica(copy);
    const consumer = new RingConsumer(copy);
    move(source, replica, 9 * 32 + 16);
    expect(consumer.front()).to.equal(null);
    replica.publish();
    expect(replica.pushed).to.equal(9);
    for (let n = 0; n < 9; n++) {
      expect(consumer.front()).to.not.equal(null);
      consumer.pop();
    }
    expect(consumer.front()).to.equal(null);
    move(source, replica, 16);
    replica.publish();
    expect(consumer.front()?.size).to.equal(20);
  });

  it('forgets an unfinished record that is to be sent again', () => {
    const source = newRing();
    const producer = new RingProducer(source);
    for (let n = 0; n < 2; n++) {
      claim(producer, n, 300);
      producer.push();
    }
    const copy = newRing();
    const replica = new RingReplica(copy);
    const consumer = new RingConsumer(copy);
    for (let cut = 8; cut < 2 * 312; cut += 8) {
      const before = replica.written;
      move(source, replica, Math.min(cut, (producer.published - before) | 0));
      if (replica.written !== producer.published) {
        replica.discard();
        expect(replica.written).to.equal(replica.published);
        expect(copy.bytes.subarray(RECORDS).every((byte) => byte === 0)).to.equal(true);
      }
    }
    expect(replica.written).to.equal(0);
    move(source, replica, 624);
    replica.publish();
    for (let n = 0; n < 2; n++) {
      const message = consumer.front();
      expect(message && fault(message, n, 300)).to.equal(null);
      consumer.pop();
    }
  });

  it('goes on after a restart behind the last whole record', () => {
    const source = newRing();
    const producer = new RingProducer(source);
    for (let n = 0; n < 3; n++) {
      claim(producer, n, 40);
      producer.push();
    }
    const copy = newRing();
    const first = new RingReplica(copy);
    move(source, first, 48 + 24);
    first.publish();
    const second = new RingReplica(copyRing(copy));
    expect([second.published, second.written, second.pushed]).to.deep.equal([48, 48, 1]);
  });

  it('refuses more than it has room for, and what is not a multiple of 8', () => {
    const block = { words: new Int32Array(2048), bytes: new Uint8Array(8192) };
    for (const length of [CAPACITY, CAPACITY + 8, 2 ** 30]) {
      expectCode(
        () => new RingReplica(newRing()).append(block, 0, length),
        'ERR_PROTOCOL',
        /at most 4088 bytes/,
      );
    }
    for (const length of [1, 4, 7, 12]) {
      expectCode(() => new RingReplica(newRing()).append(block, 0, length), 'ERR_PROTOCOL', /multiple of 8/);
    }
    const replica = new RingReplica(newRing());
    replica.append(block, 0, 4088);
    expectCode(() => replica.append(block, 0, 8), 'ERR_PROTOCOL', /at most 0 bytes/);
    replica.append(block, 0, 0);
  });
});
