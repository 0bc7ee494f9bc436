import { expect } from 'chai';
import { BatchConsumer } from '../../lib/ring/batches.js';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { CONTINUED, HEADER_BYTES, PADDING_KIND, RECORDS, WAITING } from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { expectCode } from '../support/failure.js';
import { Random, randomSeed } from '../support/random.js';
import { fault, typeOf } from '../support/traffic.js';
import { CAPACITY, claim, newRing, openBoth, present, writeHeader } from './rings.js';

const LARGEST = CAPACITY / 4;

/** A ring that marks its batches. */
function marking(position = 0, popped = 0): RingMemory {
  return newRing(position, popped, CAPACITY, false, true);
}

/** Pushes messages from `n` on as one batch, or just one alone; false when there is no room for the next. */
function pushBatch(producer: RingProducer, n: number, sizes: readonly number[]): boolean {
  for (const [i, size] of sizes.entries()) {
    if (!claim(producer, n + i, size)) {
      producer.retract();
      return false;
    }
    if (sizes.length === 1) producer.push();
    else producer.pushMore(i === 0 ? 0 : CONTINUED);
  }
  producer.publish();
  return true;
}

/** Sizes of the messages of the batch at the front, which are those from `n` on. */
function readBatch(consumer: BatchConsumer, n: number): number[] {
  const sizes: number[] = [];
  for (let message = consumer.next(); message !== null; message = consumer.next()) {
    expect(fault(message, n + sizes.length, message.size)).to.equal(null);
    sizes.push(message.size);
  }
  expect(sizes).to.have.length(consumer.messages);
  return sizes;
}

describe('a ring that marks its batches', () => {
  it('gives each message that was pushed alone as a batch of its own', () => {
    const memory = marking();
    const producer = new RingProducer(memory);
    const consumer = new BatchConsumer(memory);
    for (const size of [8, 0, 100]) pushBatch(producer, size, [size]);
    for (const size of [8, 0, 100]) {
      expect(consumer.front()).to.equal(true);
      expect(consumer.messages).to.equal(1);
      const message = present(consumer.next());
      expect([message.size, message.type]).to.deep.equal([size, typeOf(size)]);
      expect(consumer.next()).to.equal(null);
      consumer.pop();
    }
    expect(consumer.front()).to.equal(false);
    expect(consumer.messages).to.equal(0);
  });

  it('gives a batch as it was published, again and from its first message on until it is popped', () => {
    const memory = marking();
    const producer = new RingProducer(memory);
    const consumer = new BatchConsumer(memory);
    pushBatch(producer, 0, [5, 0, 17]);
    pushBatch(producer, 3, [4, 4]);
    for (let i = 0; i < 3; i++) {
      expect(consumer.front()).to.equal(true);
      expect(present(consumer.next()).size).to.equal(5);
      expect(consumer.front()).to.equal(true);
      expect(readBatch(consumer, 0)).to.deep.equal([5, 0, 17]);
      expect([consumer.lengthBytes, consumer.largestBytes]).to.deep.equal([16 + 8 + 32, 32]);
    }
    consumer.pop();
    expect(consumer.front()).to.equal(true);
    expect(readBatch(consumer, 3)).to.deep.equal([4, 4]);
    consumer.pop();
    expect(consumer.front()).to.equal(false);
  });

  it('shows nothing of a batch that is open', () => {
    const memory = marking();
    const producer = new RingProducer(memory);
    const consumer = new BatchConsumer(memory);
    claim(producer, 0, 5);
    producer.pushMore();
    claim(producer, 1, 5);
    producer.pushMore(CONTINUED);
    expect(consumer.front()).to.equal(false);
    producer.publish();
    expect(consumer.front()).to.equal(true);
    expect(consumer.messages).to.equal(2);
  });

  it('takes a message behind the one at the front for another batch, however it came', () => {
    const memory = marking();
    const producer = new RingProducer(memory);
    const consumer = new BatchConsumer(memory);
    pushBatch(producer, 0, [5, 6]);
    expect(consumer.front()).to.equal(true);
    pushBatch(producer, 2, [7]);
    pushBatch(producer, 3, [8, 9]);
    const seen: number[][] = [];
    for (let n = 0; consumer.front(); consumer.pop()) {
      seen.push(readBatch(consumer, n));
      n += consumer.messages;
    }
    expect(seen).to.deep.equal([[5, 6], [7], [8, 9]]);
  });

  const seed = randomSeed();
  for (const start of [0, 2 ** 31 - 4096, -4096, -8]) {
    it(`keeps batches whole and apart from each other, from position ${start} on (seed ${seed})`, () => {
      const random = new Random(seed);
      const memory = marking(start, 100);
      let producer = new RingProducer(memory);
      let consumer = new BatchConsumer(memory);
      const expected: number[][] = [];
      let pushed = 0;
      let popped = 0;
      let acrossTheEnd = 0;
      for (let round = 0; round < 5000; round++) {
        const sizes = Array.from(
          {
            length: random.weighted([
              [1, 2],
              [random.between(2, 30), 3],
            ] as const),
          },
          () => (random.once(10) ? random.below(LARGEST + 1) : random.below(60)),
        );
        const before = producer.published & memory.mask;
        if (pushBatch(producer, pushed, sizes)) {
          expected.push(sizes);
          pushed += sizes.length;
          if ((producer.published & memory.mask) < before && sizes.length > 1) acrossTheEnd++;
        }
        // A thread that goes on for another one reads what that one has published.
        if (random.once(20)) producer = new RingProducer(memory);
        if (random.once(20)) consumer = new BatchConsumer(memory);
        for (let i = random.below(3); i > 0 && consumer.front(); i--) {
          expect(readBatch(consumer, popped)).to.deep.equal(expected.shift());
          popped += consumer.messages;
          consumer.pop();
        }
        if (random.once(3)) consumer.reclaim();
      }
      for (; consumer.front(); consumer.pop()) {
        expect(readBatch(consumer, popped)).to.deep.equal(expected.shift());
        popped += consumer.messages;
      }
      expect(expected).to.deep.equal([]);
      expect(producer.pushed).to.equal(100 + pushed);
      expect(new RingConsumer(memory).popped).to.equal(100 + popped);
      expect(acrossTheEnd).to.be.above(50);
    });
  }

  it('is cleared by the producer that follows one that died in a batch', () => {
    const memory = marking();
    const first = new RingProducer(memory);
    pushBatch(first, 0, [5, 6]);
    claim(first, 2, 50);
    first.pushMore();
    claim(first, 3, 50);
    first.pushMore(CONTINUED);
    claim(first, 4, 50);
    const second = new RingProducer(memory);
    expect(second.pushed).to.equal(2);
    pushBatch(second, 2, [9]);
    const consumer = new BatchConsumer(memory);
    consumer.front();
    expect(readBatch(consumer, 0)).to.deep.equal([5, 6]);
    consumer.pop();
    consumer.front();
    expect(readBatch(consumer, 2)).to.deep.equal([9]);
    consumer.pop();
    expect(consumer.front()).to.equal(false);
  });

  describe('refuses', () => {
    for (const [what, size, kind] of [
      ['a message without a type that continues a batch', 16, CONTINUED],
      ['an unknown flag', 16, (4 << 16) | 1],
      ['both flags', 16, PADDING_KIND | CONTINUED],
      ['a size beyond the largest message', LARGEST + HEADER_BYTES + 1, CONTINUED | 1],
    ] as const) {
      it(what, () => {
        const memory = marking();
        const consumer = new BatchConsumer(memory);
        writeHeader(memory, 0, size, kind);
        for (let i = 0; i < 2; i++)
          expectCode(() => consumer.front(), 'ERR_PROTOCOL', /position 0 is not valid/);
        expectCode(() => new RingProducer(memory), 'ERR_PROTOCOL', /position 0 is not valid/);
      });
    }

    it('a batch without an end', () => {
      const memory = marking();
      const consumer = new BatchConsumer(memory);
      for (let at = 0; at < CAPACITY; at += 16) writeHeader(memory, at, 16, at === 0 ? 1 : CONTINUED | 1);
      expectCode(() => consumer.front(), 'ERR_PROTOCOL', /no end within the 4096 bytes/);
    });

    it('what is damaged behind the first message of a batch, before or after it was looked at', () => {
      const memory = marking();
      const producer = new RingProducer(memory);
      pushBatch(producer, 0, [8, 8]);
      const consumer = new BatchConsumer(memory);
      expect(consumer.front()).to.equal(true);
      consumer.next();
      writeHeader(memory, 16, 7, CONTINUED | 1);
      expectCode(() => consumer.next(), 'ERR_PROTOCOL', /position 16/);
      expectCode(() => new BatchConsumer(memory).front(), 'ERR_PROTOCOL', /position 16/);
    });
  });
});

