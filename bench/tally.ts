/**
 * Messages that go one way, and what the other side says once it has popped the last of them: how many it has popped
 * since it began, and a checksum over what they carried.
 *
 * The answer is pushed behind the pops, so with durability on disk it leaves once they are safe, in a frame that
 * acknowledges them or behind one: when it has arrived, all were popped and acknowledged.
 */
import type { Connection, Message } from '../lib/index.js';
import { stamp, verify } from './mix.js';

/** Payload of a message, where nothing else is said. */
export const PAYLOAD_BYTES = 64;

const COUNT = 0;
const CHECKSUM = 4;
const FIGURE = 8;
export const ANSWER_BYTES = 16;
const WORD = 4;

/** Where a message is. */
export interface Payload {
  readonly view: DataView;
  readonly offset: number;
  readonly size: number;
}

/**
 * What one side has seen of the messages so far. Both must come to the same. Members are private for TypeScript only, as every
 * message goes through them (lib/ring/README.md).
 */
export abstract class Seen {
  private _count = 0;
  private _checksum = 0;

  get count(): number {
    return this._count;
  }

  /** Writes the next message and counts it. */
  abstract write(message: Message): void;

  /** Verifies that this is the next message, and counts it. */
  abstract read(message: Payload): void;

  /** Tells the other side, and a figure of this process: what it has written to the disk so far, say. */
  answer(connection: Connection, figure: number): void {
    const message = connection.alloc(ANSWER_BYTES);
    if (message === null) throw new Error('no room for an answer, though it travels alone');
    this.tell(message.view, message.offset, figure);
    connection.push();
  }

  /** Writes the same into `ANSWER_BYTES`. */
  tell(view: DataView, offset: number, figure: number): void {
    view.setInt32(offset + COUNT, this._count, true);
    view.setInt32(offset + CHECKSUM, this._checksum, true);
    view.setFloat64(offset + FIGURE, figure, true);
  }

  /** Verifies the other side's answer against this tally, and gives its figure. */
  check({ view, offset }: Pick<Payload, 'view' | 'offset'>): number {
    const count = view.getInt32(offset + COUNT, true);
    const checksum = view.getInt32(offset + CHECKSUM, true);
    this._compare(count, checksum);
    return view.getFloat64(offset + FIGURE, true);
  }

  /** Throws unless another tally has seen the same. */
  compare(other: Seen): void {
    this._compare(other._count, other._checksum);
  }

  private _compare(count: number, checksum: number): void {
    if (count === this._count && checksum === this._checksum) return;
    throw new Error(
      `expected ${this._count} messages with checksum ${this._checksum}, the other side has ${count} with ${checksum}`,
    );
  }

  /** Counts a message, by a word that follows from what it carries. */
  protected add(word: number): void {
    this._checksum = (Math.imul(this._checksum, 31) + word) | 0;
    this._count = (this._count + 1) | 0;
  }
}

/** Of small messages, stamped and verified as those of `mix.ts` are. */
export class Tally extends Seen {
  private readonly _bytes: number;

  /** `bytes` is the payload of each message. */
  constructor(bytes = PAYLOAD_BYTES) {
    super();
    this._bytes = bytes;
  }

  override write({ view, offset }: Pick<Payload, 'view' | 'offset'>): void {
    stamp(view, offset, this._bytes, this.count);
    this.add(view.getInt32(offset + this._bytes - WORD, true));
  }

  override read({ view, offset, size }: Payload): void {
    verify(view, offset, size, this.count, this._bytes);
    this.add(view.getInt32(offset + this._bytes - WORD, true));
  }
}
