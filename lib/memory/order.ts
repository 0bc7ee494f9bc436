/**
 * What this library relies on about the order of memory, beyond what JavaScript promises: the one place that says so.
 *
 * JavaScript orders atomic accesses of memory that agents share, and of nothing else. Between processes, on an external
 * ArrayBuffer over a mapped file, and for plain accesses, the order is what V8 compiles them to: one load or store of
 * the machine each, in the order of the program, as its compilers neither merge nor move accesses to typed arrays over
 * others. On x86 the machine keeps stores in order, and loads in order; a load may still overtake an earlier store of
 * the same thread (Intel SDM vol. 3A, 8.2.2). So there
 *
 *   - a plain store publishes what was stored before it, and a plain load that has seen it is followed by loads that see
 *     that: no more is needed between a producer and a consumer;
 *   - who stores, then looks at a word, needs a fence between the two. The one who does it all the time leaves it out,
 *     and the one who waits for him pays instead: after he has stored that word he lets a `barrier` pass through all
 *     processors, which is a fence in every thread (an asymmetric fence, as of liburcu).
 *
 * On other processors all of these are atomic accesses. `spec/ring/crossProcess.spec.ts` tests it with processes at work,
 * `spec/poll/` with sides that fall asleep and are woken. Peers in other languages that publish by plain stores must
 * register for barriers, as `registerBarrier` does.
 */
import { nativeOrNull } from './native.js';

const X86 = process.arch === 'x64' || process.arch === 'ia32';

/**
 * Whether `barrier` of others passes through the threads of this process. Without the native module there is no other
 * process, and no barrier: who would sleep looks once in a millisecond instead (poll/waker.ts).
 */
const REACHED = nativeOrNull()?.registerBarrier() ?? true;

/**
 * Whether words are published by plain stores: where they are in order, and who sleeps can make up for the fence that is
 * missing behind them. An atomic store of V8 is a call and a locked instruction, which waits for all stores before it.
 */
const PLAINLY = X86 && REACHED;

/**
 * Stores a word by which everything that this thread has stored before becomes visible to whoever observes it. What is
 * looked at after that may be older than the store.
 *
 * This and `observe` are values, not declarations, and who uses them for every message copies them to a constant of its
 * own: then V8 has them inlined, without a look at an imported binding that might change.
 */
export const publish = PLAINLY
  ? (words: Int32Array, index: number, value: number): void => {
      words[index] = value;
    }
  : (words: Int32Array, index: number, value: number): void => {
      Atomics.store(words, index, value);
    };

/** Loads a word that others publish: what they stored before it is visible to loads after it. */
export const observe = X86
  ? (words: Int32Array, index: number): number => words[index] as number
  : (words: Int32Array, index: number): number => Atomics.load(words, index);

/**
 * A fence in every thread of every process that has this module loaded (membarrier(2), global expedited): 0.6 µs.
 * False where the system does not have it: then nothing may rely on it.
 */
export function barrier(): boolean {
  return nativeOrNull()?.barrier() ?? false;
}

const FENCE = new Int32Array(new SharedArrayBuffer(4));

/** A fence in this thread: what it stored before is visible before it loads anything after. */
export function fence(): void {
  // On x86 an exchange, which is a fence; elsewhere all accesses that matter are atomic ones, which are in order.
  Atomics.store(FENCE, 0, 0);
}
