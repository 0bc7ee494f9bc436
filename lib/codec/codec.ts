import type { Message } from '../ring/message.js';

/** What a codec writes into: a connection, or a writer of one. */
export interface MessageSink {
  readonly maxMessageBytes: number;
  /** Room for a message, or null when the queue is full. */
  alloc(sizeBytes: number): Message | null;
  /** Makes the allocated message shorter. */
  truncate(sizeBytes: number): void;
}

/** How values become messages, and messages values. */
export interface Codec<T> {
  /** Told the peer in the login, which refuses one that does not read it. */
  readonly name: string;
  /** Of what it writes: raised when peers with the former one could not read that. */
  readonly version: number;
  /**
   * Writes a value as a message, allocated and not pushed; null when the queue is full. When it throws, nothing is
   * allocated. Throws ERR_CODEC for a value that it cannot carry, a RangeError for one that no message has room for.
   */
  encode(sink: MessageSink, value: T): Message | null;
  /** The value of a message, valid after its pop unless the codec says otherwise. Throws ERR_CODEC. */
  decode(message: Message): T;
}
