/** What is asked and answered, so that a wrong, lost or repeated answer is noticed. */

/** As small programs have it: a number and a text. */
export interface Question {
  readonly n: number;
  readonly text: string;
}

export interface Answer {
  readonly n: number;
  readonly length: number;
}

const TEXTS = ['a', 'some words', 'a line of text as they are, with a number', 'ends'];
const BYTES = 100;

export function questionOf(n: number): Question {
  return { n, text: TEXTS[n & 3] as string };
}

export function answerTo({ n, text }: Question): Answer {
  return { n: n + 1, length: text.length };
}

/** Throws what is wrong with the answer to the question `n`. */
export function checkAnswer(n: number, answer: unknown): void {
  const expected = answerTo(questionOf(n));
  const { n: its, length } = answer as Answer;
  if (its !== expected.n || length !== expected.length) {
    throw new Error(`question ${n} was answered with ${JSON.stringify(answer)}`);
  }
}

/** A hundred bytes, which are sent back as they are. */
export function bytesOf(n: number): Uint8Array {
  const bytes = new Uint8Array(BYTES).fill(n & 0xff);
  new DataView(bytes.buffer).setUint32(0, n, true);
  return bytes;
}

/** Throws unless the bytes are those of `n`. */
export function checkBytes(n: number, bytes: unknown): void {
  if (!(bytes instanceof Uint8Array) || Buffer.compare(bytes, bytesOf(n)) !== 0) {
    throw new Error(`the bytes ${n} came back as others`);
  }
}

/** What a stream is given in. */
export const PART_BYTES = 2 ** 18;

const MARKED_WORDS = 64;
const words = new Float64Array(PART_BYTES >> 3);

/**
 * A part of a stream that begins at this byte of it: every 512 bytes have their place in it. To be sent before the next one
 * is made, which is in the same memory.
 */
export function partOf(at: number, bytes: number): Uint8Array {
  for (let i = 0; i < words.length; i += MARKED_WORDS) words[i] = at + 8 * i;
  return new Uint8Array(words.buffer, 0, bytes);
}

/** How many bytes of a stream have come: throws where one is not at its place. */
export class StreamCheck {
  taken = 0;

  take(part: Uint8Array): void {
    const view = new DataView(part.buffer, part.byteOffset, part.length);
    const step = 8 * MARKED_WORDS;
    for (let at = (step - (this.taken % step)) % step; at + 8 <= part.length; at += step) {
      if (view.getFloat64(at, true) !== this.taken + at) {
        throw new Error(`byte ${this.taken + at} of the stream is another one's`);
      }
    }
    this.taken += part.length;
  }
}
