/**
 * What has gone through connections, as numbers that can be added: of one, from when it was opened in this process, or of
 * all that a client or server has had. What makes a session go on elsewhere (another thread of this process, another file)
 * does not begin them anew; another process does.
 */
export interface Tally {
  /** Messages that were published. Exact. */
  readonly sentMessages: number;
  /** Bytes of their records: payload, 8 bytes of header, up to 7 to align it, and unused ends of the ring. Exact. */
  readonly sentBytes: number;
  /** How often `alloc` gave null for want of room: also to writers, and again for each who asks again. Exact. */
  readonly fullAllocs: number;
  /** How often the queue came to be too full for what was asked: one for all who ask until some room was found. Exact. */
  readonly fullPeriods: number;
  /**
   * Most bytes that the queue which is written has held, as for `depthBytes`: as polls have seen it, and whoever found it
   * full. What came and went between two polls is missed. In sums, the most of any one.
   */
  readonly highWaterBytes: number;
  /** Messages that were popped. Exact. */
  readonly receivedMessages: number;
  /** Bytes of their records, as above. Exact. */
  readonly receivedBytes: number;
  /** Logins that were complete, the first one included. */
  readonly logins: number;
  /** Those among them that have found the session of before, and gone on. */
  readonly resumes: number;
  /** Bytes that sockets took and gave, after logins: over tcp the queues, else heartbeats alone. Exact. */
  readonly wireSentBytes: number;
  readonly wireReceivedBytes: number;
  /** How often a bell, a socket or a call of its user made polls look again at what they had left alone. */
  readonly wakeups: number;
  /** How often this side rang the bell of a peer that slept. */
  readonly rings: number;
}

export const NO_TALLY: Tally = Object.freeze({
  sentMessages: 0,
  sentBytes: 0,
  fullAllocs: 0,
  fullPeriods: 0,
  highWaterBytes: 0,
  receivedMessages: 0,
  receivedBytes: 0,
  logins: 0,
  resumes: 0,
  wireSentBytes: 0,
  wireReceivedBytes: 0,
  wakeups: 0,
  rings: 0,
});

const FIELDS = Object.keys(NO_TALLY) as readonly (keyof Tally)[];
export const TALLY_FIELDS = FIELDS.length;

export function sumOf(a: Tally, b: Tally): Tally {
  const sum: Record<keyof Tally, number> = { ...NO_TALLY };
  for (const field of FIELDS) sum[field] = a[field] + b[field];
  sum.highWaterBytes = Math.max(a.highWaterBytes, b.highWaterBytes);
  return sum;
}

/** What came to a tally since it was `before`. */
export function since(before: Tally, tally: Tally): Tally {
  const rest: Record<keyof Tally, number> = { ...NO_TALLY };
  for (const field of FIELDS) rest[field] = tally[field] - before[field];
  return { ...rest, highWaterBytes: tally.highWaterBytes };
}

/** Of everything that somebody has or had. */
export function totalOf(gone: Tally, live: Iterable<{ readonly side: { readonly tally: Tally } }>): Tally {
  let total = gone;
  for (const { side } of live) total = sumOf(total, side.tally);
  return total;
}

/** Writes one where another thread reads it: numbers are whole, and may be of different moments. */
export function storeTally(words: Float64Array, tally: Tally): void {
  for (const [at, field] of FIELDS.entries()) words[at] = tally[field];
}

export function loadTally(words: Float64Array): Tally {
  const tally: Record<keyof Tally, number> = { ...NO_TALLY };
  for (const [at, field] of FIELDS.entries()) tally[field] = words[at] as number;
  return tally;
}
