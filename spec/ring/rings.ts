/** Rings on plain buffers, for specs: begun anywhere, copied as a kill leaves them, with every store seen. */
import { RingConsumer } from '../../lib/ring/consumer.js';
import {
  COMMIT_POSITION,
  COMMIT_SEQUENCE,
  CONSUMED,
  RECLAIMED,
  RECORDS,
  ringBytes,
} from '../../lib/ring/layout.js';
import { RingMemory } from '../../lib/ring/memory.js';
import type { Message } from '../../lib/ring/message.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { fill, sizeOf } from '../support/traffic.js';

export const CAPACITY = 4096;

/** A ring in which everything up to `position` was popped: `popped` messages. */
export function newRing(
  position = 0,
  popped = 0,
  capacity = CAPACITY,
  shared = false,
  marksBatches = false,
): RingMemory {
  const length = ringBytes(capacity);
  const memory = new RingMemory(
    shared ? new SharedArrayBuffer(length) : new ArrayBuffer(length),
    0,
    capacity,
    marksBatches,
  );
  memory.words[RECLAIMED] = position;
  memory.words[CONSUMED] = position;
  memory.words[COMMIT_POSITION[0]] = position;
  memory.words[COMMIT_POSITION[1]] = position;
  memory.sequences[COMMIT_SEQUENCE[0]] = popped;
  memory.sequences[COMMIT_SEQUENCE[1]] = popped;
  return memory;
}

/** What another process finds that opens the ring after its owners were killed now. */
export function copyRing(memory: RingMemory): RingMemory {
  const buffer = new ArrayBuffer(ringBytes(memory.capacity));
  new Uint8Array(buffer).set(new Uint8Array(memory.view.buffer, memory.view.byteOffset, buffer.byteLength));
  return new RingMemory(buffer, 0, memory.capacity);
}

/** Writes a record's header by hand. */
export function writeHeader(memory: RingMemory, position: number, size: number, kind: number): void {
  const start = (RECORDS + (position & memory.mask)) >> 2;
  memory.words[start] = size;
  memory.words[start + 1] = kind;
}

/** Claims message `n` and fills it; false when the ring is full. */
export function claim(producer: RingProducer, n: number, size = sizeOf(n, 200)): boolean {
  const message = producer.claim(size);
  if (message === null) return false;
  fill(message, n);
  return true;
}

/** Hands all large records back as they are. */
export const LEAVING = { leaves: () => true };

/** With `leaves`, large records are handed back as they are. */
export function openBoth(
  memory: RingMemory,
  leaves = false,
): { producer: RingProducer; consumer: RingConsumer } {
  const consumer = new RingConsumer(memory);
  if (leaves) consumer.clearing = LEAVING;
  return { producer: new RingProducer(memory), consumer };
}

export function present(message: Message | null): Message {
  if (message === null) throw new Error('expected a message, got none');
  return message;
}

/**
 * Lets `act` work on a ring, and calls `stored` after each of its stores into words and sequences: a kill may come
 * there. Cleared ranges count as stores of 8 bytes each.
 *
 * A typed array cannot be watched, so the ring gets proxies in their place, and `Atomics` is taught to look through
 * them meanwhile.
 */
export function watchStores<T>(memory: RingMemory, stored: () => void, act: (watched: RingMemory) => T): T {
  const targets = new WeakMap<object, Int32Array | Float64Array>();
  const watch = <A extends Int32Array | Float64Array>(array: A): A => {
    const proxy = new Proxy(array, {
      get(target, key) {
        if (key === 'fill') {
          return (value: number, start: number, end: number) => {
            for (let i = start; i < end; i++) {
              target[i] = value;
              stored();
            }
          };
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
      set(target, key, value) {
        const done = Reflect.set(target, key, value, target);
        stored();
        return done;
      },
    });
    targets.set(proxy, array);
    return proxy;
  };
  const watched = new RingMemory(memory.view.buffer, memory.view.byteOffset, memory.capacity);
  Object.defineProperty(watched, 'words', { value: watch(memory.words) });
  Object.defineProperty(watched, 'sequences', { value: watch(memory.sequences) });
  const { load, store } = Atomics;
  const target = (array: Int32Array): Int32Array => (targets.get(array) ?? array) as Int32Array;
  Object.assign(Atomics, {
    load: (array: Int32Array, index: number) => load(target(array), index),
    store: (array: Int32Array, index: number, value: number) => {
      store(target(array), index, value);
      if (targets.has(array)) stored();
      return value;
    },
  });
  try {
    return act(watched);
  } finally {
    Object.assign(Atomics, { load, store });
  }
}
