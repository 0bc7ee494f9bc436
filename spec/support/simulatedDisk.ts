import type { Random } from './random.js';

const PAGE_BYTES = 4096;

/**
 * What a disk has of a mapped file. Pages that were changed reach it when the system likes, in any order, each as it
 * is at that moment; a sync makes sure of those that were changed before it began. A loss of power leaves what the
 * disk has, and of what is on its way some.
 */
export class SimulatedDisk {
  readonly #memory: Uint8Array;
  readonly #image: Uint8Array;
  readonly #random: Random;
  /** What reaches the disk as a whole or not at all. */
  readonly #sectorBytes: number;

  /**
   * `memory` is the mapped file, of whole pages, which is on the disk as it is now. `sectorBytes` is a divisor of
   * the page: a page that is on its way when power is lost may be torn between sectors.
   */
  constructor(memory: ArrayBufferLike, random: Random, sectorBytes = PAGE_BYTES) {
    if (memory.byteLength % PAGE_BYTES !== 0) throw new RangeError('a mapped file has whole pages');
    this.#memory = new Uint8Array(memory);
    this.#image = this.#memory.slice();
    this.#random = random;
    this.#sectorBytes = sectorBytes;
  }

  /** Pages that are not on the disk as they are, by their index. */
  get dirty(): number[] {
    const pages: number[] = [];
    for (let start = 0; start < this.#memory.length; start += PAGE_BYTES) {
      const end = start + PAGE_BYTES;
      if (Buffer.compare(this.#memory.subarray(start, end), this.#image.subarray(start, end)) !== 0) {
        pages.push(start / PAGE_BYTES);
      }
    }
    return pages;
  }

  /** The system writes some pages, of its own accord. May be called between any two stores. */
  writeBack(): void {
    for (const page of this.dirty) if (this.#random.once(2)) this.#write(page);
  }

  /** Begins a sync, which is of no use before it is `finished`. */
  beginSync(): DiskSync {
    return new DiskSync(this.dirty, this.#random, (page) => this.#write(page));
  }

  /**
   * Power is lost now: what is found afterwards, as memory of its own. Of each page that was not on the disk it has
   * the old or the new content, or both in turns of a sector.
   */
  losePower(): ArrayBuffer {
    const found = this.#image.slice();
    for (const page of this.dirty) {
      const end = (page + 1) * PAGE_BYTES;
      const torn = this.#random.once(3);
      const all = this.#random.once(2);
      for (let at = page * PAGE_BYTES; at < end; at += this.#sectorBytes) {
        const written = torn ? this.#random.once(2) : all;
        // A page that cannot be torn is one sector.
        if (written) found.set(this.#memory.subarray(at, at + this.#sectorBytes), at);
      }
    }
    return found.buffer;
  }

  #write(page: number): void {
    const start = page * PAGE_BYTES;
    this.#image.set(this.#memory.subarray(start, start + PAGE_BYTES), start);
  }
}

/** An fdatasync that is under way: each of its pages is written at some moment from its begin to its end. */
export class DiskSync {
  readonly #pages: number[];
  readonly #random: Random;
  readonly #write: (page: number) => void;

  constructor(pages: number[], random: Random, write: (page: number) => void) {
    this.#pages = pages;
    this.#random = random;
    this.#write = write;
  }

  get finished(): boolean {
    return this.#pages.length === 0;
  }

  /** Some of its pages are written, as they are now. */
  progress(): void {
    for (let i = this.#random.below(this.#pages.length + 1); i > 0; i--) {
      const [page] = this.#pages.splice(this.#random.below(this.#pages.length), 1);
      this.#write(page as number);
    }
  }

  /** The rest is written. All that was stored before it began is safe from here on. */
  finish(): void {
    for (const page of this.#pages.splice(0)) this.#write(page);
  }
}
