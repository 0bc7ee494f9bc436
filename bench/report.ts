/** What a run leaves: the shape of the JSON, and how its entries are made. */
import type { Histogram } from 'hdr-histogram-js';
import { type Distribution, distribution } from './distribution.js';
import type { Environment } from './environment.js';
import type { Kept } from './latency/pace.js';
import { mean, median, quantile, type Summary, summarize } from './statistics.js';
import type { RateOf } from './subject.js';

/** What a benchmark has found. */
export interface Outcome {
  readonly results: readonly Result[];
  /** What could not be measured, and why. */
  readonly failed: readonly Failure[];
  readonly warnings: readonly string[];
}

export interface Report extends Outcome {
  readonly environment: Environment;
}

/** Nanoseconds, per cent of one processor, bytes; messages or bytes in a second, of which more is better. */
export type Unit = 'ns' | '%' | 'B' | '/s' | 'B/s';

/**
 * `mean` to `max` are those of the samples: each is the mean time of `batch` round trips, messages or flushes, or their
 * rate. The mean of rates is that of all messages in the time of all.
 */
export interface Result extends Summary {
  readonly name: string;
  readonly unit: Unit;
  /** Round trips, messages or flushes that were timed; of what is not timed, the samples. */
  readonly n: number;
  /** How many of them make a sample. */
  readonly batch: number;
  /** Samples that were taken. */
  readonly samples: number;
  /** How often the measurement was begun anew, with a fresh echo; only those that settled are counted. */
  readonly slices: number;
  /** The median of each slice: how far these are apart is the noise that `compare` goes by. */
  readonly medians?: readonly number[];
  /** The samples by percentile. */
  readonly distribution?: Distribution;
  /** This compared with its floor; for a busy polling subject, with the probes around its own slices. */
  readonly ratio?: Ratio;
  /** The same, compared with a floor that waits in the event loop as this does. */
  readonly awaitedRatio?: Ratio;
  /** The same, compared round by round with what Node itself has. */
  readonly peerRatio?: Ratio;
  /** With idle connections beside it: compared, turn by turn, with the same alone. */
  readonly aloneRatio?: Ratio;
  /** Of two threads of groups: compared, turn by turn, with one. */
  readonly oneGroupRatio?: Ratio;
  /** Of messages that leave at a fixed rate: what became of it, the median of the slices. */
  readonly pace?: Kept;
  /** Of what moves one way. */
  readonly rate?: Rate;
  /** Of what the threads of groups do. */
  readonly groups?: GroupThreads;
  /** Single round trips, each with one reading of the clock (`clock`) in it. */
  readonly single?: Single;
  /** No slice settled: this figure belongs to no one state of the machine, or to a machine that was busy. */
  readonly unsettled?: true;
}

export interface Ratio {
  /** Name of the floor: 'limit/core-to-core'. */
  readonly to: string;
  readonly mean: number;
  readonly p50: number;
  /** What `p50` is the median of: one for each slice. */
  readonly slices?: readonly number[];
}

/** Messages that went one way. */
export interface Rate {
  /** Of the median, the slowest and the fastest sample. */
  readonly messagesPerSecond: number;
  readonly slowest: number;
  readonly fastest: number;
  /** Payload at the median rate. */
  readonly bytesPerSecond?: number;
  /** Bytes that each side had the kernel write to the disk, in whole pages, for each message. */
  readonly writtenBytes?: WrittenBytes;
}

/** Medians of the bursts. */
export interface GroupThreads {
  /** Time of a processor that the thread of each group has had, as a share of one. */
  readonly shares: readonly number[];
  /** What a thread does in a second of that time. */
  readonly messagesPerCpuSecond: number;
  /** The same compared with that of a single thread. */
  readonly perCpuRatio?: Ratio;
  /** What all clients together have had, as a share of one processor. */
  readonly clientsShare: number;
}

export interface WrittenBytes {
  readonly sender: number;
  readonly receiver: number;
}

export interface Single extends Summary {
  readonly n: number;
  readonly clock: number;
  /** The round trips by percentile. */
  readonly distribution?: Distribution;
}

export interface Failure {
  readonly name: string;
  readonly reason: string;
}

/** Makes a result of the samples of its slices. Times are kept to a tenth of a nanosecond, shares to a thousandth. */
export function makeResult(
  name: string,
  batch: number,
  slices: readonly (readonly number[])[],
  unit: Unit = 'ns',
): Result {
  const samples = slices.flat();
  const sorted = Float64Array.from(samples).sort();
  const parts = unit === '%' ? 1000 : 10;
  const round = (value: number): number => Math.round(value * parts) / parts;
  return {
    name,
    unit,
    n: samples.length * batch,
    ...rounded(summarize(samples), parts),
    batch,
    samples: samples.length,
    slices: slices.length,
    medians: slices.filter((slice) => slice.length > 0).map((slice) => round(median(slice))),
    distribution: distribution(samples.length, (percentile) => round(quantile(sorted, percentile / 100))),
  };
}

