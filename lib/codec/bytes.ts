import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import type { Codec, MessageSink } from './codec.js';

/** Bytes as they are. What it decodes is a copy. */
export const bytesCodec: Codec<Uint8Array> = {
  name: 'bytes',
  version: 1,
  encode(sink: MessageSink, value: Uint8Array): Message | null {
    if (!(value instanceof Uint8Array)) {
      throw new TcpshmError('ERR_CODEC', `bytes carries a Uint8Array, got ${typeof value}`);
    }
    const message = sink.alloc(value.length);
    message?.set(value);
    return message;
  },
  decode(message: Message): Buffer {
    const copy = Buffer.allocUnsafe(message.size);
    message.copyTo(copy);
    return copy;
  },
};
