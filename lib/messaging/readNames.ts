import type { Message } from '../ring/message.js';

/** Names that are kept: one for each slot, the last one that was read. */
const SLOTS = 256;

interface Known {
  readonly length: number;
  /** Its bytes and what fills them up to whole words. */
  readonly words: Int32Array;
  readonly text: string;
}

/**
 * Names of methods as they come, with what was read before: to make a text of bytes costs more than all else that is
 * read of a header. What the peer makes of the memory meanwhile is its own affair: a text is made of words that were
 * copied, and is found by these.
 */
export class ReadNames {
  readonly #known: (Known | null)[] = new Array(SLOTS).fill(null);

  /** The name of so many bytes, at least one, from `at` of a message on, which has all of its words. */
  read({ view, offset }: Message, at: number, length: number): string {
    const start = offset + at;
    const count = (length + 3) >> 2;
    const last = view.getInt32(start + 4 * (count - 1), true);
    let hash = Math.imul(view.getInt32(start, true), 0x9e3779b1) ^ Math.imul(last, 0x85ebca6b);
    hash = (hash ^ (hash >>> 16)) & (SLOTS - 1);
    const known = this.#known[hash] as Known | null;
    if (known !== null && known.length === length) {
      const { words } = known;
      let i = 0;
      while (i < count && view.getInt32(start + 4 * i, true) === words[i]) i++;
      if (i === count) return known.text;
    }
    const bytes = Buffer.allocUnsafe(4 * count);
    const words = Int32Array.from({ length: count }, (_, i) => {
      const word = view.getInt32(start + 4 * i, true);
      bytes.writeInt32LE(word, 4 * i);
      return word;
    });
    const text = bytes.toString('utf8', 0, length);
    this.#known[hash] = { length, words, text };
    return text;
  }
}
