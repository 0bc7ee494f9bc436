import { TcpshmError } from '../errors.js';
import { advance, distance, shown } from '../memory/wrap.js';
import { alignedLength, CONTINUED, HEADER_BYTES, MAX_TYPE, PADDING_KIND, RECORDS } from './layout.js';
import type { RingMemory } from './memory.js';

/**
 * Bytes that a record takes up, or 0 when its header is not one that a producer writes. A record ends within the
 * ring and is no larger than the largest message; padding ends exactly with the ring and is shorter than the
 * record that did not fit there, so that no two paddings follow each other.
 *
 * The two header words were written by a peer, who may change them at any time: callers read each of them once
 * and pass the values.
 */
export function recordLength(memory: RingMemory, position: number, size: number, kind: number): number {
  const room = memory.capacity - (position & memory.mask);
  const length = alignedLength(size);
  const largest = memory.maxMessageBytes + HEADER_BYTES;
  if (size < HEADER_BYTES || size > largest || length > room) return 0;
  if (kind === PADDING_KIND) return length === room ? length : 0;
  if (kind > 0 && kind >>> 16 === 0) return length;
  return memory.marksBatches && (kind & ~MAX_TYPE) === CONTINUED && (kind & MAX_TYPE) !== 0 ? length : 0;
}

/** What to throw where {@link recordLength} gave 0. */
export function badRecord(memory: RingMemory, position: number, size: number, kind: number): TcpshmError {
  const largest = memory.maxMessageBytes + HEADER_BYTES;
  return new TcpshmError(
    'ERR_PROTOCOL',
    `the record at position ${shown(position)} is not valid: expected a size from ${HEADER_BYTES} to ${largest}` +
      ` within the ${memory.capacity - (position & memory.mask)} bytes left in the ring, a type from 1 to 65535` +
      ` and no flags, or padding to the end of the ring; got size ${size >>> 0}, type ${kind & 0xffff},` +
      ` flags ${kind >>> 16}`,
  );
}

/**
 * How many messages lie between two positions, for the thread that has the consumer's end. Throws ERR_PROTOCOL on
 * what cannot be a record, and when none ends at `to`.
 */
export function countMessages(memory: RingMemory, from: number, to: number): number {
  let position = from;
  let messages = 0;
  while (distance(position, to) > 0) {
    const start = (RECORDS + (position & memory.mask)) >> 2;
    const size = memory.words[start] as number;
    const kind = memory.words[start + 1] as number;
    const length = recordLength(memory, position, size, kind);
    if (length === 0) throw badRecord(memory, position, size, kind);
    position = advance(position, length);
    if (kind !== PADDING_KIND) messages++;
  }
  if (position !== to) {
    throw new TcpshmError(
      'ERR_PROTOCOL',
      `position ${shown(to)} must end with a record: it is within one that ends at ${shown(position)}`,
    );
  }
  return messages;
}
