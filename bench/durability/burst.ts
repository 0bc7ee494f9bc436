/**
 * Messages of 64 bytes that go one way in bursts, and what the other side says of a burst once it has popped the last
 * of it: how many it has popped since it began, and a checksum over what they carried. Every message is verified as those of `mix.ts` are.
 *
 * The answer is pushed behind the pops, so with durability on disk it leaves once they are safe, in a frame that
 * acknowledges them or behind one: when it has arrived, the whole burst was popped and acknowledged.
 */
import type { Connection, Message } from '../../lib/index.js';
import { stamp, verify } from '../mix.js';

/** Payload of a message. */
export const PAYLOAD_BYTES = 64;

const COUNT = 0;
const CHECKSUM = 4;
const WRITTEN = 8;
const ANSWER_BYTES = 16;
const LAST_WORD = PAYLOAD_BYTES - 4;

/** What one side has seen of the messages so far. Both must come to the same. */
export class Tally {
  #count = 0;
  #checksum = 0;

  get count(): number {
    return this.#count;
  }

  /** Writes the next message and counts it. */
  write({ view, offset }: Message): void {
    stamp(view, offset, PAYLOAD_BYTES, this.#count);
    this.#add(view, offset);
  }

  /** Verifies that this is the next message, and counts it. */
  read({ view, offset, size }: Message): void {
    verify(view, offset, size, this.#count, PAYLOAD_BYTES);
    this.#add(view, offset);
  }

  /** Tells the other side, and what this process has written to the disk so far. */
  answer(connection: Connection, written: number): void {
    const message = connection.alloc(ANSWER_BYTES);
    if (message === null) throw new Error('no room for an answer, though it travels alone');
    const { view, offset } = message;
    view.setInt32(offset + COUNT, this.#count, true);
    view.setInt32(offset + CHECKSUM, this.#checksum, true);
    view.setFloat64(offset + WRITTEN, written, true);
    connection.push();
  }

  /** Verifies the other side's answer against this tally, and gives what that process has written to the disk. */
  check({ view, offset }: Message): number {
    const count = view.getInt32(offset + COUNT, true);
    const checksum = view.getInt32(offset + CHECKSUM, true);
    if (count !== this.#count || checksum !== this.#checksum) {
      throw new Error(
        `expected ${this.#count} messages with checksum ${this.#checksum}, the other side has ${count} with ${checksum}`,
      );
    }
    return view.getFloat64(offset + WRITTEN, true);
  }

  #add(view: DataView, offset: number): void {
    this.#checksum = (Math.imul(this.#checksum, 31) + view.getInt32(offset + LAST_WORD, true)) | 0;
    this.#count = (this.#count + 1) | 0;
  }
}
