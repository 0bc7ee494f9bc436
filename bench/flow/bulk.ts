/**
 * Large messages: every byte is written once, by a copy into the record, and compared once, in place, both by the code of
 * the C library: a loop of JavaScript would be measured rather than what carries them.
 *
 *   words (f64)   0        1 …         512      513 …
 *                 | number | cargo …   | number | cargo …      one number for each 4096 bytes
 *
 * The cargo differs from word to word, so a part that is missing, cleared or of another message is noticed.
 */
import type { Message } from '../../lib/index.js';
import { type Payload, Seen, Tally } from '../tally.js';

/** From this size on. */
const BULK_BYTES = 4096;
const WORD = 8;
const WORDS_PER_NUMBER = 512;
const LARGEST = 0xffff;

/** What every message of a size is, each side in memory of its own. */
export class Cargo {
  readonly #bytes: Buffer;
  readonly #words: Float64Array;

  constructor(bytes: number) {
    const words = new Float64Array(bytes / WORD);
    for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e3779b1) & LARGEST;
    this.#words = words;
    this.#bytes = Buffer.from(words.buffer);
  }

  /** Message `number`, until the next call of any method. */
  message(number: number): Buffer {
    for (let i = 0; i < this.#words.length; i += WORDS_PER_NUMBER) this.#words[i] = number;
    return this.#bytes;
  }

  /** Reads every byte from `start` to `end`, and throws unless it is message `number`. */
  verify(bytes: Buffer, start: number, end: number, number: number): void {
    const expected = this.message(number);
    if (end - start === expected.length && bytes.compare(expected, 0, expected.length, start, end) === 0)
      return;
    throw new Error(
      `message ${number} came wrong: expected ${expected.length} bytes of that number, got ${end - start} that begin` +
        ` with ${bytes.toString('hex', start, Math.min(start + WORD, end))}`,
    );
  }
}

/** Of large messages. */
export class BulkTally extends Seen {
  readonly #cargo: Cargo;
  #view: DataView | null = null;
  #ring: Buffer = Buffer.alloc(0);

  /** `bytes` is the payload of each message, a multiple of 4096. */
  constructor(bytes: number) {
    super();
    this.#cargo = new Cargo(bytes);
  }

  override write(message: Message): void {
    message.set(this.#cargo.message(this.count));
    this.add(this.count);
  }

  override read({ view, offset, size }: Payload): void {
    this.#cargo.verify(this.#bytesOf(view), offset, offset + size, this.count);
    this.add(this.count);
  }

  /** The same bytes as long as messages come from the same ring. */
  #bytesOf(view: DataView): Buffer {
    if (view !== this.#view) {
      this.#view = view;
      this.#ring = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
    }
    return this.#ring;
  }
}

/** What both sides keep of messages of this size. */
export function tallyOf(bytes: number): Seen {
  return bytes < BULK_BYTES ? new Tally(bytes) : new BulkTally(bytes);
}
