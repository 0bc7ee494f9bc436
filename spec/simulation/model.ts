import type { Message } from '../../lib/ring/message.js';
import type { Random } from '../support/random.js';
import { mix } from '../support/traffic.js';
import { point } from './crash.js';

/** Something that must not be. */
export class Violation extends Error {}

export function must(condition: boolean, what: () => string): void {
  if (!condition) throw new Violation(what());
}

/**
 * What is known of the messages in one direction: those whose push has returned, those whose pop has. The push or
 * batch during which a process died is in doubt until somebody can see it, as a whole; so is a pop.
 *
 * What is in a message follows from its number and from how often one was begun, so that one that was never
 * published cannot pass for another that took its number.
 */
export class Direction {
  readonly name: string;
  pushed = 0;
  popped = 0;
  /** Completed with `pushMore`, and not published. */
  batched = 0;
  /** Messages of the push or batch that is under way, or in doubt. */
  pushing = 0;
  /** 1 while a pop is under way, or in doubt. */
  popping = 0;
  readonly #salt: number;
  /** How many messages outlive the loss of the sender's power, and how many pops that of the receiver's. */
  #safePushes = 0;
  #safePops = 0;
  /** The same, as far as somebody was told. */
  #flushedPushes = 0;
  #flushedPops = 0;
  /** Whether power was lost since the sender or the receiver was last seen: then what was not safe may be gone. */
  #senderLost = false;
  #receiverLost = false;
  /** Whether a push or batch begins with a message. */
  readonly #begins: boolean[] = [];
  readonly #sizes: number[] = [];
  readonly #seeds: number[] = [];
  #begun = 0;

  constructor(name: string, salt: number) {
    this.name = name;
    this.#salt = salt;
  }

