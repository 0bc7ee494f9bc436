import type { Codec } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { Part, partOf, tagOf } from './parts.js';
import type { Scratch } from './scratch.js';

/** Receives what an {@link Outbox} sends. */
export class Inbox {
  readonly #connection: Connection;
  readonly #codec: Codec<unknown>;
  readonly #scratch: Scratch;
  /** Of a value that has arrived in part. */
  #parts: Uint8Array[];
  /** Of the value that `next` found. */
  tag = 0;
  value: unknown = undefined;
  /** What is wrong with it, where it could not be read. */
  error: TcpshmError | null = null;

  constructor(
    connection: Connection,
    codec: Codec<unknown>,
    scratch: Scratch,
    parts: readonly Uint8Array[] = [],
  ) {
    this.#connection = connection;
    this.#codec = codec;
    this.#scratch = scratch;
    this.#parts = [...parts];
  }

  /** What has arrived of a value that is not complete yet. */
  get parts(): readonly Uint8Array[] {
    return this.#parts;
  }

  /**
   * Takes the next value out of the ring, if there is one. A value that cannot be read counts, with its `error`. Throws
   * ERR_PROTOCOL.
   */
  next(): boolean {
    for (;;) {
      const message = this.#connection.front();
      if (message === null) return false;
      const { type } = message;
      const part = partOf(type);
      const whole = part === Part.whole;
      const expected = this.#parts.length === 0 ? whole || part === Part.more : !whole && part !== 0;
      if (!expected) {
        throw new TcpshmError('ERR_PROTOCOL', `a message of type ${type} is no part that can come here`);
      }
      if (!whole) this.#parts.push(Uint8Array.prototype.slice.call(message.bytes()));
      if (part === Part.more) {
        this.#connection.pop();
        continue;
      }
      this.tag = tagOf(type);
      this.error = null;
      try {
        this.value = whole ? this.#codec.decode(message) : this.#scratch.decode(this.#codec, this.#parts);
      } catch (error) {
        this.value = undefined;
        this.error = asCodecError(error);
      }
      this.#parts.length = 0;
      this.#connection.pop();
      return true;
    }
  }
}

/** What decoding a value threw. */
export function asCodecError(error: unknown): TcpshmError {
  if (error instanceof TcpshmError) return error;
  return new TcpshmError('ERR_CODEC', (error as Error).message, error);
}
