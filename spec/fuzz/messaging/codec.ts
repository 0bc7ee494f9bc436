import type { Codec } from '../../../lib/codec/codec.js';
import { TcpshmError } from '../../../lib/errors.js';
import type { Compression } from '../../../lib/messaging/compression.js';
import type { Message } from '../../../lib/ring/message.js';

/** What {@link latin1} refuses to read. */
export const UNREADABLE = 0xff;

/** Texts of one byte for each character: fast, and each sequence of bytes is one, but for those that begin so. */
export const latin1: Codec<unknown> = {
  name: 'latin1',
  version: 1,
  encode(sink, value) {
    const bytes = Buffer.from(String(value), 'latin1');
    const message = sink.alloc(bytes.length);
    message?.set(bytes);
    return message;
  },
  decode(message: Message) {
    const bytes = message.bytes();
    if (bytes[0] === UNREADABLE) throw new TcpshmError('ERR_CODEC', 'this is no text');
    return Buffer.from(bytes).toString('latin1');
  },
};

/** Three bytes for so many that are all the same. */
export function repeated(count: number, byte: number): Uint8Array {
  return Uint8Array.of(count, count >>> 8, byte);
}

/** What `repeated` makes of many, as a compression whose bombs cost nothing to make. */
export const repeating: Compression = {
  name: 'repeating',
  leastBytes: 16,
  compress: (bytes) => bytes,
  inflate(bytes, mostBytes) {
    if (bytes.length !== 3) throw new RangeError('not what was compressed');
    const count = (bytes[0] as number) | ((bytes[1] as number) << 8);
    if (count > mostBytes) throw new RangeError(`more than ${mostBytes} bytes`);
    return new Uint8Array(count).fill(bytes[2] as number);
  },
};
