/** Tasks of the specs of pools. Words of shared memory (`workerData`) tell what they are at, and let them go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId, workerData } from 'node:worker_threads';

/** Words of the shared memory. */
export const RUNS = 0;
export const RUNNING = 1;
export const MOST_RUNNING = 2;
export const GATE = 3;
/** From here on one for each number of a task: how often it ran. */
export const FIRST = 4;

const words = workerData as Int32Array | null;

function count(number: number | null): void {
  if (words === null) return;
  Atomics.add(words, RUNS, 1);
  if (number !== null) Atomics.add(words, FIRST + number, 1);
}

export default function add({ a, b }: { a: number; b: number }): number {
  return a + b;
}

export async function addLater({ a, b }: { a: number; b: number }): Promise<number> {
  await sleep(1);
  return a + b;
}

export function echo(value: unknown): unknown {
  return value;
}

export function thread(): number {
  return threadId;
}

export function counted(number: number): number {
  count(number);
  return number;
}

/** The same, and takes a while. */
export async function slow(number: number): Promise<number> {
  count(number);
  await sleep(Math.random() * 2);
  return number;
}

/** Blocks its thread until the gate opens. */
export function gated(number: number | null): number {
  count(number);
  if (words !== null) Atomics.wait(words, GATE, 0);
  return threadId;
}

export async function overlapping(): Promise<void> {
  if (words === null) return;
  const running = Atomics.add(words, RUNNING, 1) + 1;
  for (;;) {
    const most = Atomics.load(words, MOST_RUNNING);
    if (running <= most || Atomics.compareExchange(words, MOST_RUNNING, most, running) === most) break;
  }
  await sleep(5);
  Atomics.sub(words, RUNNING, 1);
}

export class ShopError extends RangeError {
  override readonly name = 'ShopError';
  readonly code = 'E_SOLD_OUT';
  readonly stock = new Map([['apples', 0]]);
  readonly log = (): void => {};
}

export function fail(how: string): never {
  if (how === 'own') throw new ShopError('sold out', { cause: new TypeError('no apples') });
  if (how === 'aggregate') throw new AggregateError([new Error('one'), new RangeError('two')], 'both');
  if (how === 'text') throw 'just a text';
  throw new Error(how);
}

export async function failLater(how: string): Promise<never> {
  await sleep(1);
  return fail(how);
}

export function uncarried(): unknown {
  return { call: () => {} };
}

/** Ends its thread. The first time only, with `once`, which is a number. */
export async function die({ how, once }: { how: string; once?: number }): Promise<string> {
  if (once !== undefined && words !== null && Atomics.add(words, FIRST + once, 1) > 0) return 'survived';
  if (how === 'exit') process.exit(3);
  if (how === 'throw') {
    setImmediate(() => {
      throw new Error('thrown in the background');
    });
  }
  const kept: unknown[] = [];
  while (how === 'memory') kept.push(new Array(1e5).fill({}));
  await sleep(1e6);
  return 'never';
}

/** Sends something itself, beside its result. */
export async function data(): Promise<unknown> {
  return words === null ? null : words.length;
}
