import { expect } from 'chai';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { readDepth } from '../../lib/ring/depth.js';
import { RECORDS } from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { Random, randomSeed } from '../support/random.js';
import { newRing } from './rings.js';

const SIZES = [0, 1, 8, 60, 200, 1000];

describe('what the ends of a ring count', () => {
  for (const start of [0, 2 ** 31 - 4096, -4096]) {
    it(`are all messages and all bytes, lap after lap, from position ${start >>> 0}`, () => {
      const ring = newRing(start, 7, 4096);
      const producer = new RingProducer(ring);
      const consumer = new RingConsumer(ring);
      const seed = randomSeed();
      const random = new Random(seed);
      let refused = 0;
      let bytes = 0;
      let lowest = producer.published;
      for (let i = 0; i < 3000; i++) {
        const message = producer.claim(random.pick(SIZES));
        if (message === null) refused++;
        else if (random.once(3)) producer.pushMore();
        else producer.push();
        bytes += producer.published - lowest - (producer.published < lowest ? -(2 ** 32) : 0);
        lowest = producer.published;
        while (random.once(2) && consumer.front() !== null) consumer.pop();
        const told = `step ${i}, seed ${seed}`;
        const depth = readDepth(ring, consumer.position, 1e6);
        expect(depth.messages, told).to.equal(producer.pushed - consumer.popped);
        expect(producer.publishedBytes, told).to.equal(bytes);
        expect(consumer.poppedBytes + depth.bytes, told).to.equal(bytes);
        expect(producer.refusals, told).to.equal(refused);
        expect(producer.stalls, told).to.be.at.most(refused);
        expect(producer.highWater, told).to.be.at.most(4096 - 8);
      }
      expect(bytes).to.be.above(100 * 4096);
      expect(refused).to.be.above(0);
      expect(producer.stalls).to.be.above(0);
      expect(producer.highWater).to.be.above(2048);
    });
  }

  it('begin with nothing where the ring was used before', () => {
    const ring = newRing(0, 0, 4096);
    const before = new RingProducer(ring);
    for (let i = 0; i < 3; i++) {
      before.claim(8);
      before.push();
    }
    const reader = new RingConsumer(ring);
    reader.front();
    reader.pop();
    const producer = new RingProducer(ring);
    const consumer = new RingConsumer(ring);
    expect([producer.publishedBytes, consumer.poppedBytes, producer.highWater]).to.deep.equal([0, 0, 0]);
    producer.claim(8);
    producer.push();
    producer.sample();
    expect(producer.highWater).to.equal(48);
    expect(producer.publishedBytes).to.equal(16);
    expect(readDepth(ring, consumer.position, 100)).to.deep.equal({ messages: 3, bytes: 48 });
  });

  it('are no more messages than they are to count', () => {
    const ring = filled(20);
    expect(readDepth(ring, 0, 5)).to.deep.equal({ messages: 5, bytes: 80 });
    expect(readDepth(ring, 0, 20)).to.deep.equal({ messages: 20, bytes: 320 });
  });

  it('end before what cannot be a record', () => {
    const ring = filled(4);
    ring.words[(RECORDS + 32) >> 2] = 3;
    expect(readDepth(ring, 0, 100)).to.deep.equal({ messages: 2, bytes: 32 });
  });

  it('count one period of a full ring, however often somebody asks', () => {
    const ring = newRing(0, 0, 4096);
    const producer = new RingProducer(ring);
    const consumer = new RingConsumer(ring);
    const fill = (): void => {
      while (producer.claim(500) !== null) producer.push();
    };
    fill();
    for (let i = 0; i < 9; i++) expect(producer.claim(500)).to.equal(null);
    expect([producer.refusals, producer.stalls]).to.deep.equal([10, 1]);
    while (consumer.front() !== null) consumer.pop();
    fill();
    expect([producer.refusals, producer.stalls]).to.deep.equal([11, 2]);
  });
});

function filled(messages: number): RingMemory {
  const ring = newRing(0, 0, 4096);
  const producer = new RingProducer(ring);
  for (let i = 0; i < messages; i++) {
    producer.claim(8);
    producer.push();
  }
  return ring;
}
