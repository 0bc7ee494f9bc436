/** Results side by side, as bars on a logarithmic axis. */
import type { Result } from '../report.js';
import { type Kind, kindOf, type Section } from '../sections.js';
import { loadOf, sizeOf } from './names.js';
import type { Quantity } from './quantities.js';

export interface Bar {
  readonly name: string;
  readonly kind: Kind;
  readonly value: number;
  /** What is marked beyond the end of the bar: the 99th percentile; undefined for rates. */
  readonly p99: number | undefined;
}

export interface BarPlot {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly quantity: Quantity;
  /** The best one first. */
  readonly bars: readonly Bar[];
}

/** Where the axis ends, and the powers of ten on it. */
export interface Ticks {
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

/** Of the results of one benchmark, which `sectionsOf` has found. */
export function barPlots({ name, results }: Section): BarPlot[] {
  return [
    ...barPlot(`${name}-times`, 'Times side by side', 'time', times(results)),
    ...barPlot(`${name}-rates`, 'Messages per second side by side', 'perSecond', rates(results)),
  ];
}

/** Whole decades around all bars and marks. */
export function ticksOf(bars: readonly Bar[]): Ticks {
  const values = bars.flatMap(({ value, p99 }) => [value, p99 ?? value]);
  const first = Math.floor(Math.log10(Math.min(...values) * 0.999));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
  return { from: 10 ** first, to: 10 ** last, ticks };
}

/** Where a value is on the axis, from 0 to 1. */
export function placeOf(value: number, { from, to }: Pick<Ticks, 'from' | 'to'>): number {
  return Math.min(1, Math.max(0, Math.log(value / from) / Math.log(to / from)));
}

function times(results: readonly Result[]): Bar[] {
  return results
    .filter(({ name, unit, p50, rate }) => unit === 'ns' && p50 > 0 && rate === undefined && !loadOf(name))
    .map(({ name, p50, p99 }) => ({ name, kind: kindOf({ name }), value: p50, p99 }))
    .sort((a, b) => a.value - b.value);
}

/** What has several sizes is drawn by size, and not again. */
function rates(results: readonly Result[]): Bar[] {
  const subjects = results.map(({ name }) => sizeOf(name)?.subject);
  return results
    .flatMap(({ name, rate }, i) =>
      rate === undefined || rate.messagesPerSecond <= 0 || repeated(subjects[i], subjects)
        ? []
        : [{ name, kind: kindOf({ name }), value: rate.messagesPerSecond, p99: undefined }],
    )
    .sort((a, b) => b.value - a.value);
}

function repeated(subject: string | undefined, subjects: readonly (string | undefined)[]): boolean {
  return subject !== undefined && subjects.filter((each) => each === subject).length > 1;
}

function barPlot(id: string, title: string, quantity: Quantity, bars: readonly Bar[]): BarPlot[] {
  if (bars.length < 2 || bars.every(({ kind }) => kind === 'floor')) return [];
  const note =
    quantity === 'time'
      ? 'Shorter is better. The bar ends at the median, the mark is at the 99th percentile.'
      : 'Longer is better. Of the median burst.';
  return [{ id, title, note, quantity, bars }];
}
