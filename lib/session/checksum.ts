/**
 * The checksum of frames: the round and avalanche of xxHash32 (Yann Collet, XXH32 specification) on two lanes
 * rather than four, because ring bytes come in eights and a frame may be cut at any of them. About 1 ns for each
 * 4 bytes in JavaScript, where a table-driven CRC-32 takes 1 ns for each byte. It guards against broken software
 * and hardware, not against forgery.
 */
const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;

/** What a checksum has taken so far, as plain data. */
export interface ChecksumState {
  readonly a: number;
  readonly b: number;
  readonly count: number;
}

export class Checksum {
  #a = 0;
  #b = 0;
  #count = 0;

  reset(): this {
    this.#a = (PRIME_1 + PRIME_2) | 0;
    this.#b = PRIME_2 | 0;
    this.#count = 0;
    return this;
  }

  /** Takes the words from index `from` up to `to`; an even number of them. */
  update(words: Int32Array, from: number, to: number): this {
    let a = this.#a;
    let b = this.#b;
    for (let i = from; i < to; i += 2) {
      a = (a + Math.imul(words[i] as number, PRIME_2)) | 0;
      a = Math.imul((a << 13) | (a >>> 19), PRIME_1);
      b = (b + Math.imul(words[i + 1] as number, PRIME_2)) | 0;
      b = Math.imul((b << 13) | (b >>> 19), PRIME_1);
    }
    this.#a = a;
    this.#b = b;
    this.#count += to - from;
    return this;
  }

  /** What it has taken so far, for another one to go on with. */
  get state(): ChecksumState {
    return { a: this.#a, b: this.#b, count: this.#count };
  }

  /** Goes on where another one was. */
  resume({ a, b, count }: ChecksumState): void {
    this.#a = a;
    this.#b = b;
    this.#count = count;
  }

  /** The checksum of all words so far, as a signed 32-bit integer. */
  digest(): number {
    let hash = ((this.#a << 1) | (this.#a >>> 31)) + ((this.#b << 7) | (this.#b >>> 25)) + this.#count;
    hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
    hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
    return hash ^ (hash >>> 16);
  }
}