describe('a producer', () => {
  it('takes back what is not published, and goes on as if it had not been', () => {
    const memory = newRing();
    const { producer, consumer } = openBoth(memory);
    claim(producer, 0, 20);
    producer.push();
    for (const size of [100, LARGEST, 30]) {
      claim(producer, 9, size);
      producer.pushMore();
    }
    claim(producer, 9, 50);
    producer.retract();
    expect(producer.busy).to.equal(false);
    expect(producer.message.size).to.equal(0);
    expect(memory.bytes.subarray(RECORDS + producer.published).every((byte) => byte === 0)).to.equal(true);
    producer.publish();
    expectCode(() => producer.push(), 'ERR_NO_MESSAGE');
    claim(producer, 1, 4);
    producer.push();
    expect(producer.pushed).to.equal(2);
    for (const [n, size] of [
      [0, 20],
      [1, 4],
    ] as const) {
      expect(fault(present(consumer.front()), n, size)).to.equal(null);
      consumer.pop();
    }
    expect(consumer.front()).to.equal(null);
  });

  it('takes back a batch that goes across the end of the ring', () => {
    const start = CAPACITY - 64;
    const memory = newRing(start);
    const { producer, consumer } = openBoth(memory);
    for (let i = 0; i < 5; i++) {
      claim(producer, i, 100);
      producer.pushMore();
    }
    producer.retract();
    expect(memory.bytes.subarray(RECORDS).every((byte) => byte === 0)).to.equal(true);
    claim(producer, 7, 100);
    producer.push();
    expect(fault(present(consumer.front()), 7, 100)).to.equal(null);
  });

  it('knows how much fits, and asks for room when it does not', () => {
    const memory = newRing();
    const { producer, consumer } = openBoth(memory);
    expect(producer.fits(CAPACITY - 8)).to.equal(true);
    claim(producer, 0, LARGEST);
    producer.push();
    const left = CAPACITY - 8 - (LARGEST + 8);
    expect(producer.fits(left)).to.equal(true);
    expect(memory.words[WAITING]).to.equal(0);
    expect(producer.fits(left + 8)).to.equal(false);
    expect(memory.words[WAITING]).to.equal(1);
    present(consumer.front());
    consumer.pop();
    expect(producer.fits(left + 8)).to.equal(true);
    expect(memory.words[WAITING]).to.equal(0);
  });
});
