import { PAGE_BYTES } from '../../lib/session/segment.js';

/**
 * What a file system does with a file that is mapped and written to: its pages reach the disk at any time, in any
 * order, and for sure only with a sync. `random` gives numbers from 0 to 1.
 */
export class Storage {
  readonly #file: Uint8Array;
  readonly #random: () => number;
  readonly #disk: Uint8Array;
  /** Pages that a sync under way has not written yet. */
  #pending: number[] = [];

  /** `file` is what processes see: it goes on changing. What it holds by now is on the disk. */
  constructor(file: Uint8Array, random: () => number) {
    this.#file = file;
    this.#random = random;
    this.#disk = file.slice();
  }

  /** Some pages are written, as it happens now and then. */
  writeBack(): void {
    for (let page = 0; page < this.#pages; page++) if (this.#random() < 0.3) this.#write(page);
  }

  /** A sync begins: every page will be written, at some moment until it ends. */
  beginSync(): void {
    this.#pending = Array.from({ length: this.#pages }, (_, page) => page);
    this.#writePending(0.5);
  }

  endSync(): void {
    this.#writePending(1);
  }

  /** The power goes: what is on the disk, with some of the pages that had been written to since. */
  image(): Uint8Array {
    this.#writePending(0.5);
    this.writeBack();
    return this.#disk.slice();
  }

  get #pages(): number {
    return Math.ceil(this.#file.length / PAGE_BYTES);
  }

  #writePending(share: number): void {
    this.#pending = this.#pending.filter((page) => {
      if (this.#random() >= share) return true;
      this.#write(page);
      return false;
    });
  }

  #write(page: number): void {
    const start = page * PAGE_BYTES;
    this.#disk.set(this.#file.subarray(start, start + PAGE_BYTES), start);
  }
}
