import type { Codec, MessageSink } from '../codec/codec.js';
import { MIN_CAPACITY, RECORDS, ringBytes } from '../ring/layout.js';
import { RingMemory } from '../ring/memory.js';
import { Message } from '../ring/message.js';

/** Largest value that is put together or taken apart. */
export const MAX_VALUE_BYTES = 2 ** 30;
/** What is kept for the next one. */
const KEPT_BYTES = 2 ** 16;

/** A message outside of any ring, for values that are larger than a message can be, or have to wait for room. */
export class Scratch implements MessageSink {
  readonly maxMessageBytes = MAX_VALUE_BYTES;
  #message: Message | null = null;
  #capacity = 0;

  alloc(sizeBytes: number): Message {
    if (sizeBytes > MAX_VALUE_BYTES)
      throw new RangeError(`a value of ${sizeBytes} bytes: at most ${MAX_VALUE_BYTES}`);
    if (this.#message === null || this.#capacity < sizeBytes) {
      this.#capacity = Math.max(MIN_CAPACITY, 2 ** Math.ceil(Math.log2(Math.max(1, sizeBytes))));
      const memory = new RingMemory(new ArrayBuffer(ringBytes(this.#capacity)), 0, this.#capacity);
      this.#message = new Message(memory);
    }
    return this.#message.wrap(RECORDS, sizeBytes, 1);
  }

  truncate(sizeBytes: number): void {
    this.#message?.shorten(sizeBytes);
  }

  /** A value as bytes that are the caller's. Throws what the codec throws. */
  encode<T>(codec: Codec<T>, value: T): Uint8Array {
    return this.taken(codec.encode(this, value) as Message);
  }

  /** The bytes of a message that was allocated here, as the caller's. */
  taken(message: Message): Uint8Array {
    const bytes = Uint8Array.prototype.slice.call(message.bytes());
    this.#release();
    return bytes;
  }

  /** The value that parts of a message are, one behind the other. */
  decode<T>(codec: Codec<T>, parts: readonly Uint8Array[]): T {
    const message = this.alloc(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      message.set(part, at);
      at += part.length;
    }
    try {
      return codec.decode(message);
    } finally {
      this.#release();
    }
  }

  #release(): void {
    if (this.#capacity > KEPT_BYTES) {
      this.#message = null;
      this.#capacity = 0;
    }
  }
}
