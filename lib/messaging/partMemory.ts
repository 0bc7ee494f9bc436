/** Parts of fewer bytes cost as much to look after as to allocate. */
const LEAST_BYTES = 4096;

/**
 * Memory for the bytes of parts that is used again, once the program has asked for the next part. Allocating 16 KiB for each
 * fragment, and having it collected by V8's own threads, takes as long as all else that a stream takes.
 *
 * Holds as much as there was of parts at once, which credit bounds. What a program has transferred to another thread is of no
 * bytes any more, and left to it.
 */
export class PartMemory {
  readonly #spare: Buffer[] = [];
  /** What the program has, or is to get. */
  readonly #given = new Set<unknown>();

  /** For a part of this length. */
  take(length: number): Buffer {
    if (length < LEAST_BYTES) return Buffer.allocUnsafeSlow(length);
    const spare = this.#spare.pop();
    const part = (spare && resized(spare, length)) ?? Buffer.allocUnsafeSlow(length);
    this.#given.add(part);
    return part;
  }

  /** The program is done with a part: nothing happens where that is not one that `take` gave. */
  giveBack(part: unknown): void {
    if (this.#given.delete(part)) this.#spare.push(part as Buffer);
  }
}

/** A spare part with another length, if its memory is for that. */
function resized(spare: Buffer, length: number): Buffer | null {
  if (spare.length === length) return spare;
  const { buffer } = spare;
  // One that is much larger would have few bytes of credit hold much memory.
  const fits = buffer.byteLength >= length && buffer.byteLength <= 2 * length;
  return fits ? Buffer.from(buffer, 0, length) : null;
}
