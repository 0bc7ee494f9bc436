/** Samples by percentile, in few points: what a plot of latency by percentile is drawn from. */

/** `[percentile, value]`, percentiles ascending from 0 to 100. */
export type Distribution = readonly (readonly [percentile: number, value: number])[];

/** Points in each decade of what is left above: R10 of ISO 3, so each is about a quarter further than the last. */
const STEPS = [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8];

/**
 * Percentiles for `count` samples: as many again from 90 to 99 as from 0 to 90, and so on, up to the last one that
 * some sample is above; and 100, the maximum. Beyond that every point would be the maximum again.
 */
export function percentilesOf(count: number): number[] {
  const percentiles: number[] = [];
  for (let decade = 1; decade <= count; decade *= 10) {
    for (const step of STEPS) {
      const oneIn = decade * step;
      if (oneIn < count) percentiles.push(percentileOf(oneIn));
    }
  }
  return [...percentiles, 100];
}

/** The percentile that one sample in `oneIn` is above: 99 for 100. */
function percentileOf(oneIn: number): number {
  return Number((100 - 100 / oneIn).toPrecision(10));
}

/** How many samples there are for one above the percentile: 100 for 99. Infinity for the maximum. */
export function oneInOf(percentile: number): number {
  return percentile >= 100 ? Number.POSITIVE_INFINITY : Number((100 / (100 - percentile)).toPrecision(4));
}

/** `valueAt` gives the value that a share of `percentile` per cent of `count` samples do not exceed. */
export function distribution(count: number, valueAt: (percentile: number) => number): Distribution {
  return percentilesOf(count).map((percentile) => [percentile, valueAt(percentile)] as const);
}
