/**
 * The messages that every round trip moves, whatever carries them: four sizes in turn, numbered, and filled with
 * words that follow from the number, so that a message that is lost, repeated, torn or stale is noticed.
 *
 *   bytes   0        4                            size - 4
 *           | number | word | … one per 64 bytes … | word |
 *
 * Writing and comparing every word would be measured as well, and would weigh more than the transport. So most
 * messages are stamped once per cache line and at the end, and every 64th group of four sizes is written and
 * compared whole.
 */

/** What a message takes in a ring: a header of 8 bytes and its payload. */
export const MESSAGE_BYTES = [16, 36, 68, 200] as const;
export const HEADER_BYTES = 8;

const PAYLOAD_BYTES = MESSAGE_BYTES.map((bytes) => bytes - HEADER_BYTES);
const WORD = 4;
const STRIDE = 64;
const WHOLE_EVERY = 256; // messages, a power of two; the first of these, one of each size, are compared whole
const WHOLE = MESSAGE_BYTES.length;

/** Size of the payload of message `sequence`. */
export function payloadBytes(sequence: number): number {
  return PAYLOAD_BYTES[sequence & 3] as number;
}

/** Writes the payload of message `sequence` at `at`. */
export function stamp(view: DataView, at: number, size: number, sequence: number): void {
  view.setInt32(at, sequence, true);
  const stride = strideOf(sequence);
  for (let i = stride; i < size; i += stride) view.setInt32(at + i, word(sequence, i), true);
  view.setInt32(at + size - WORD, word(sequence, size - WORD), true);
}

/** Throws unless the `size` bytes at `at` are the payload of message `sequence`. */
export function verify(
  view: DataView,
  at: number,
  size: number,
  sequence: number,
  expectedSize = payloadBytes(sequence),
): void {
  if (size !== expectedSize) throw mismatch(sequence, 'size', expectedSize, size);
  const number = view.getInt32(at, true);
  if (number !== sequence) throw mismatch(sequence, 'number', sequence, number);
  const stride = strideOf(sequence);
  for (let i = stride; i < size; i += stride) compare(view, at, i, sequence);
  compare(view, at, size - WORD, sequence);
}

function strideOf(sequence: number): number {
  return (sequence & (WHOLE_EVERY - 1)) < WHOLE ? WORD : STRIDE;
}

function compare(view: DataView, at: number, i: number, sequence: number): void {
  const found = view.getInt32(at + i, true);
  if (found !== word(sequence, i)) throw mismatch(sequence, `word at ${i}`, word(sequence, i), found);
}

/** Differs between neighbours in sequence and in place, so that no part of another message passes for it. */
function word(sequence: number, i: number): number {
  return (Math.imul(sequence, 0x9e3779b1) + i) | 0;
}

function mismatch(sequence: number, what: string, expected: number, found: number): Error {
  return new Error(`message ${sequence} came back wrong: ${what} should be ${expected}, is ${found}`);
}
