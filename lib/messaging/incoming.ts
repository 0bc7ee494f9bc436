import { Flag, FRAGMENT_COST, LEAST_WINDOW_BYTES, MAX_FRAGMENT_BYTES } from './packet.js';

/** What may come of a flow. */
export interface IncomingLimits {
  /** Bytes, costs of fragments included, that wait here for the program. At least 131072. */
  readonly windowBytes: number;
  /** Largest value that is put together. */
  readonly maxValueBytes: number;
}

/** What is wrong with a fragment, for who has sent it. */
export interface Refusal {
  readonly code: 'ERR_PROTOCOL' | 'ERR_LIMIT';
  readonly message: string;
}

/**
 * What has come of a flow, and what may come: pure. Values that are whole wait for the program and hold their credit; what
 * is put together of the next one counts as taken as long as none waits, so that a value may be larger than the window.
 *
 * Invariants: taken ≤ received ≤ granted, and granted ≤ taken + window, or + the value that is put together.
 */
export class IncomingFlow {
  /** Whether nothing more comes. */
  ended = false;
  readonly #limits: IncomingLimits;
  /** All costs since it began. */
  #received = 0;
  #taken = 0;
  #granted: number;
  /** What is granted at first. */
  readonly #leastGranted: number;
  /** Of the value that is put together: bytes and costs. */
  #inValue = false;
  #valueBytes = 0;
  #valueCost = 0;

  constructor(limits: IncomingLimits) {
    this.#limits = limits;
    this.#leastGranted = Math.max(limits.windowBytes, LEAST_WINDOW_BYTES);
    this.#granted = this.#leastGranted;
  }

  /** Whether a value has begun and not ended. */
  get inValue(): boolean {
    return this.#inValue;
  }

  /** Costs of the value that `accept` has completed, to be told to `take`. */
  get completedCost(): number {
    return this.#valueCost;
  }

  /** A fragment of so many bytes, before it was compressed. Null when it is in order. */
  accept(flags: number, bytes: number): Refusal | null {
    const first = (flags & Flag.first) !== 0;
    const last = (flags & Flag.last) !== 0;
    const end = (flags & Flag.end) !== 0;
    if (this.ended) return wrong('a fragment behind the end of its flow');
    if (first && this.#inValue) return wrong('a value begins within another one');
    if (!first && !this.#inValue) {
      if (!end || last || bytes !== 0) return wrong('a fragment of no value');
      this.ended = true;
      return null;
    }
    if (end && !last) return wrong('its flow ends within a value');
    if (bytes > MAX_FRAGMENT_BYTES)
      return wrong(`a fragment of ${bytes} bytes, more than ${MAX_FRAGMENT_BYTES}`);
    const cost = bytes + FRAGMENT_COST;
    if (this.#received + cost > this.#granted) {
      return wrong(`${this.#received + cost} bytes of a flow, ${this.#granted} were granted`);
    }
    if (first) {
      this.#valueBytes = 0;
      this.#valueCost = 0;
    }
    this.#valueBytes += bytes;
    if (this.#valueBytes > this.#limits.maxValueBytes) {
      return { code: 'ERR_LIMIT', message: `a value of more than ${this.#limits.maxValueBytes} bytes` };
    }
    // A piece that is kept costs more than its bytes. Who sends with the least pieces that there are stays below two thirds.
    if (this.#valueCost + cost > 3 * this.#limits.maxValueBytes + this.#leastGranted) {
      return { code: 'ERR_LIMIT', message: `a value in pieces of too few bytes, ${bytes} in the last one` };
    }
    this.#received += cost;
    this.#valueCost += cost;
    this.#inValue = !last;
    this.ended = end;
    return null;
  }

  /** The program has taken a value of this cost. */
  take(cost: number): void {
    this.#taken += cost;
  }

  /**
   * Credit to give now: not for little. Who began before he had heard how large the window is has the least of it, and
   * that must not be used up without more being given.
   */
  dueCredit(): number {
    if (this.ended) return 0;
    const waiting = this.#received - this.#taken;
    const free = this.#inValue && waiting === this.#valueCost ? this.#valueCost : 0;
    const due = this.#taken + free + this.#limits.windowBytes - this.#granted;
    return due * 2 >= LEAST_WINDOW_BYTES ? due : 0;
  }

  /** It was given. */
  grant(bytes: number): void {
    this.#granted += bytes;
  }
}

function wrong(message: string): Refusal {
  return { code: 'ERR_PROTOCOL', message };
}
