/**
 * Which measurements count. Virtual cores move: the same two can be neighbours in one second and far apart in the
 * next, and every figure of shared memory moves with them. So each measurement of a busy polling subject stands
 * between two probes of its floor, and counts if both tell of the same state, the usual one of this run, and neither was
 * disturbed by other work.
 */
import { median } from './statistics.js';

/** How far apart, as a share of the smaller, the two probes of one measurement may be. */
export const AGREEMENT = 0.15;
/** How far a probe may be from the usual state of the run: within one state the floor drifts by nearly as much. */
export const USUAL = 0.3;

/** How far the mean of a probe may be above its median: further, and other work has taken the processor from it. */
export const DISTURBANCE = 0.25;

/** A short run of a floor. It tells of the state by its median, which a moment of other work does not move. */
export interface Probe {
  readonly mean: number;
  readonly p50: number;
}

/** What stands between two probes. */
export interface Enclosed {
  readonly before: Probe;
  readonly after: Probe;
}

export type Verdict =
  | { readonly kind: 'settled' }
  /** The machine changed its state during the measurement. */
  | { readonly kind: 'disagree'; readonly apart: number }
  /** It was in one state, but not in the one that most of the run was in. */
  | { readonly kind: 'unusual'; readonly apart: number }
  /** Other work ran on its processors: a mean that is compared with the mean of such a probe looks too good. */
  | { readonly kind: 'disturbed'; readonly apart: number };

export function judge({ before, after }: Enclosed, usual: number): Verdict {
  const between = apart(before.p50, after.p50);
  if (between > AGREEMENT) return { kind: 'disagree', apart: between };
  const away = apart((before.p50 + after.p50) / 2, usual);
  if (away > USUAL) return { kind: 'unusual', apart: away };
  const disturbed = Math.max(...[before, after].map(({ mean, p50 }) => mean / p50 - 1));
  if (disturbed > DISTURBANCE) return { kind: 'disturbed', apart: disturbed };
  return { kind: 'settled' };
}

/** The usual state: the median of the medians of all probes so far. */
export function usualState(probes: readonly Probe[]): number {
  return median(probes.map((probe) => probe.p50));
}

/** The measurements that a result is made of. Where none settled, all are, and the result says so. */
export function choose<T extends Enclosed>(
  measurements: readonly T[],
  usual: number,
): { readonly chosen: readonly T[]; readonly unsettled: boolean } {
  const settled = measurements.filter((each) => judge(each, usual).kind === 'settled');
  if (settled.length > 0) return { chosen: settled, unsettled: false };
  return { chosen: measurements, unsettled: true };
}

function apart(a: number, b: number): number {
  return Math.max(a, b) / Math.min(a, b) - 1;
}
