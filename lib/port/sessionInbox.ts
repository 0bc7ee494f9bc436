import type { Codec } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { asCodecError } from './inbox.js';
import { Part, partOf, tagOf } from './parts.js';
import { MAX_VALUE_BYTES, type Scratch } from './scratch.js';

/** The number of the first of several parts of a value, and that of all other messages. */
export const FIRST = 1;
const OTHER = 0;

/**
 * Receives what an {@link Outbox} sends into a session, which may outlive both: who sends or receives a value in parts may
 * die in the middle, and another one goes on. So a value stays in the queue until it is `done`, but for its parts, which
 * make room for those that follow; and what is left of a value that nobody can put together any more is passed over, with
 * an `error`.
 */
export class SessionInbox {
  readonly #connection: Connection;
  readonly #codec: Codec<unknown>;
  readonly #scratch: Scratch;
  /** Of a value that has arrived in part. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  /** What comes is of a value whose beginning was somebody else's, who is gone. */
  #passing = false;
  /** Whether the message of the value is in the queue still. */
  #held = false;
  /** Of the value that `next` found. */
  value: unknown = undefined;
  /** What is wrong with it, where it could not be read. */
  error: TcpshmError | null = null;

  constructor(connection: Connection, codec: Codec<unknown>, scratch: Scratch) {
    this.#connection = connection;
    this.#codec = codec;
    this.#scratch = scratch;
  }

  /**
   * Finds the next value, if there is one: the same again until it is `done`. One that cannot be read counts, with its
   * `error`. Throws ERR_PROTOCOL when the peer sends what no port does.
   */
  next(): boolean {
    for (;;) {
      this.#held = false;
      const message = this.#connection.front();
      if (message === null) return false;
      const { type } = message;
      const part = partOf(type);
      const tag = tagOf(type);
      if (part === 0 || tag > FIRST || (tag === FIRST && part !== Part.more)) {
        throw new TcpshmError(
          'ERR_PROTOCOL',
          `a message of type ${type} is not of a RingPort: the peer of '${this.#connection.localName}' must have one too`,
        );
      }
      const begins = part === Part.whole || tag !== OTHER;
      if (begins && (this.#passing || this.#parts.length > 0)) {
        this.#drop();
        return this.#found(undefined, cutOff('sent'));
      }
      if (!begins && this.#parts.length === 0) {
        this.#passing = true;
        this.#connection.pop();
        if (part === Part.more) continue;
        this.#drop();
        return this.#found(undefined, cutOff('received'));
      }
      if (part === Part.more) {
        this.#keep(message.bytes());
        this.#connection.pop();
        continue;
      }
      this.#held = true;
      try {
        const whole = part === Part.whole;
        const value = whole
          ? this.#codec.decode(message)
          : this.#scratch.decode(this.#codec, [...this.#parts, message.bytes()]);
        return this.#found(value, null);
      } catch (error) {
        return this.#found(undefined, asCodecError(error));
      }
    }
  }

  /** Done with the value that `next` found: it does not come again. */
  done(): void {
    this.value = undefined;
    this.error = null;
    if (!this.#held) return;
    this.#held = false;
    this.#drop();
    this.#connection.pop();
  }

  #found(value: unknown, error: TcpshmError | null): true {
    this.value = value;
    this.error = error;
    return true;
  }

  #keep(bytes: Uint8Array): void {
    this.#partBytes += bytes.length;
    if (this.#partBytes > MAX_VALUE_BYTES) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `a value of more than ${MAX_VALUE_BYTES} bytes has come in parts`,
      );
    }
    this.#parts.push(Uint8Array.prototype.slice.call(bytes));
  }

  #drop(): void {
    this.#parts = [];
    this.#partBytes = 0;
    this.#passing = false;
  }
}

function cutOff(what: 'sent' | 'received'): TcpshmError {
  return new TcpshmError('ERR_CODEC', `a value was lost, as who has ${what} a part of it is gone`);
}
