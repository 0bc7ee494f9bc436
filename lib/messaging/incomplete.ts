/** Bytes that are kept of values which are not whole yet, of all flows of a connection: what bounds its memory. */
export class Incomplete {
  /** Most of them. */
  readonly limit: number;
  #bytes = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** So many more are to be kept. False when that would be too many: then they are not. */
  keep(bytes: number): boolean {
    if (this.#bytes + bytes > this.limit) return false;
    this.#bytes += bytes;
    return true;
  }

  /** So many are kept no more. */
  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}
