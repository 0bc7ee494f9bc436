import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import type { Codec, MessageSink } from './codec.js';

/** Text as UTF-8. A lone surrogate, which UTF-8 has not, arrives as U+FFFD. */
export const textCodec: Codec<string> = {
  name: 'text',
  version: 1,
  encode(sink: MessageSink, value: string): Message | null {
    if (typeof value !== 'string') {
      throw new TcpshmError('ERR_CODEC', `text carries a string, got ${typeof value}`);
    }
    const message = sink.alloc(Buffer.byteLength(value));
    message?.setText(value);
    return message;
  },
  decode(message: Message): string {
    return message.text();
  },
};
