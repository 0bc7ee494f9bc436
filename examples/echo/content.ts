/** What the numbered messages contain, and how it is checked. */
import type { Message } from 'tcpshm';

/** Bytes before every payload: size, type, flags. */
const HEADER_BYTES = 8;
/** The number itself: the least that a payload holds. */
const NUMBER_BYTES = 8;

/** Sizes of messages in turn, in bytes, header included. */
const SIZES = [16, 36, 68, 200] as const;
export const MIN_SIZE = HEADER_BYTES + NUMBER_BYTES;
/** The largest message of a queue with the default capacity: a quarter of 2^20 bytes, and its header. */
export const MAX_SIZE = HEADER_BYTES + 2 ** 18;

/** Bytes of payload of message `number`, where all have the same `size`, or 0 for the four sizes in turn. */
export function payloadBytes(number: number, size: number): number {
  return (size || (SIZES[number % SIZES.length] as number)) - HEADER_BYTES;
}

/** Fills a message: its number, then words that follow from the number and their place. */
export function fill(message: Message, number: number): void {
  const { size } = message;
  message.setFloat64(0, number);
  let at = NUMBER_BYTES;
  for (; at + 4 <= size; at += 4) message.setInt32(at, word(number, at));
  for (; at < size; at++) message.setUint8(at, word(number, at) & 0xff);
}

/** The number of a message whose content is what {@link fill} made; throws if it is anything else. */
export function verifiedNumber(message: Message): number {
  const { size } = message;
  const number = message.getFloat64(0);
  let at = NUMBER_BYTES;
  for (; at + 4 <= size; at += 4) {
    if (message.getInt32(at) !== word(number, at)) throw wrongContent(number, at);
  }
  for (; at < size; at++) {
    if (message.getUint8(at) !== (word(number, at) & 0xff)) throw wrongContent(number, at);
  }
  return number;
}

function word(number: number, at: number): number {
  return (Math.imul(number, 0x9e3779b1) + at) | 0;
}

function wrongContent(number: number, at: number): Error {
  return new Error(`message ${number} came back with other content at byte ${at}`);
}
