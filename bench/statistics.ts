/** What a report says about a set of samples. All in the unit of the samples. */
export interface Summary {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Throws a RangeError where there is nothing to summarize. */
export function summarize(samples: readonly number[]): Summary {
  const sorted = Float64Array.from(samples).sort();
  return {
    mean: mean(samples),
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    p999: quantile(sorted, 0.999),
    max: quantile(sorted, 1),
  };
}

export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('the mean of no values');
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

export function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

/**
 * The smallest sample that at least a share `q` of the samples do not exceed (the nearest rank). It is always a
 * sample that was taken: with fewer than 1000 samples p999 is the maximum, and not a guess beyond it.
 */
export function quantile(sorted: Float64Array, q: number): number {
  if (sorted.length === 0) throw new RangeError('a quantile of no samples');
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] as number;
}
