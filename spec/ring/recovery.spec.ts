import { expect } from 'chai';
import fc from 'fast-check';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { CONSUMED, RECORDS } from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { readCommit, readPublished } from '../../lib/ring/recovery.js';
import { fault, mix, sizeOf } from '../support/traffic.js';
import { CAPACITY, claim, copyRing, newRing, openBoth, present, watchStores } from './rings.js';

/** Numbers of messages that may be in a ring, from `popped` up to `pushed`, as it was before or after an operation. */
interface Counts {
  readonly pushed: number;
  readonly popped: number;
}

/** Opens a ring that a kill left, and expects all its messages, of at most `largest` bytes, and that it goes on. */
function expectRecovery(
  memory: RingMemory,
  before: Counts,
  after: Counts,
  consumerFirst: boolean,
  largest = 200,
): void {
  let consumer = consumerFirst ? new RingConsumer(memory) : null;
  const producer = new RingProducer(memory);
  consumer ??= new RingConsumer(memory);
  expect(producer.pushed).to.be.oneOf([before.pushed, after.pushed]);
  expect(consumer.popped).to.be.oneOf([before.popped, after.popped]);
  // Go on until the ring has been full: what was left behind of an unfinished message would be in the way.
  let pushed = producer.pushed;
  while (claim(producer, pushed, variedSize(pushed, largest))) {
    producer.push();
    pushed++;
  }
  for (let n = consumer.popped; n < pushed; n++) {
    const wrong = fault(present(consumer.front()), n, variedSize(n, largest));
    // There are millions of them: an assertion for each would take most of the time.
    if (wrong !== null) expect.fail(wrong);
    consumer.pop();
  }
  expect([consumer.front(), producer.pushed, consumer.popped]).to.deep.equal([null, pushed, pushed]);
}

/** As `sizeOf`, but with large messages as often as others where there are such. */
function variedSize(n: number, largest: number): number {
  return largest > 200 && mix(n) % 2 === 0 ? mix(~n) % (largest + 1) : sizeOf(n, largest);
}

type Step =
  | { readonly kind: 'push' | 'more' | 'forget' | 'publish' | 'front' | 'pop' | 'reclaim' | 'reopen' }
  | { readonly kind: 'acknowledge'; readonly count: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('push', 'more') }) },
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constantFrom('publish', 'front', 'pop', 'pop', 'reclaim') }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('forget', 'reopen') }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('acknowledge'), count: fc.nat(5) }) },
  ),
  { minLength: 20, maxLength: 80, size: 'max' },
);

