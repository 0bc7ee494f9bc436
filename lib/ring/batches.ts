import { TcpshmError } from '../errors.js';
import { advance, distance, shown } from '../memory/wrap.js';
import { RingConsumer } from './consumer.js';
import { CONTINUED, HEADER_BYTES, MAX_TYPE, PADDING_KIND, RECORDS } from './layout.js';
import type { RingMemory } from './memory.js';
import { Message } from './message.js';
import { badRecord, recordLength } from './record.js';

/**
 * The reading end of a ring that marks its batches, for who takes them over as they were published: `front` finds the
 * oldest batch, `next` gives its messages one after another and pops none, `pop` pops them all. What was pushed alone is
 * a batch of one.
 *
 * A batch is published by its first record, so whoever sees that one sees the others; and the first message behind them
 * that does not say that it continues them, or a header that reads zero, is their end.
 */
export class BatchConsumer {
  readonly #memory: RingMemory;
  readonly #words: Int32Array;
  readonly #consumer: RingConsumer;
  readonly #message: Message;
  /** Behind the batch that `front` has found. */
  #end = 0;
  /** Of the next message of it, padding before it included. */
  #position = 0;
  #messages = 0;
  #lengthBytes = 0;
  #largestBytes = 0;

  constructor(memory: RingMemory) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#consumer = new RingConsumer(memory);
    this.#message = new Message(memory);
  }

  /** Messages of the batch; 0 when `front` has found none. */
  get messages(): number {
    return this.#messages;
  }

  /** Bytes of all its records, headers included and padding left out. */
  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** Bytes of its largest record. */
  get largestBytes(): number {
    return this.#largestBytes;
  }

  /**
   * Whether there is a batch: the same one again until `pop`, from its first message on. Throws ERR_PROTOCOL when the
   * producer wrote what cannot be a record.
   */
  front(): boolean {
    const start = this.#consumer.position;
    this.#position = start;
    if (this.#messages !== 0) return true;
    const memory = this.#memory;
    let position = start;
    let messages = 0;
    let lengthBytes = 0;
    let largestBytes = 0;
    for (;;) {
      const header = (RECORDS + (position & memory.mask)) >> 2;
      // OBSERVE the publication by RingProducer: of this batch by its first record, or of what follows it.
      const size = Atomics.load(this.#words, header);
      if (size === 0) break;
      const kind = this.#words[header + 1] as number;
      const length = recordLength(memory, position, size, kind);
      if (length === 0) throw badRecord(memory, position, size, kind);
      position = advance(position, length);
      if (distance(start, position) > memory.capacity) throw this.#endless();
      // Padding belongs to the message behind it.
      if (kind === PADDING_KIND) continue;
      if (messages !== 0 && (kind & CONTINUED) === 0) break;
      messages++;
      lengthBytes += length;
      if (length > largestBytes) largestBytes = length;
      this.#end = position;
    }
    this.#messages = messages;
    this.#lengthBytes = lengthBytes;
    this.#largestBytes = largestBytes;
    return messages !== 0;
  }

  /**
   * The next message of the batch that `front` has found, valid until the call after it; null behind the last one. Throws
   * as `front` does.
   */
  next(): Message | null {
    const memory = this.#memory;
    while (distance(this.#position, this.#end) > 0) {
      const position = this.#position;
      const start = RECORDS + (position & memory.mask);
      const size = this.#words[start >> 2] as number;
      const kind = this.#words[(start >> 2) + 1] as number;
      const length = recordLength(memory, position, size, kind);
      if (length === 0) throw badRecord(memory, position, size, kind);
      this.#position = advance(position, length);
      // Headers are read again here: by now the producer may have made something else of them.
      if (distance(this.#position, this.#end) < 0) throw badRecord(memory, position, size, kind);
      if (kind !== PADDING_KIND)
        return this.#message.wrap(start + HEADER_BYTES, size - HEADER_BYTES, kind & MAX_TYPE);
    }
    return null;
  }

  /** Done with the batch that `front` has found: it will not come again. */
  pop(): void {
    this.#consumer.popRead(this.#end, this.#messages);
    this.#messages = 0;
    this.#message.expire();
  }

  /** Hands what was popped back to the producer: to be called now and then, at the latest when the ring is empty. */
  reclaim(): void {
    this.#consumer.reclaim();
  }

  #endless(): TcpshmError {
    return new TcpshmError(
      'ERR_PROTOCOL',
      `the batch at position ${shown(this.#consumer.position)} has no end within the ${this.#memory.capacity} bytes of the ring`,
    );
  }
}
