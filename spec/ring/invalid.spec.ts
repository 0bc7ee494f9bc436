import { expect } from 'chai';
import { RingConsumer } from '../../lib/ring/consumer.js';
import {
  COMMIT_POSITION,
  COMMIT_SEQUENCE,
  CONSUMED,
  PADDING_KIND,
  RECLAIMED,
} from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { RingReplica } from '../../lib/ring/replica.js';
import { expectCode } from '../support/failure.js';
import { CAPACITY, newRing, writeHeader } from './rings.js';

const LARGEST_RECORD = CAPACITY / 4 + 8;

/** Headers that no producer writes: what, where, size word, kind word. */
const RECORDS: readonly (readonly [string, number, number, number])[] = [
  ...[1, 2, 3, 4, 5, 6, 7].map((size) => [`a size of ${size}`, 0, size, 1] as const),
  ['a size beyond the largest message', 0, LARGEST_RECORD + 1, 1],
  ['a size of the whole ring', 0, CAPACITY, 1],
  ['a negative size', 0, -8, 1],
  ['the largest number as size', 0, 2 ** 31 - 1, 1],
  ['the most negative number as size', 0, -(2 ** 31), 1],
  ['a size beyond the end of the ring', CAPACITY - 16, 24, 1],
  ['a size just beyond the end of the ring', CAPACITY - 16, 17, 1],
  ['a size beyond the end in the last slot', CAPACITY - 8, 9, 1],
  ['type 0', 0, 16, 0],
  ['an unknown flag', 0, 16, (2 << 16) | 1],
  ['many flags', 0, 16, (0x7fff << 16) | 1],
  ['the highest flag', 0, 16, (0x8000 << 16) | 1],
  ['padding with a type', 0, 16, PADDING_KIND | 1],
  ['padding with another flag', CAPACITY - 16, 16, PADDING_KIND | (2 << 16)],
  ['padding that does not go to the end', CAPACITY - 32, 16, PADDING_KIND],
  ['padding beyond the end', CAPACITY - 16, 24, PADDING_KIND],
  ['padding longer than a record', CAPACITY - 2048, 2048, PADDING_KIND],
];

describe('what cannot be a record', () => {
  for (const [what, position, size, kind] of RECORDS) {
    describe(what, () => {
      const bad = (): RingMemory => {
        const memory = newRing(position);
        writeHeader(memory, position, size, kind);
        return memory;
      };
      const message = new RegExp(`position ${position} is not valid.*got size ${size >>> 0},`);

      it('is refused by the consumer, each time it is asked', () => {
        const consumer = new RingConsumer(bad());
        expectCode(() => consumer.front(), 'ERR_PROTOCOL', message);
        expectCode(() => consumer.front(), 'ERR_PROTOCOL', message);
        expectCode(() => consumer.pop(), 'ERR_NO_MESSAGE');
        expect(consumer.position).to.equal(position);
      });

      it('is refused by an acknowledgement', () => {
        const consumer = new RingConsumer(bad());
        expectCode(() => consumer.popUpTo(position + 24, position + 48), 'ERR_PROTOCOL', message);
        expect(consumer.position).to.equal(position);
      });

      it('is refused on recovery', () => {
        expectCode(() => new RingProducer(bad()), 'ERR_PROTOCOL', message);
        expectCode(() => new RingReplica(bad()), 'ERR_PROTOCOL', message);
      });

      it('is refused when it arrives in a copy', () => {
        const from = bad();
        const memory = newRing(position);
        const replica = new RingReplica(memory);
        replica.append(from, 384 + position, 8);
        expectCode(() => replica.publish(), 'ERR_PROTOCOL', message);
        expect(new RingConsumer(memory).front()).to.equal(null);
      });

      it('is refused behind good records', () => {
        const memory = bad();
        const start = (position - 8) | 0;
        if (position === 0) return;
        for (const word of [RECLAIMED, CONSUMED, COMMIT_POSITION[0], COMMIT_POSITION[1]]) {
          memory.words[word] = start;
        }
        writeHeader(memory, start, 8, 3);
        expectCode(() => new RingProducer(memory), 'ERR_PROTOCOL', message);
        const consumer = new RingConsumer(memory);
        expect(consumer.front()?.type).to.equal(3);
        consumer.pop();
        expectCode(() => consumer.front(), 'ERR_PROTOCOL', message);
      });
    });
  }

  it('does not include the shortest and longest that can', () => {
    for (const [position, size, kind] of [
      [0, 8, 1],
      [0, LARGEST_RECORD, 65535],
      [CAPACITY - 8, 8, 1],
      [CAPACITY - LARGEST_RECORD, LARGEST_RECORD, 1],
      [CAPACITY - LARGEST_RECORD, LARGEST_RECORD - 7, 1],
    ] as const) {
      const memory = newRing(position);
      writeHeader(memory, position, size, kind);
      const message = new RingConsumer(memory).front();
      expect([message?.size, message?.type]).to.deep.equal([size - 8, kind]);
    }
  });
});

describe("a consumer's state that cannot be true", () => {
  const STATES: readonly (readonly [string, (memory: RingMemory) => void])[] = [
    ['consumed behind reclaimed', (m) => m.words.fill(-8, RECLAIMED, RECLAIMED + 1) && set(m, -16)],
    ['consumed further than a ring ahead of reclaimed', (m) => set(m, CAPACITY + 8)],
    ['consumed at the other end of the world', (m) => set(m, -(2 ** 31))],
    ['consumed that no commit has', (m) => m.words.fill(64, CONSUMED, CONSUMED + 1)],
    [
      'a negative number of messages',
      (m) => m.sequences.fill(-1, COMMIT_SEQUENCE[0], COMMIT_SEQUENCE[0] + 1),
    ],
    ['half a message', (m) => m.sequences.fill(0.5, COMMIT_SEQUENCE[0], COMMIT_SEQUENCE[0] + 1)],
    [
      'messages that are no number',
      (m) => m.sequences.fill(Number.NaN, COMMIT_SEQUENCE[0], COMMIT_SEQUENCE[0] + 1),
    ],
    [
      'more messages than can be counted',
      (m) => m.sequences.fill(2 ** 53, COMMIT_SEQUENCE[0], COMMIT_SEQUENCE[0] + 1),
    ],
    ['consumed between two records', (m) => set(m, 4)],
    ['reclaimed between two records', (m) => set(m, 8) && m.words.fill(4, RECLAIMED, RECLAIMED + 1)],
  ];
  function set(memory: RingMemory, position: number): boolean {
    for (const word of [CONSUMED, COMMIT_POSITION[0], COMMIT_POSITION[1]]) memory.words[word] = position;
    return true;
  }

  for (const [what, spoil] of STATES) {
    it(`is refused on opening: ${what}`, () => {
      for (const End of [RingConsumer, RingProducer, RingReplica]) {
        const memory = newRing();
        spoil(memory);
        expectCode(() => new End(memory), 'ERR_SEGMENT', /consumer's state of a ring is not valid/);
      }
    });
  }
});