describe('a ring after a kill', () => {
  for (const [what, leaves, largest] of [
    ['where all is cleared', false, 200],
    ['where large ones are handed back as they are', true, 1024],
  ] as const) {
    it(`has exactly its messages, between whichever two stores the kill came, ${what}`, () => {
      let kills = 0;
      fc.assert(
        fc.property(fc.constantFrom(0, -2048, 2 ** 31 - 2048), steps, (start, list) => {
          const memory = newRing(start);
          const counts = { pushed: 0, popped: 0 };
          let before = { ...counts };
          let after = { ...counts };
          const kill = (): void => {
            expectRecovery(copyRing(memory), before, after, kills++ % 2 === 0, largest);
          };
          watchStores(memory, kill, (watched) => {
            let { producer, consumer } = openBoth(watched, leaves);
            let batched = 0;
            for (const step of list) {
              before = { ...counts };
              after = { ...counts };
              switch (step.kind) {
                case 'push':
                case 'more': {
                  const n = counts.pushed + batched;
                  if (!claim(producer, n, variedSize(n, largest))) break;
                  kill();
                  if (step.kind === 'more') {
                    producer.pushMore();
                    batched++;
                  } else {
                    after.pushed = n + 1;
                    producer.push();
                    batched = 0;
                  }
                  break;
                }
                case 'forget':
                  if (claim(producer, 12345, 900)) producer.claim(0);
                  break;
                case 'publish':
                  after.pushed += batched;
                  producer.publish();
                  batched = 0;
                  break;
                case 'front':
                  consumer.front();
                  break;
                case 'pop':
                  if (consumer.front() === null) break;
                  after.popped++;
                  consumer.pop();
                  break;
                case 'reclaim':
                  consumer.reclaim();
                  break;
                case 'reopen':
                  batched = 0;
                  ({ producer, consumer } = openBoth(watched, leaves));
                  break;
                case 'acknowledge': {
                  // To where a second reader gets with some pops.
                  const ahead = new RingConsumer(copyRing(memory));
                  for (let i = 0; i < step.count && ahead.front() !== null; i++) ahead.pop();
                  ({ producer, consumer } = openBoth(watched, leaves));
                  batched = 0;
                  after.popped = ahead.popped;
                  consumer.popUpTo(ahead.position, producer.published);
                  break;
                }
              }
              Object.assign(counts, after);
              before = { ...counts };
              kill();
            }
          });
        }),
        { numRuns: 12 },
      );
      expect(kills).to.be.above(1_000);
    });
  }

  it('has nothing of a message that was claimed and filled in part', () => {
    const memory = newRing();
    const { producer } = openBoth(memory);
    const message = present(producer.claim(1000));
    for (let at = 0; at < 1000; at += 100) {
      message.bytes().fill(0xff, at, at + 100);
      expectRecovery(copyRing(memory), { pushed: 0, popped: 0 }, { pushed: 0, popped: 0 }, at % 200 === 0);
    }
  });

  it('has all of a batch or nothing, across the end of the ring too', () => {
    const memory = newRing(CAPACITY - 512);
    const { producer } = openBoth(memory);
    let n = 0;
    for (; claim(producer, n); n++) {
      producer.pushMore();
      expect(new RingProducer(copyRing(memory)).pushed).to.equal(0);
    }
    producer.publish();
    const recovered = new RingProducer(copyRing(memory));
    expect([recovered.pushed, recovered.published]).to.deep.equal([n, producer.published]);
  });

  it('gives back at once what was popped and not handed back', () => {
    const memory = newRing();
    const { producer, consumer } = openBoth(memory);
    for (let n = 0; n < 5; n++) {
      claim(producer, n, 50);
      producer.push();
    }
    for (let n = 0; n < 3; n++) {
      present(consumer.front());
      consumer.pop();
    }
    const copy = copyRing(memory);
    expect(readCommit(copy)).to.deep.include({ position: 192, popped: 3, reclaimed: 0 });
    const next = new RingConsumer(copy);
    expect(readCommit(copy).reclaimed).to.equal(192);
    expect(copy.bytes.subarray(RECORDS, RECORDS + 192).every((byte) => byte === 0)).to.equal(true);
    expect(fault(present(next.front()), 3, 50)).to.equal(null);
  });

  it('takes the commit that consumed selects, whatever is half written in the other', () => {
    const memory = newRing();
    const { producer, consumer } = openBoth(memory);
    for (let n = 0; n < 4; n++) {
      claim(producer, n, 8);
      producer.push();
      present(consumer.front());
      consumer.pop();
    }
    const current = readCommit(memory);
    for (const garbage of [0, 5, 2 ** 31 - 8, -8]) {
      const copy = copyRing(memory);
      const other = current.slot === 0 ? 1 : 0;
      const word = CONSUMED + 4 + other * 4;
      copy.words[word] = garbage;
      copy.words[word + 2] = garbage;
      expect(readCommit(copy)).to.deep.equal(current);
      expect(readPublished(copy)).to.deep.equal({ position: producer.published, pushed: 4 });
    }
  });

  it('knows how many messages there are after padding alone was popped', () => {
    const memory = newRing(CAPACITY - 64);
    const { producer, consumer } = openBoth(memory);
    claim(producer, 0, 500);
    producer.push();
    present(consumer.front());
    // The padding is consumed, the message is not popped.
    const copy = openBoth(copyRing(memory));
    expect([copy.consumer.popped, copy.producer.pushed]).to.deep.equal([0, 1]);
    expect(fault(present(copy.consumer.front()), 0, 500)).to.equal(null);
  });
});
