import { expect } from 'chai';
import { RECORDS } from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import { CAPACITY, newRing } from '../ring/rings.js';
import { crashAt, pointsOf } from './crash.js';
import { instrument } from './instrument.js';
import { compiledSource, type Lib, loadInstrumented, storingFiles } from './instrumented.js';

describe('the instrumented copy of lib', () => {
  let lib: Lib;
  before(async () => {
    lib = await loadInstrumented();
  });

  it('knows all stores of the files that store to rings', () => {
    for (const file of storingFiles()) instrument(compiledSource(file), file);
    for (const file of ['ring/producer.js', 'ring/consumer.js', 'ring/replica.js', 'ring/memory.js']) {
      expect(instrument(compiledSource(file), file).stores, file).to.be.above(1);
    }
  });

  it('puts a point before every form of a store', () => {
    for (const line of [
      '  words[i] = 1;',
      '  this.#words[(a + b[c]) >> 2] = x[1];',
      '  target[t++] = source[s];',
      '  Atomics.store(words, i, 1);',
      '  eights.fill(0, start >> 3, end >> 3);',
      '  to.bytes.set(from.bytes.subarray(a, b), at);',
      '  this.view.setInt8(this.#at(at, 1), value);',
      '  return this.bytes.write(text, 0);',
    ]) {
      const { code, stores } = instrument(line, 'a line');
      expect(stores, line).to.equal(1);
      expect(code).to.match(/\bpoint\(\)|\b(?:atomicStore|storeFill|storeSet)\(/);
    }
  });

  it('leaves alone what stores nothing', () => {
    for (const line of [
      '  if (words[i] === 0)',
      '  const x = words[i];',
      '  // words[i] = 1;',
      '  const [a] = b;',
    ]) {
      expect(instrument(line, 'a line')).to.deep.equal({ code: line, stores: 0, loads: 0 });
    }
  });

  it('refuses stores in other forms, rather than to miss one', () => {
    for (const line of [
      '  words[i]++;',
      '  words[i] += 1;',
      '  words[i] = words[k] = 1;',
      '  const old = (words[i] = 1);',
      '  if (x) words[i] = 1;',
      '  Atomics.exchange(words, i, 1);',
      '  bytes.copyWithin(0, 1);',
      '  const n = bytes.writeUInt32LE(1, 0);',
    ]) {
      expect(() => instrument(line, 'a line'), line).to.throw('instrument.ts does not know');
    }
  });

  it('can stop between any two stores: from one point to the next, one word of memory changes at most', () => {
    const images: Float64Array[] = [];
    const passed = pointsOf(() => work(lib, newMemories(lib)));
    for (let at = 0; at <= passed; at++) {
      const memories = newMemories(lib);
      expect(crashAt(at, () => work(lib, memories))).to.equal(at < passed);
      images.push(Float64Array.from(memories.flatMap(({ words }) => [...words])));
    }
    let changes = 0;
    for (let at = 1; at < images.length; at++) {
      const [before, after] = [images[at - 1] as Float64Array, images[at] as Float64Array];
      // A store has 8 bytes at most: two words, in one place.
      const changed = [...after.keys()].filter((i) => before[i] !== after[i]).map((i) => i >> 1);
      expect(new Set(changed).size, `words ${changed.join(', ')} at point ${at}`).to.be.at.most(1);
      changes += changed.length;
    }
    expect(changes).to.be.above(200);
  });
});

function newMemories({ RingMemory }: Lib): [RingMemory, RingMemory] {
  // At the end of the ring, so that padding is needed soon.
  const rings = [newRing(CAPACITY - 400), newRing(CAPACITY - 400)] as const;
  const again = ({ words }: RingMemory): RingMemory => new RingMemory(words.buffer, 0, CAPACITY);
  return [again(rings[0]), again(rings[1])];
}

/** Does all that stores to rings. */
function work(lib: Lib, [ring, copy]: [RingMemory, RingMemory]): void {
  const producer = new lib.RingProducer(ring);
  const consumer = new lib.RingConsumer(ring);
  const replica = new lib.RingReplica(copy);
  const from = replica.written;
  const claim = (size: number, n: number): void => {
    const message = producer.claim(size);
    if (message === null) throw new Error('expected room');
    message.type = n;
    for (let at = 0; at + 4 <= size; at += 4) message.setInt32(at, n * 1000 + at);
  };
  claim(30, 1);
  producer.push();
  // One that is not pushed, and then a batch around the end of the ring.
  claim(300, 2);
  claim(40, 3);
  producer.pushMore();
  claim(350, 4);
  producer.message.set(new Uint8Array(300).fill(5));
  producer.pushMore();
  producer.publish();
  const at = (position: number): number => RECORDS + (position & ring.mask);
  // The first record and half of the next; then, after a break, all that is left, which goes around the end.
  replica.append(ring, at(from), 40 + 24);
  replica.publish();
  replica.discard();
  const rest = replica.published;
  const beforeEnd = ring.capacity - (rest & ring.mask);
  replica.append(ring, at(rest), beforeEnd);
  replica.append(ring, RECORDS, producer.published - rest - beforeEnd);
  replica.publish();
  for (let message = consumer.front(); message !== null; message = consumer.front()) consumer.pop();
}
