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
export const LEAST: Record<Unit, number> = { ns: 0.05, B: 0.2, '%': 0.5 };
/** The same where there are no slices to tell of the noise. */
export const LEAST_WITHOUT_SLICES = 0.1;
/** With fewer degrees of freedom, the spread of slices tells nothing. */
const LEAST_FREEDOM = 2;
/** Of the median of normal values, as a multiple of that of their mean: the root of π/2. */
const ERROR_OF_MEDIAN = Math.sqrt(Math.PI / 2);

/** The change beyond which two figures differ, as a share: 0.1 for 10 %. `judged` is how many are compared in all. */
export function noiseOf(base: Figure, now: Figure, unit: Unit, judged: number): number {
  const least = base.unsettled || now.unsettled ? Math.max(USUAL, LEAST[unit]) : LEAST[unit];
  const error = errorOf(base.slices, now.slices);
  if (error !== undefined) {
    const t = criticalT(FALSE_ALARMS / Math.max(1, judged), error.freedom);
    return Math.max(least, Math.expm1(t * error.standard));
  }
  return Math.max(least, LEAST_WITHOUT_SLICES, base.spread - 1, now.spread - 1);
}

/**
 * The standard error of the difference of two medians of slices. The spread is that of both together, each around its
 * own centre: it is the noise of the machine and the subject, and the same in both.
 */
function errorOf(
  base: readonly number[],
  now: readonly number[],
): { readonly standard: number; readonly freedom: number } | undefined {
  const freedom = base.length + now.length - 2;
  if (base.length === 0 || now.length === 0 || freedom < LEAST_FREEDOM) return undefined;
  if ([...base, ...now].some((value) => value <= 0)) return undefined;
  const variance = (squares(base) + squares(now)) / freedom;
  const standard = ERROR_OF_MEDIAN * Math.sqrt(variance * (1 / base.length + 1 / now.length));
  return { standard, freedom };
}

/** The sum of squares of how far the logarithms are from their mean. */
function squares(values: readonly number[]): number {
  const logs = values.map(Math.log);
  const centre = mean(logs);
  return logs.reduce((sum, log) => sum + (log - centre) ** 2, 0);
}
