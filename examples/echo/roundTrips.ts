/** Measures round trips: a clock reading per message and direction, and a histogram. */
import { build } from 'hdr-histogram-js';

const NS_PER_MS = 1e6;

export interface RoundTripTimes {
  readonly meanNs: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly maxNs: number;
}

export class RoundTrips {
  readonly #histogram = build({ numberOfSignificantValueDigits: 3, autoResize: true });
  /** When the messages in flight were sent: a place for each of them, by number. */
  readonly #sentMs: Float64Array;

  /** `window` is how many may be in flight. */
  constructor(window: number) {
    this.#sentMs = new Float64Array(window);
  }

  began(number: number): void {
    this.#sentMs[number % this.#sentMs.length] = performance.now();
  }

  ended(number: number): void {
    const tookMs = performance.now() - (this.#sentMs[number % this.#sentMs.length] as number);
    this.#histogram.recordValue(Math.round(tookMs * NS_PER_MS));
  }

  times(): RoundTripTimes {
    const histogram = this.#histogram;
    return {
      meanNs: Math.round(histogram.mean),
      p50Ns: histogram.getValueAtPercentile(50),
      p99Ns: histogram.getValueAtPercentile(99),
      p999Ns: histogram.getValueAtPercentile(99.9),
      maxNs: histogram.maxValue,
    };
  }
}
