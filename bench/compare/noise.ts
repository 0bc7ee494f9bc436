/**
 * How far two figures of the same thing are apart by chance. Pure. All is in logarithms: a figure has noise in
 * proportion to it, and twice as slow is as far from the same as twice as fast.
 */
import type { Unit } from '../report.js';
import { USUAL } from '../settle.js';
import { mean } from '../statistics.js';
import { criticalT } from './student.js';

/** What is compared: a median, or its multiple of a floor. */
export interface Figure {
  readonly value: number;
  /** The same of each slice. */
  readonly slices: readonly number[];
  /** How far the 99th percentile of the samples is from their median: 1.5 for half as much again. */
  readonly spread: number;
  readonly unsettled: boolean;
}

/** How often one of all figures of a report, none of which has changed, is called worse or better. */
export const FALSE_ALARMS = 0.05;
/**
 * The least change that counts. Slices tell how a run differs within itself, not from the next one, which has its
 * memory in other places: that is a few per cent. What idle connections take of a processor is little.
 */
export const LEAST: Record<Unit, number> = {
  ns: 0.05,
  '/s': 0.05,
  'B/s': 0.05,
  B: 0.2,
  '%': 0.5,
};
/** The same where there are no slices to tell of the noise. */
export const LEAST_WITHOUT_SLICES = 0.1;
/**
 * Two or three slices, as quick runs have them, hardly tell how noisy a figure is: what is usual in both reports is added
 * with the weight of so many more. (A moderated t test, as of Smyth 2004, with a fixed weight.)
 */
const WEIGHT_OF_USUAL = 4;
/** Of the median of normal values, as a multiple of that of their mean: the root of π/2. */
const ERROR_OF_MEDIAN = Math.sqrt(Math.PI / 2);

/** What all pairs of figures of two reports have in common. */
export interface Circumstances {
  /** How many are judged. */
  readonly judged: number;
  /** The median of their variances; undefined where there are none. */
  readonly usualVariance: number | undefined;
}

/** The change beyond which two figures differ, as a share: 0.1 for 10 %. */
export function noiseOf(
  base: Figure,
  now: Figure,
  unit: Unit,
  { judged, usualVariance }: Circumstances,
): number {
  const least = base.unsettled || now.unsettled ? Math.max(USUAL, LEAST[unit]) : LEAST[unit];
  const own = varianceOf(base, now);
  if (own === undefined) return Math.max(least, LEAST_WITHOUT_SLICES, base.spread - 1, now.spread - 1);
  const freedom = own.freedom + WEIGHT_OF_USUAL;
  const variance = (own.variance * own.freedom + (usualVariance ?? own.variance) * WEIGHT_OF_USUAL) / freedom;
  const error = ERROR_OF_MEDIAN * Math.sqrt(variance * (1 / base.slices.length + 1 / now.slices.length));
  return Math.max(least, Math.expm1(criticalT(FALSE_ALARMS / Math.max(1, judged), freedom) * error));
}

export interface Variance {
  readonly variance: number;
  /** Degrees of freedom: how many values it is known from. */
  readonly freedom: number;
}

/**
 * Of slices, in both reports together, each around its own centre: the noise is that of the machine and the subject, and
 * the same in both. Undefined where there are too few.
 */
export function varianceOf(base: Figure, now: Figure): Variance | undefined {
  const freedom = base.slices.length + now.slices.length - 2;
  if (base.slices.length === 0 || now.slices.length === 0 || freedom < 1) return undefined;
  if ([...base.slices, ...now.slices].some((value) => value <= 0)) return undefined;
  return { variance: (squares(base.slices) + squares(now.slices)) / freedom, freedom };
}

/** The sum of squares of how far the logarithms are from their mean. */
function squares(values: readonly number[]): number {
  const logs = values.map(Math.log);
  const centre = mean(logs);
  return logs.reduce((sum, log) => sum + (log - centre) ** 2, 0);
}
