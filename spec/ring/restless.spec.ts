import { expect } from 'chai';
import { BatchConsumer } from '../../lib/ring/batches.js';
import { COMMIT_POSITION, CONSUMED, CONTINUED, RECLAIMED } from '../../lib/ring/layout.js';
import { RingMemory } from '../../lib/ring/memory.js';
import { clearFreeSpace, RingProducer } from '../../lib/ring/producer.js';
import { readCommit, readPublished } from '../../lib/ring/recovery.js';
import { RingReplica } from '../../lib/ring/replica.js';
import { expectCode } from '../support/failure.js';
import { CAPACITY, newRing, writeHeader } from './rings.js';

/** A ring of which one property does something whenever it is read: as a peer would that is exactly in time. */
function tampered<K extends keyof RingMemory>(
  memory: RingMemory,
  key: K,
  read: () => RingMemory[K],
): RingMemory {
  return Object.create(memory, { [key]: { get: read } }) as RingMemory;
}

describe('a peer that changes its words between two looks', () => {
  it('does not keep a reader of its positions for ever', () => {
    const memory = newRing();
    let looks = 0;
    const sequences = new Proxy(memory.sequences, {
      get(target, index) {
        looks++;
        memory.words[CONSUMED] = (memory.words[CONSUMED] as number) ^ 8;
        return Reflect.get(target, index);
      },
    });
    const restless = tampered(memory, 'sequences', () => sequences);
    expectCode(() => readCommit(restless), 'ERR_PROTOCOL', /never stands still/);
    expect(looks).to.be.at.least(1000);
  });

  it('does not keep a search for the end of the ring for ever', () => {
    const memory = newRing();
    let looks = 0;
    const restless = tampered(memory, 'mask', () => {
      looks++;
      // What was just found to be the end is popped by now.
      const position = ((memory.words[CONSUMED] as number) + 8) | 0;
      for (const word of [RECLAIMED, CONSUMED, ...COMMIT_POSITION]) memory.words[word] = position;
      return CAPACITY - 1;
    });
    expectCode(() => readPublished(restless), 'ERR_PROTOCOL', /never stands still/);
    expect(looks).to.be.at.least(1000);
  });

  it('cannot have more cleared than is free', () => {
    for (const reclaimed of [-CAPACITY - 8, 2 ** 30, -(2 ** 30), 4, CAPACITY + 8]) {
      const memory = newRing();
      memory.bytes.fill(7, 384);
      memory.words[RECLAIMED] = reclaimed;
      if (((reclaimed + CAPACITY) | 0) <= 0) {
        clearFreeSpace(memory, 0);
      } else {
        expectCode(() => clearFreeSpace(memory, 0), 'ERR_PROTOCOL', /hands back space up to position/);
      }
      expect(
        memory.bytes.subarray(384).every((byte) => byte === 7),
        `${reclaimed}`,
      ).to.equal(true);
    }
  });

  it('cannot have a copy written beyond the ring', () => {
    for (const reclaimed of [8, CAPACITY, 2 ** 30, -(2 ** 31), -CAPACITY - 8]) {
      const from = newRing();
      writeHeader(from, 0, 16, 1);
      const memory = newRing();
      const replica = new RingReplica(memory);
      memory.words[RECLAIMED] = reclaimed;
      expectCode(() => replica.append(from, 384, 16), 'ERR_PROTOCOL', /hands back space up to position/);
      expect(replica.written).to.equal(0);
    }
  });

  it('cannot make a message of a batch longer than it was when the batch was found', () => {
    const memory = new RingMemory(newRing().bytes.buffer, 0, CAPACITY, true);
    const producer = new RingProducer(memory);
    for (const flags of [0, CONTINUED] as const) {
      producer.claim(8);
      producer.pushMore(flags);
    }
    producer.publish();
    const consumer = new BatchConsumer(memory);
    expect([consumer.front(), consumer.messages]).to.deep.equal([true, 2]);
    writeHeader(memory, 0, 512, 1);
    expectCode(() => consumer.next(), 'ERR_PROTOCOL', /got size 512/);
  });
});
