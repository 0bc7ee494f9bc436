import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import { type Codec, type MessageSink, notDecoded, notEncoded } from './codec.js';

/**
 * JSON, for peers that read nothing else: what JSON has not is lost as `JSON.stringify` loses it (a Date is a string
 * after it, a property that is undefined is gone), and what it refuses is an ERR_CODEC.
 */
export function json<T = unknown>(): Codec<T> {
  return { name: 'json', version: 1, encode, decode: decode<T> };
}

function encode(sink: MessageSink, value: unknown): Message | null {
  const text = stringify(value);
  const message = sink.alloc(Buffer.byteLength(text));
  message?.setText(text);
  return message;
}

function stringify(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw notEncoded('json', error);
  }
  if (text === undefined) throw new TcpshmError('ERR_CODEC', `json cannot carry this value: ${typeof value}`);
  return text;
}

function decode<T>(message: Message): T {
  try {
    return JSON.parse(message.text()) as T;
  } catch (error) {
    throw notDecoded('json', message, error);
  }
}
