import { type Codec, type Connection, RingChannel } from '../../lib/index.js';

/** Both ends of a channel, and what goes over it with a codec. */
export class Exchange {
  readonly sender: Connection;
  readonly receiver: Connection;

  constructor(capacityBytes = 2 ** 20) {
    const channel = new RingChannel({ capacityBytes });
    this.sender = channel.local;
    this.receiver = RingChannel.open(channel.remote);
  }

  /** Sends a value and gives what arrives, after what held it was overwritten. */
  carry<T>(codec: Codec<T>, value: T, reader: Codec<T> = codec): T {
    if (codec.encode(this.sender, value) === null) throw new Error('the queue is full');
    this.sender.push();
    const message = this.receiver.front();
    if (message === null) throw new Error('nothing has arrived');
    const decoded = reader.decode(message);
    message.bytes().fill(0xff);
    this.receiver.pop();
    return decoded;
  }

  /** What a codec makes of bytes that it did not write. */
  decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
    this.sender.send(bytes);
    const message = this.receiver.front();
    if (message === null) throw new Error('nothing has arrived');
    try {
      return codec.decode(message);
    } finally {
      this.receiver.pop();
    }
  }

  close(): void {
    this.sender.close();
    this.receiver.close();
  }
}
