import { expect } from 'chai';
import type { RingConsumer } from '../../lib/ring/consumer.js';
import { ALIGNMENT, RECLAIMED, WAITING } from '../../lib/ring/layout.js';
import { checkCapacity } from '../../lib/ring/memory.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { expectCode } from '../support/failure.js';
import { fault, sizeOf } from '../support/traffic.js';
import { CAPACITY, claim, newRing, openBoth, present } from './rings.js';

/** Positions are signed 32-bit words: they go from 2^31 - 1 to -2^31, and from -1 to 0. */
const STARTS = [
  ['0', 0],
  ['2^31', 2 ** 31 - 4096],
  ['2^31, within a lap', 2 ** 31 - 2048],
  ['2^32', -4096],
  ['2^32, in the last record', -8],
] as const;

describe('the ends of a ring', () => {
  for (const [what, start] of STARTS) {
    describe(`with positions about ${what}`, () => {
      it('carry messages and count them exactly', () => {
        const first = 2 ** 40;
        const { producer, consumer } = openBoth(newRing(start, first));
        let pushed = 0;
        let popped = 0;
        while (popped < 2000) {
          while (pushed < 2000 && claim(producer, pushed)) {
            producer.push();
            pushed++;
          }
          for (let i = 0; i <= popped % 9; i++) {
            const message = consumer.front();
            if (message === null) break;
            expect(fault(message, popped, sizeOf(popped, 200))).to.equal(null);
            consumer.pop();
            popped++;
          }
        }
        expect(producer.pushed).to.equal(first + 2000);
        expect(consumer.popped).to.equal(first + 2000);
        expect(consumer.position).to.equal(producer.published);
        expect((producer.published - start) >>> 0).to.be.above(CAPACITY * 3);
      });

      it('fill up to the last slot, which stays free', () => {
        const { producer, consumer } = openBoth(newRing(start));
        let count = 0;
        while (producer.claim(0) !== null) {
          producer.push();
          count++;
        }
        expect(count).to.equal(CAPACITY / ALIGNMENT - 1);
        expect((producer.published - start) | 0).to.equal(CAPACITY - ALIGNMENT);
        for (; count > 0; count--) {
          present(consumer.front());
          consumer.pop();
        }
        expect(consumer.front()).to.equal(null);
      });

      it('take acknowledgements', () => {
        const { producer, consumer } = openBoth(newRing(start, 5));
        for (let n = 0; n < 10; n++) {
          claim(producer, n);
          producer.push();
        }
        consumer.popUpTo(producer.published, producer.published);
        expect(consumer.popped).to.equal(15);
        expect(consumer.front()).to.equal(null);
        expect(producer.claim(1024)).to.not.equal(null);
      });
    });
  }

  it('ask for room with one word, and get it once a sixteenth of the ring was popped', () => {
    const memory = newRing();
    const { producer, consumer } = openBoth(memory);
    while (producer.claim(0) !== null) producer.push();
    expect(memory.words[WAITING]).to.equal(1);
    for (let popped = 0; popped < CAPACITY / 16; popped += ALIGNMENT) {
      expect(producer.claim(0)).to.equal(null);
      present(consumer.front());
      consumer.pop();
    }
    expect(producer.claim(0)).to.not.equal(null);
    expect(memory.words[WAITING]).to.equal(0);
  });

  it('hand all back when the ring is empty', () => {
    const memory = newRing();
    const { producer, consumer } = openBoth(memory);
    claim(producer, 1, 10);
    producer.push();
    present(consumer.front());
    consumer.pop();
    expect(memory.words[RECLAIMED]).to.equal(0);
    expect(consumer.front()).to.equal(null);
    expect(memory.words[RECLAIMED]).to.equal(24);
  });

  it('leave zeroes wherever nothing is published', () => {
    const memory = newRing();
    const { producer, consumer } = openBoth(memory);
    for (let n = 0; n < 500; n++) {
      claim(producer, n, n % 300);
      producer.push();
      present(consumer.front());
      consumer.pop();
      if (n % 7 === 0) {
        claim(producer, n, 300);
        claim(producer, n, 0);
      }
    }
    present(producer.claim(0));
    expect(consumer.front()).to.equal(null);
    expect(memory.bytes.subarray(384).every((byte) => byte === 0)).to.equal(true);
  });

  it('make a claimed message shorter, and leave nothing behind it', () => {
    const { producer, consumer } = openBoth(newRing(CAPACITY - 512));
    for (const [claimed, used] of [
      [400, 13],
      [1000, 1000],
      [1000, 0],
      [600, 599],
      [1, 0],
    ] as const) {
      const message = present(producer.claim(claimed));
      message.bytes().fill(0xff);
      producer.truncate(used);
      expect(message.size).to.equal(used);
      producer.push();
      const { size } = present(consumer.front());
      expect(size).to.equal(used);
      expect(consumer.message.bytes().every((byte) => byte === 0xff)).to.equal(true);
      consumer.pop();
      expect(consumer.front(), `behind ${used} of ${claimed} bytes`).to.equal(null);
    }
    expectCode(() => producer.truncate(0), 'ERR_NO_MESSAGE');
    present(producer.claim(8));
    expect(() => producer.truncate(9)).to.throw(
      RangeError,
      /8 bytes can be truncated to 0 to 8 bytes, got 9/,
    );
    expect(() => producer.truncate(1.5)).to.throw(RangeError);
  });

  describe('an acknowledgement', () => {
    const three = (): { producer: RingProducer; consumer: RingConsumer } => {
      const ends = openBoth(newRing());
      for (let n = 0; n < 3; n++) {
        claim(ends.producer, n, 24);
        ends.producer.push();
      }
      return ends;
    };

    for (const [what, to] of [
      ['behind the consumer', -8],
      ['beyond what is published', 104],
      ['far beyond', 2 ** 31 - 8],
      ['far behind', -(2 ** 31)],
    ] as const) {
      it(`${what} is refused`, () => {
        const { producer, consumer } = three();
        expectCode(() => consumer.popUpTo(to, producer.published), 'ERR_PROTOCOL', /from position 0 to 96/);
        expect([consumer.popped, consumer.position]).to.deep.equal([0, 0]);
      });
    }

    for (const to of [8, 16, 24, 40, 33, 95]) {
      it(`within a record, at ${to}, is refused`, () => {
        const { producer, consumer } = three();
        expectCode(() => consumer.popUpTo(to, producer.published), 'ERR_PROTOCOL', /within/);
        expect([consumer.popped, consumer.position]).to.deep.equal([0, 0]);
      });
    }

    it('of what was acknowledged before changes nothing', () => {
      const { producer, consumer } = three();
      consumer.popUpTo(64, producer.published);
      consumer.popUpTo(64, producer.published);
      expect([consumer.popped, consumer.position]).to.deep.equal([2, 64]);
      expectCode(() => consumer.popUpTo(32, producer.published), 'ERR_PROTOCOL');
    });
  });

  describe('space that the consumer claims to hand back', () => {
    for (const [what, reclaimed] of [
      ['beyond what is published', 8],
      ['further behind than the ring is large', -CAPACITY],
      ['at the other end of the world', 2 ** 31 - 8],
    ] as const) {
      it(`${what} is refused`, () => {
        const memory = newRing();
        const producer = new RingProducer(memory);
        memory.words[RECLAIMED] = reclaimed;
        expectCode(
          () => {
            for (let i = 0; i < CAPACITY && producer.claim(0) !== null; i++) {
              producer.push();
              if (reclaimed === 8) memory.words[RECLAIMED] = producer.published + 8;
            }
          },
          'ERR_PROTOCOL',
          /hands back/,
        );
      });
    }
  });

  describe('capacities', () => {
    for (const capacity of [0, 1, 2048, 4095, 4097, 6144, 2 ** 31, 2 ** 32, -4096, 4096.5, Number.NaN]) {
      it(`${capacity} is refused`, () => {
        expectCode(() => checkCapacity(capacity), 'ERR_CAPACITY', new RegExp(`got ${capacity}$`));
      });
    }
    for (const capacity of [4096, 65536, 2 ** 30]) {
      it(`${capacity} is allowed`, () => {
        expect(checkCapacity(capacity)).to.equal(capacity);
      });
    }
    it('of other types are refused, and the option is named', () => {
      for (const capacity of ['4096', null, undefined, 4096n] as unknown as number[]) {
        expectCode(() => checkCapacity(capacity, 'sendCapacityBytes'), 'ERR_CAPACITY', /^sendCapacityBytes/);
      }
    });
  });
});