  /** Writes the next message. */
  fill(message: Message, random: Random): void {
    const n = this.pushed + this.batched;
    const seed = mix(this.#salt ^ mix(++this.#begun));
    this.#sizes[n] = message.size;
    this.#seeds[n] = seed;
    this.#begins[n] = false;
    message.type = typeOf(seed);
    point();
    if (random.once(4)) message.set(payload(seed, message.size));
    else write(message, seed);
    point();
  }

  /** The batch, and `more` messages with it, is being published. */
  pushBegins(more: number): void {
    this.pushing = this.batched + more;
    if (this.pushing > 0) this.#begins[this.pushed] = true;
  }

  pushEnds(): void {
    this.pushed += this.pushing;
    this.pushing = 0;
    this.batched = 0;
  }

  /** Checks a message that came: it must be the next one, whole. */
  arrives(message: Message): void {
    const n = this.popped;
    if (n >= this.pushed && n < this.pushed + this.pushing) {
      // What was in doubt is there: all of it.
      this.pushed += this.pushing;
      this.pushing = 0;
      this.batched = 0;
    }
    must(n < this.pushed, () => `${this.name}: message ${n} came, and only ${this.pushed} were pushed`);
    const size = this.#sizes[n] as number;
    const seed = this.#seeds[n] as number;
    must(
      message.size === size,
      () => `${this.name}: message ${n} should have ${size} bytes, has ${message.size}`,
    );
    must(message.type === typeOf(seed), () => `${this.name}: message ${n} is of type ${message.type}`);
    const wrong = firstWrong(message, seed);
    must(wrong < 0, () => `${this.name}: byte ${wrong} of ${size} of message ${n} is not what was pushed`);
  }

  popBegins(): void {
    this.popping = 1;
  }

  popEnds(): void {
    this.popped += this.popping;
    this.popping = 0;
  }

  /** The sender is dead: what it had not published is gone, unless it died while it did. */
  senderDied(): void {
    this.batched = 0;
  }

  /** This many messages outlive the loss of the sender's power from here on. Gives what takes it back. */
  pushesAreSafe(pushed: number): () => void {
    const before = this.#safePushes;
    this.#safePushes = Math.max(before, pushed);
    return () => {
      this.#safePushes = Math.max(before, this.#flushedPushes);
    };
  }

  /** This many pops outlive the loss of the receiver's power from here on. Gives what takes it back. */
  popsAreSafe(popped: number): () => void {
    const before = this.#safePops;
    this.#safePops = Math.max(before, popped);
    return () => {
      this.#safePops = Math.max(before, this.#flushedPops);
    };
  }

  /** The sender was told that this many messages are safe. */
  pushesWereFlushed(pushed: number): void {
    must(
      pushed <= this.#safePushes,
      () => `${this.name}: ${pushed} messages are flushed, and ${this.#safePushes} of them safe`,
    );
    this.#flushedPushes = Math.max(this.#flushedPushes, pushed);
  }

  /** The receiver was told that this many pops are safe. */
  popsWereFlushed(popped: number): void {
    must(
      popped <= this.#safePops,
      () => `${this.name}: ${popped} pops are flushed, and ${this.#safePops} of them safe`,
    );
    this.#flushedPops = Math.max(this.#flushedPops, popped);
  }

  /** Messages that are not safe may be lost: the last ones, and a batch as a whole. */
  senderLosesPower(): void {
    this.#senderLost = true;
  }

  /** Pops that are not safe may be undone. */
  receiverLosesPower(): void {
    this.#receiverLost = true;
  }

  /** A sender goes on with `pushed` messages. */
  senderOpened(pushed: number): void {
    this.seenPushed(pushed, 'were found');
    this.pushed = pushed;
    this.pushing = 0;
    this.batched = 0;
    this.#senderLost = false;
  }

  /** A receiver goes on with `popped` messages. */
  receiverOpened(popped: number): void {
    this.seenPopped(popped, 'were found');
    this.popped = popped;
    this.popping = 0;
    this.#receiverLost = false;
  }

  /** What memory says of the sender's ring, at any time. */
  seenPushed(pushed: number, how = 'are in memory'): void {
    must(
      pushed === this.pushed ||
        pushed === this.pushed + this.pushing ||
        (this.#senderLost &&
          pushed >= this.#safePushes &&
          pushed < this.pushed &&
          this.#begins[pushed] === true),
      () =>
        `${this.name}: ${pushed} pushed messages ${how}, expected ${this.#either(this.pushing)}` +
        (this.#senderLost ? `, or the first ${this.#safePushes} of them and whole batches` : ''),
    );
  }

  /** What memory says of the receiver's ring, at any time. */
  seenPopped(popped: number, how = 'are in memory'): void {
    must(
      popped === this.popped ||
        popped === this.popped + this.popping ||
        (this.#receiverLost && popped >= this.#safePops && popped < this.popped),
      () =>
        `${this.name}: ${popped} popped messages ${how}, expected ${this.popped} + ${this.popping}` +
        (this.#receiverLost ? `, at least ${this.#safePops}` : ''),
    );
  }

  /** Messages that were pushed and not popped. */
  get waiting(): number {
    return this.pushed - this.popped;
  }

  /** Whether nothing has ever happened in it. */
  get untouched(): boolean {
    return this.pushed + this.pushing + this.popped + this.popping === 0;
  }

  #either(doubtful: number): string {
    return doubtful === 0 ? `${this.pushed}` : `${this.pushed} or ${this.pushed + doubtful}`;
  }
}

function typeOf(seed: number): number {
  return (seed % 0xffff) + 1;
}

function payload(seed: number, size: number): Uint8Array {
  const bytes = new Uint8Array((size + 3) & -4);
  for (let at = 0, value = seed; at < size; at += 4, value = (value + 0x9e3779b9) | 0) {
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
  }
  return bytes.subarray(0, size);
}

function write(message: Message, seed: number): void {
  const { view, offset, size } = message;
  const end = offset + size;
  let value = seed;
  let at = offset;
  for (; at + 4 <= end; at += 4, value = (value + 0x9e3779b9) | 0) {
    if ((at & 63) === 0) point();
    view.setInt32(at, value, true);
  }
  for (; at < end; at++, value >>>= 8) view.setUint8(at, value);
}

/** The first byte that is not as it was written, or -1. */
function firstWrong(message: Message, seed: number): number {
  const { view, offset, size } = message;
  const end = offset + size;
  let value = seed | 0;
  let at = offset;
  for (; at + 4 <= end; at += 4, value = (value + 0x9e3779b9) | 0) {
    if (view.getInt32(at, true) !== value) return at - offset;
  }
  for (; at < end; at++, value >>>= 8) if (view.getUint8(at) !== (value & 0xff)) return at - offset;
  return -1;
}
