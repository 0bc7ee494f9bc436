/**
 * The layout of a ring, in host byte order (superblocks carry a byte-order mark). Offsets in bytes from its start:
 *
 *     0           128         256         384
 *     | producer  | consumer  | reclaimed | records …  (capacity bytes)
 *       producer    consumer    consumer    producer until published, then consumer until reclaimed
 *
 *     producer line    WAITING          i32  1 while the producer found no room
 *     consumer line    CONSUMED         i32  position up to which records were popped
 *                      COMMITS     2 × { i32 position, f64 sequence }: of the last pop and of the one before
 *     reclaimed line   RECLAIMED        i32  position up to which space is handed back
 *
 *     a record, aligned to 8:   | size u32 | type u16, flags u16 | payload … | padding to 8 |
 *                                 ^ zero until published
 *     flags            1: no message, but the unused end of the ring (type 0); 2, only in rings that mark their
 *                      batches: belongs to the batch of the message before
 *     free space       zero; but a consumer may hand a large record (`largeBytes` and more), with what is before it, back
 *                      as it was. The word behind the last published record reads zero all the same: up to a lap behind a
 *                      large record, and in the first lap of a producer, who publishes clears that word before.
 *
 * Every word has one writer; lines are two cache lines apart because the prefetcher fetches pairs.
 *
 * Invariants, checked on open: 0 ≤ consumed − reclaimed, and published − reclaimed ≤ capacity − ALIGNMENT. The
 * slot that stays free guarantees that the word behind the last record reads zero, even in a full ring.
 */
const LINE_BYTES = 128;

const PRODUCER_LINE = 0;
const CONSUMER_LINE = PRODUCER_LINE + LINE_BYTES;
const RECLAIMED_LINE = CONSUMER_LINE + LINE_BYTES;
/** Offset of the first record. */
export const RECORDS = RECLAIMED_LINE + LINE_BYTES;

/** Index into an Int32Array over the ring. */
export const WAITING = PRODUCER_LINE >> 2;
export const CONSUMED = CONSUMER_LINE >> 2;
export const RECLAIMED = RECLAIMED_LINE >> 2;

const COMMIT_BYTES = 16;
const COMMITS = CONSUMER_LINE + COMMIT_BYTES;
/** Indexes of commit 0 and 1: the position in an Int32Array, the sequence in a Float64Array over the ring. */
export const COMMIT_POSITION = [COMMITS >> 2, (COMMITS + COMMIT_BYTES) >> 2] as const;
export const COMMIT_SEQUENCE = [(COMMITS + 8) >> 3, (COMMITS + COMMIT_BYTES + 8) >> 3] as const;

/** From the position of a commit to that of the other one, by XOR. */
export const COMMIT_TOGGLE = COMMIT_POSITION[0] ^ COMMIT_POSITION[1];
/** Index of the sequence of the commit whose position has this index. */
export function sequenceOf(commitPosition: number): number {
  return (commitPosition + 2) >> 1;
}

export const ALIGNMENT = 8;
/** Bytes before the payload of a record: its size (with these bytes), type and flags. */
export const HEADER_BYTES = 8;
const PADDING_FLAG = 1;
const CONTINUED_FLAG = 2;
/** The second header word of a padding record. */
export const PADDING_KIND = PADDING_FLAG << 16;
/** In the second header word of a message: it belongs to the batch of the message before. */
export const CONTINUED = CONTINUED_FLAG << 16;

export const MIN_CAPACITY = 4096;
const LARGE_BYTES = 32768;
const LARGE_PART = 1 / 8;

/** Bytes from which on a record is a large one, in a ring of this capacity. */
export function largeBytes(capacity: number): number {
  return Math.min(LARGE_BYTES, capacity * LARGE_PART);
}

/** The largest message that is no large one in whatever ring: alloc gives it cleared. */
export const ALWAYS_CLEAR_BYTES = largeBytes(MIN_CAPACITY) - ALIGNMENT - HEADER_BYTES;

export const MAX_CAPACITY = 2 ** 30;
export const DEFAULT_CAPACITY = 2 ** 20;
export const MAX_TYPE = 0xffff;

/** Largest payload in a ring of this capacity: a quarter, so that it always fits an empty ring, wherever it wraps. */
export function maxMessageBytes(capacity: number): number {
  return capacity / 4;
}

/** Bytes of a whole ring. */
export function ringBytes(capacity: number): number {
  return RECORDS + capacity;
}

/** Bytes that a record of this size (header included) takes up. */
export function alignedLength(size: number): number {
  return (size + (ALIGNMENT - 1)) & -ALIGNMENT;
}
