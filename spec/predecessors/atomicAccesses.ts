/** Prints which words of a ring are published, observed and handed back by Atomics, and what there was right before. */
import { RingChannel } from '../../lib/index.js';
import { RECLAIMED, RECORDS } from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';

const { local, remote } = new RingChannel({ capacityBytes: 4096 });
const end = RingChannel.open(remote);
const ring = local.side.ends.open.segment.outgoing('server');
const size = RECORDS >> 2;
const record = (): number[] => [...ring.words.subarray(size, size + 4)];
const pushing = watchAtomics(ring, record, () => {
  const message = local.alloc(8);
  message?.setInt32(0, 11);
  message?.setInt32(4, 22);
  local.push();
});
const published = record();
const reading = watchAtomics(ring, record, () => {
  if (end.front()?.getInt32(4) !== 22) throw new Error('expected 22');
});
const popping = watchAtomics(ring, record, () => {
  end.pop();
  end.front();
});
process.stdout.write(
  JSON.stringify({
    beforePublication: pushing.stores.get(size) ?? null,
    published,
    observed: reading.loads.has(size),
    beforeHandedBack: popping.stores.get(RECLAIMED) ?? null,
  }),
);

interface Watched<T> {
  /** By the index of the word: what there was right before the first store into it. */
  readonly stores: ReadonlyMap<number, T>;
  readonly loads: ReadonlySet<number>;
}

/** The words of a ring that `act` reads and writes by Atomics. */
function watchAtomics<T>(ring: RingMemory, look: () => T, act: () => unknown): Watched<T> {
  const { load, store } = Atomics;
  const stores = new Map<number, T>();
  const loads = new Set<number>();
  const isOfRing = ({ buffer, byteOffset }: Int32Array): boolean =>
    buffer === ring.words.buffer && byteOffset === ring.words.byteOffset;
  Object.assign(Atomics, {
    load(words: Int32Array, index: number) {
      if (isOfRing(words)) loads.add(index);
      return load(words, index);
    },
    store(words: Int32Array, index: number, value: number) {
      if (isOfRing(words) && !stores.has(index)) stores.set(index, look());
      return store(words, index, value);
    },
  });
  try {
    act();
  } finally {
    Object.assign(Atomics, { load, store });
  }
  return { stores, loads };
}
