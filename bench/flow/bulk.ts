/**
 * Large messages: every byte is written once, by a copy into the record, and read once, in place.
 *
 *   words (f64)   0        1 …         512      513 …
 *                 | number | cargo …   | number | cargo …      one number for each 4096 bytes
 *
 * The cargo is whole numbers that differ from word to word, so the sum of all words is exact, and follows from the
 * number: a part that is missing, cleared or of another message changes it.
 */
import type { Message } from '../../lib/index.js';
import { type Payload, Seen, Tally } from '../tally.js';

/** From this size on. */
const BULK_BYTES = 4096;
const WORD = 8;
const WORDS_PER_NUMBER = 512;
const LARGEST = 0xffff;

/** What goes into every message. */
export class Cargo {
  /** To be copied: the numbers in it read 0. */
  readonly bytes: Uint8Array;
  /** How many words have the number, and the sum of all others. */
  readonly #numbers: number;
  readonly #sum: number;

  constructor(bytes: number) {
    const words = new Float64Array(bytes / WORD);
    let sum = 0;
    for (let i = 0; i < words.length; i++) {
      const value = i % WORDS_PER_NUMBER === 0 ? 0 : Math.imul(i, 0x9e3779b1) & LARGEST;
      words[i] = value;
      sum += value;
    }
    this.bytes = new Uint8Array(words.buffer);
    this.#numbers = Math.ceil(words.length / WORDS_PER_NUMBER);
    this.#sum = sum;
  }

  /** Numbers the message of `count` words from `start` on, into which `bytes` were copied. */
  number(words: Float64Array, start: number, count: number, number: number): void {
    for (let i = start; i < start + count; i += WORDS_PER_NUMBER) words[i] = number;
  }

  /** Reads every word of a message, and throws unless it is message `number`. */
  verify(words: Float64Array, start: number, count: number, number: number): void {
    const found = sumOf(words, start, count);
    const expected = this.#sum + number * this.#numbers;
    if (count * WORD === this.bytes.length && words[start] === number && found === expected) return;
    throw new Error(
      `message ${number} came wrong: expected ${this.bytes.length} bytes that begin with ${number} and come to` +
        ` ${expected}, got ${count * WORD} bytes, ${words[start]} and ${found}`,
    );
  }
}

/** In parts, each of which the processor can add while it adds the others. `count` is a multiple of 8. */
function sumOf(words: Float64Array, start: number, count: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let e = 0;
  let f = 0;
  let g = 0;
  let h = 0;
  const end = start + count;
  for (let i = start; i < end; i += 8) {
    a += words[i] as number;
    b += words[i + 1] as number;
    c += words[i + 2] as number;
    d += words[i + 3] as number;
    e += words[i + 4] as number;
    f += words[i + 5] as number;
    g += words[i + 6] as number;
    h += words[i + 7] as number;
  }
  return a + b + c + d + e + f + g + h;
}

/** Of large messages. */
export class BulkTally extends Seen {
  readonly #cargo: Cargo;
  #view: DataView | null = null;
  /** The ring in words: a message starts at a multiple of 8 bytes. */
  #words: Float64Array = new Float64Array(0);

  /** `bytes` is the payload of each message, a multiple of 4096. */
  constructor(bytes: number) {
    super();
    this.#cargo = new Cargo(bytes);
  }

  override write(message: Message): void {
    message.set(this.#cargo.bytes);
    this.#cargo.number(this.#wordsOf(message), message.offset / WORD, message.size / WORD, this.count);
    this.add(this.count);
  }

  override read(message: Payload): void {
    const [start, count] = [message.offset / WORD, message.size / WORD];
    this.#cargo.verify(this.#wordsOf(message), start, count, this.count);
    this.add(this.count);
  }

  /** The same array as long as messages come from the same ring. */
  #wordsOf({ view }: Pick<Payload, 'view'>): Float64Array {
    if (view !== this.#view) {
      this.#view = view;
      this.#words = new Float64Array(view.buffer, view.byteOffset, view.byteLength / WORD);
    }
    return this.#words;
  }
}

/** What both sides keep of messages of this size. */
export function tallyOf(bytes: number): Seen {
  return bytes < BULK_BYTES ? new Tally(bytes) : new BulkTally(bytes);
}
