/** Cuts a stream of bytes into messages whose sizes both sides know: these, in turn. */
export class Frames {
  readonly #sizes: readonly number[];
  readonly #onMessage: (message: Uint8Array) => void;
  readonly #kept: Uint8Array;
  #keptBytes = 0;
  #index = 0;

  constructor(sizes: readonly number[], onMessage: (message: Uint8Array) => void) {
    this.#sizes = sizes;
    this.#onMessage = onMessage;
    this.#kept = new Uint8Array(Math.max(...sizes));
  }

  /** Takes what has come. A message is valid until its handler returns. */
  take(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const size = this.#sizes[this.#index % this.#sizes.length] as number;
      const part = bytes.subarray(at, at + size - this.#keptBytes);
      at += part.length;
      if (part.length < size) {
        this.#kept.set(part, this.#keptBytes);
        this.#keptBytes += part.length;
        if (this.#keptBytes < size) return;
      }
      this.#keptBytes = 0;
      this.#index++;
      this.#onMessage(part.length === size ? part : this.#kept.subarray(0, size));
    }
  }
}
