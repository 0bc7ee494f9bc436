/** Messages of several writers, each of which tells whose it is and which: for the one who gets them all. */
import type { ConnectionWriter, Message } from '../../lib/index.js';
import { Naps } from '../support/nap.js';
import { mix, sizeOf, typeOf } from '../support/traffic.js';
import { Watchdog } from '../support/until.js';

/** The writer, the number of the message, and how many messages of its batch are still to come. */
const HEAD_BYTES = 12;
/** Messages of one writer at the most. */
const NUMBERS = 2 ** 24;
const STEP = 0x9e3779b9;

function keyOf(writer: number, n: number): number {
  return writer * NUMBERS + n;
}

/** Size of a message, which follows from its writer and number. */
export function numberedSize(writer: number, n: number, largest: number): number {
  return HEAD_BYTES + sizeOf(keyOf(writer, n), largest - HEAD_BYTES);
}

/** Fills a message, of any size that has room for its head, and sets its type. */
export function fillNumbered(message: Message, writer: number, n: number, toCome = 0): void {
  message.setUint32(0, writer);
  message.setUint32(4, n);
  message.setUint32(8, toCome);
  let value = mix(keyOf(writer, n));
  let at = HEAD_BYTES;
  for (; at + 4 <= message.size; at += 4) {
    message.setInt32(at, value | 0);
    value = (value + STEP) | 0;
  }
  for (; at < message.size; at++) message.setUint8(at, value++);
  message.type = typeOf(keyOf(writer, n));
}

/** Pushes message `n` alone; false when there is no room. */
export function pushNumbered(writer: ConnectionWriter, id: number, n: number, size?: number): boolean {
  const message = writer.alloc(size ?? numberedSize(id, n, writer.maxMessageBytes));
  if (message === null) return false;
  fillNumbered(message, id, n);
  writer.push();
  return true;
}

/**
 * Pushes the next message of a writer, or a batch of up to 8, waiting for room; goes on where the thread before has
 * stopped. No more than `count` in all.
 */
export function pushNext(writer: ConnectionWriter, id: number, count: number): void {
  const { maxMessageBytes: largest, pushed: first } = writer;
  let batch = 1;
  let batchBytes = 0;
  for (
    const most = Math.min(1 + (mix(keyOf(id, first) ^ 0x2545f491) % 8), count - first);
    batch < most;
    batch++
  ) {
    batchBytes += numberedSize(id, first + batch, largest);
    if (batchBytes > largest) break;
  }
  const watchdog = new Watchdog('room');
  const naps = new Naps();
  for (let i = 0; i < batch; i++) {
    const size = numberedSize(id, first + i, largest);
    let message = writer.alloc(size);
    while (message === null) {
      watchdog.check();
      naps.turned(false);
      message = writer.alloc(size);
    }
    fillNumbered(message, id, first + i, batch - 1 - i);
    if (i < batch - 1) writer.pushMore();
    else writer.push();
  }
}

/** What the peer has got of each writer: notices what is lost, repeated, swapped or torn. */
export class Ledger {
  readonly #next: number[];
  readonly #largest: number | null;
  /** Of the batch that the last message was of: how many are still to come. */
  #toCome = 0;
  #writer = 0;

  /** With `largest`, which is what a writer's message can have, sizes follow from the numbers. */
  constructor(writers: number, largest: number | null) {
    this.#largest = largest;
    this.#next = Array<number>(writers).fill(0);
  }

  /** How many messages came, of each writer. */
  get counts(): readonly number[] {
    return this.#next;
  }

  get total(): number {
    return this.#next.reduce((sum, count) => sum + count, 0);
  }

  /** Whether a batch has begun that is not complete. */
  get inBatch(): boolean {
    return this.#toCome !== 0;
  }

  /** Takes the next message and gives its writer; throws what is wrong with it. */
  take(message: Message): number {
    const writer = message.getUint32(0);
    const n = message.getUint32(4);
    const toCome = message.getUint32(8);
    const expected = this.#next[writer];
    if (n !== expected) throw new Error(`writer ${writer}: expected message ${expected}, got ${n}`);
    if (this.#toCome !== 0 && (writer !== this.#writer || toCome !== this.#toCome - 1)) {
      throw new Error(`message ${n} of writer ${writer} came into a batch of writer ${this.#writer}`);
    }
    this.#check(message, writer, n);
    this.#next[writer] = n + 1;
    this.#writer = writer;
    this.#toCome = toCome;
    return writer;
  }

  #check(message: Message, writer: number, n: number): void {
    const type = typeOf(keyOf(writer, n));
    let wrong = message.type === type ? null : `is of type ${message.type} rather than ${type}`;
    if (this.#largest !== null && message.size !== numberedSize(writer, n, this.#largest)) {
      wrong ??= `has ${message.size} bytes rather than ${numberedSize(writer, n, this.#largest)}`;
    }
    let value = mix(keyOf(writer, n));
    let at = HEAD_BYTES;
    for (; at + 4 <= message.size; at += 4) {
      if (message.getInt32(at) !== (value | 0)) wrong ??= `has ${message.getInt32(at)} at ${at}`;
      value = (value + STEP) | 0;
    }
    for (; at < message.size; at++) {
      if (message.getUint8(at) !== (value++ & 0xff)) wrong ??= `has byte ${message.getUint8(at)} at ${at}`;
    }
    if (wrong !== null) throw new Error(`message ${n} of writer ${writer} ${wrong}`);
  }
}
