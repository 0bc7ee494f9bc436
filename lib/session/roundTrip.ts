/**
 * How long a heartbeat takes to the peer and back, without a frame more than the heartbeats that there are: each says
 * which one of the peer's came last, and how long ago; so who gets it knows how long that one, and this, were under way
 * (as the reports of RTP do it). By the caller's clocks, of which only differences count.
 *
 * A heartbeat is a data frame without payload, and has this word where others have their position:
 *
 *     bit 31      1: a heartbeat; 0: an acknowledgement alone
 *     bits 27–30  its number, modulo 16
 *     bits 23–26  number of the heartbeat that it answers
 *     bits 0–22   for how long that one was held, in 1/64 ms (131 s at the most); all ones: it answers none
 */
const MARK = 0x80000000;
const NUMBERS = 16;
/** So many of the last ones are remembered: an answer to the one before the last is usual, as they meet on their way. */
const REMEMBERED = 4;
const NUMBER_SHIFT = 27;
const ANSWERED_SHIFT = 23;
const PER_MS = 64;
const NONE = 2 ** ANSWERED_SHIFT - 1;

/** How much a round trip counts in the smoothed one, as of TCP (RFC 6298). */
const SHARE = 1 / 8;

/** Whether the word of a data frame without payload is that of a heartbeat. */
export function isHeartbeat(word: number): boolean {
  return (word & MARK) !== 0;
}

export class RoundTrip {
  readonly #intervalMs: number;
  #number: number;
  /** When the last one was sent; NaN before the first look. */
  #lastAt = Number.NaN;
  /** When each of the last ones was sent, by its number; NaN once it was answered, and for those of another clock. */
  readonly #sentAt: number[] = new Array<number>(REMEMBERED).fill(Number.NaN);
  /** The last one of the peer's, and when it came; NaN when none came. */
  #heard = 0;
  #heardAt = Number.NaN;
  #lastMs: number | null = null;
  #smoothedMs: number | null = null;

  /** `number` is that of the last heartbeat that was sent, where this goes on with a link of another thread. */
  constructor(intervalMs: number, number = 0) {
    this.#intervalMs = intervalMs;
    this.#number = number;
  }

  /** Number of the last heartbeat that was sent. */
  get number(): number {
    return this.#number;
  }

  /** Of the last heartbeat that was answered, in milliseconds. */
  get lastMs(): number | null {
    return this.#lastMs;
  }

  /** An average in which older ones count ever less. */
  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** Whether one is due although others than heartbeats were sent. The first call starts the measure. */
  due(now: number): boolean {
    if (Number.isNaN(this.#lastAt)) this.#lastAt = now;
    return now - this.#lastAt >= this.#intervalMs;
  }

  /** The word of a heartbeat that goes out now. */
  word(now: number): number {
    const held = Math.round((now - this.#heardAt) * PER_MS);
    const number = (this.#number + 1) % NUMBERS;
    const answer = held >= 0 && held < NONE ? held : NONE;
    return MARK | (number << NUMBER_SHIFT) | (this.#heard << ANSWERED_SHIFT) | answer;
  }

  /** It has gone out. */
  sent(now: number): void {
    this.#number = (this.#number + 1) % NUMBERS;
    this.#lastAt = now;
    this.#sentAt[this.#number % REMEMBERED] = now;
  }

  /** A data frame without payload has come, with this word; what is no heartbeat is nothing. */
  received(word: number, now: number): void {
    if (!isHeartbeat(word) || Number.isNaN(now)) return;
    this.#heard = (word >>> NUMBER_SHIFT) % NUMBERS;
    this.#heardAt = now;
    const held = word & NONE;
    const answered = (word >>> ANSWERED_SHIFT) % NUMBERS;
    const ago = (this.#number - answered + NUMBERS) % NUMBERS;
    const sentAt = this.#sentAt[answered % REMEMBERED] as number;
    if (held === NONE || ago >= REMEMBERED || Number.isNaN(sentAt)) return;
    this.#sentAt[answered % REMEMBERED] = Number.NaN;
    // Clocks that are read now and then only may make it seem to be less than nothing.
    const ms = Math.max(0, now - sentAt - held / PER_MS);
    this.#lastMs = ms;
    this.#smoothedMs = this.#smoothedMs === null ? ms : this.#smoothedMs + SHARE * (ms - this.#smoothedMs);
  }
}