export function makeSingle(histogram: Histogram, clock: number): Single {
  return {
    n: histogram.totalCount,
    clock: tenth(clock),
    ...rounded(
      {
        mean: histogram.mean,
        p50: histogram.getValueAtPercentile(50),
        p99: histogram.getValueAtPercentile(99),
        p999: histogram.getValueAtPercentile(99.9),
        max: histogram.maxValue,
      },
      10,
    ),
    distribution: distribution(histogram.totalCount, (percentile) =>
      histogram.getValueAtPercentile(percentile),
    ),
  };
}

export function makeRate(samples: readonly number[], writtenBytes: WrittenBytes): Rate {
  return {
    ...ratesOf(samples),
    writtenBytes: { sender: tenth(writtenBytes.sender), receiver: tenth(writtenBytes.receiver) },
  };
}

/** A result of what goes one way, whose samples are times per message in nanoseconds. */
export function makeRateResult(
  name: string,
  batch: number,
  slices: readonly (readonly number[])[],
  { unit, bytes }: RateOf,
): Result {
  const samples = slices.flat();
  const rates = slices.map((slice) => slice.map((ns) => Math.round(rateOf(ns, { unit, bytes }))));
  const rate = ratesOf(samples);
  return {
    ...makeResult(name, batch, rates, unit),
    mean: Math.round(rateOf(mean(samples), { unit, bytes })),
    rate: { ...rate, bytesPerSecond: rate.messagesPerSecond * bytes },
  };
}

/** Compares the rate of each slice with those of the probes of its floor, all given as times per message. */
export function makeRateRatio(
  to: string,
  slices: readonly { readonly subject: Centre; readonly probes: readonly Centre[] }[],
): Ratio {
  const inverse = ({ mean, p50 }: Centre): Centre => ({ mean: 1 / mean, p50: 1 / p50 });
  return makeRatio(
    to,
    slices.map(({ subject, probes }) => ({ subject: inverse(subject), probes: probes.map(inverse) })),
  );
}

function ratesOf(samples: readonly number[]): Pick<Rate, 'messagesPerSecond' | 'slowest' | 'fastest'> {
  const { p50, max } = summarize(samples);
  const perSecond = (ns: number): number => Math.round(1e9 / ns);
  const least = samples.reduce((least, ns) => Math.min(least, ns));
  return { messagesPerSecond: perSecond(p50), slowest: perSecond(max), fastest: perSecond(least) };
}

function rateOf(ns: number, { unit, bytes }: RateOf): number {
  return (unit === 'B/s' ? bytes * 1e9 : 1e9) / ns;
}

interface Centre {
  readonly mean: number;
  readonly p50: number;
}

/** Compares each slice with the probes of its floor around it; the median of these ratios is that of the subject. */
export function makeRatio(
  to: string,
  slices: readonly { readonly subject: Centre; readonly probes: readonly Centre[] }[],
): Ratio {
  const ratios = (field: keyof Centre): number[] =>
    slices.map(({ subject, probes }) => {
      const floor = probes.reduce((sum, probe) => sum + probe[field], 0) / probes.length;
      return subject[field] / floor;
    });
  const p50 = ratios('p50');
  return {
    to,
    mean: significant(median(ratios('mean'))),
    p50: significant(median(p50)),
    slices: p50.map((ratio) => Number(ratio.toPrecision(4))),
  };
}

function rounded({ mean, p50, p99, p999, max }: Summary, parts: number): Summary {
  const round = (value: number): number => Math.round(value * parts) / parts;
  return { mean: round(mean), p50: round(p50), p99: round(p99), p999: round(p999), max: round(max) };
}

/** A report as JSON that can be read: lists of numbers take one line each. */
export function formatJson(report: Report): string {
  const text = JSON.stringify(report, null, 2);
  const inOneLine = text.replace(
    /\[\n\s+([-+.\de]+(?:,\n\s+[-+.\de]+)*)\n\s+\]/g,
    (_, numbers: string) => `[${numbers.replace(/,\s+/g, ', ')}]`,
  );
  return `${inOneLine}\n`;
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Hundredths, and below one three digits. */
function significant(ratio: number): number {
  return ratio < 1 ? Number(ratio.toPrecision(3)) : Math.round(ratio * 100) / 100;
}
