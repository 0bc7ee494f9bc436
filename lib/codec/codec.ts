import { createHash } from 'node:crypto';
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';

/** What a codec writes into: a connection, a writer of one, a port. */
export interface MessageSink {
  /** Room for a message, or null when the queue is full. */
  alloc(sizeBytes: number): Message | null;
}

/** How values become messages, and messages values: of the same type, unless it says otherwise. */
export interface Codec<T, Decoded = T> {
  /** Told the peer in the login, which refuses one that does not read it. */
  readonly name: string;
  /** Of what it writes: raised when peers with the former one could not read that. */
  readonly version: number;
  /**
   * Writes a value as a message, allocated and not pushed; null when the queue is full. When it throws, nothing is
   * allocated. Throws ERR_CODEC for a value that it cannot carry, a RangeError for one that no message has room for.
   */
  encode(sink: MessageSink, value: T): Message | null;
  /** Whether what it decodes is a view of the message, and of no use after its pop. */
  readonly isView?: boolean;
  /** The value of a message, valid after its pop unless it is a view. Throws ERR_CODEC. */
  decode(message: Message): Decoded;
}

/** The name of a codec for what both sides have to declare alike: told apart by the text of that. */
export function nameOf(kind: string, declared: string): string {
  return `${kind}-${createHash('sha256').update(declared).digest('hex').slice(0, 12)}`;
}

/** What encoding a value threw. */
export function notEncoded(codec: string, error: unknown): TcpshmError {
  if (error instanceof TcpshmError) return error;
  return new TcpshmError('ERR_CODEC', `${codec} cannot carry this value: ${reason(error)}`, error);
}

/** What decoding a message threw. */
export function notDecoded(codec: string, message: Message, error: unknown): TcpshmError {
  return new TcpshmError(
    'ERR_CODEC',
    `this message of ${message.size} bytes is not what ${codec} writes: ${reason(error)}`,
    error,
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
