import { Random } from '../../support/random.js';

/**
 * Random choices that are the bytes of a fuzzer, one after the other, so that what it changes in them changes what a
 * surface does there: small choices take one byte. Behind the last one all are the first, or that something rare is not.
 */
export class BytesRandom extends Random {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    super(0);
    this.#bytes = bytes;
  }

  /** 32 bits, unsigned: four bytes, with zeroes for those that are not there. */
  override next(): number {
    // The constructor of the base class asks before there are any.
    return #bytes in this ? this.#take(4) : 0;
  }

  override below(n: number): number {
    return this.#take(n <= 256 ? 1 : n <= 65_536 ? 2 : 4) % n;
  }

  override once(n: number): boolean {
    return this.below(n) === n - 1;
  }

  #take(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value = (value | ((this.#bytes[this.#at++] ?? 0) << (8 * i))) >>> 0;
    return value;
  }
}
