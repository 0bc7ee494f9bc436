import { FRAME_HEADER_BYTES } from '../../lib/session/frame.js';

/** Where in a stream of frames something happens. */
export type Place = 'between frames' | 'in a header' | 'in a payload';

/** Follows a stream of frames, whatever pieces it comes in. */
export class FrameTracker {
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #payloadBytes = 0;
  /** How much of the payload has passed. */
  #passedBytes = 0;

  get place(): Place {
    if (this.#headerBytes === 0) return 'between frames';
    return this.#headerBytes < FRAME_HEADER_BYTES ? 'in a header' : 'in a payload';
  }

  /** Whether nothing of the current part, a header or a payload, has passed yet. */
  get atStart(): boolean {
    return this.place === 'in a payload' ? this.#passedBytes === 0 : this.#headerBytes === 0;
  }

  /** Bytes to the end of the current part. */
  get leftBytes(): number {
    return this.place === 'in a payload'
      ? this.#payloadBytes - this.#passedBytes
      : FRAME_HEADER_BYTES - this.#headerBytes;
  }

  pass(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(this.leftBytes, bytes.length - at);
      if (this.place === 'in a payload') {
        this.#passedBytes += count;
      } else {
        bytes.copy(this.#header, this.#headerBytes, at, at + count);
        this.#headerBytes += count;
        if (this.#headerBytes === FRAME_HEADER_BYTES) this.#payloadBytes = this.#header.readUInt32LE(4);
      }
      at += count;
      if (this.#headerBytes === FRAME_HEADER_BYTES && this.#passedBytes === this.#payloadBytes) {
        this.#headerBytes = 0;
        this.#payloadBytes = 0;
        this.#passedBytes = 0;
      }
    }
  }
}
