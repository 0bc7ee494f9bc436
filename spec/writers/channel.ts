import {
  type Connection,
  ConnectionWriter,
  type Message,
  RingChannel,
  type WriterOptions,
} from '../../lib/index.js';

export const CAPACITY = 4096;
/** The largest message of such a queue. */
export const LARGEST = CAPACITY / 4;

/** A connection with writers, and its peer, all in this thread. */
export class Channel {
  readonly local: Connection;
  readonly far: Connection;
  readonly #writers: ConnectionWriter[] = [];

  constructor(capacityBytes = CAPACITY) {
    const channel = new RingChannel({ capacityBytes });
    this.local = channel.local;
    this.far = RingChannel.open(channel.remote);
  }

  writer(options: WriterOptions = {}): ConnectionWriter {
    const writer = ConnectionWriter.open(this.local.writer(options));
    this.#writers.push(writer);
    return writer;
  }

  /** Lets the connection do its part. */
  poll(): void {
    this.local.poll({});
  }

  /** What the peer has by now, as text, and no more of it than `most`. */
  receive(most = Number.POSITIVE_INFINITY): string[] {
    const texts: string[] = [];
    while (texts.length < most) {
      const message = this.far.front();
      if (message === null) break;
      texts.push(message.text());
      this.far.pop();
    }
    return texts;
  }

  close(): void {
    for (const writer of this.#writers) writer.close();
    this.local.close();
    this.far.close();
  }
}

export function claim(end: Connection | ConnectionWriter, text: string): Message {
  const message = end.alloc(Buffer.byteLength(text)) as Message;
  message.setText(text);
  return message;
}

/** Adds messages to a batch. */
export function gather(end: Connection | ConnectionWriter, texts: readonly string[]): void {
  for (const text of texts) {
    claim(end, text);
    end.pushMore();
  }
}
