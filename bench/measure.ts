/**
 * One measurement of one started subject, in two passes:
 *
 * 1. tinybench times batches of round trips. A sample is the mean round trip of a batch, so that reading the clock
 *    is not what is measured.
 * 2. A histogram of single round trips, the clock read around each. What one reading costs is stated in
 *    the report, and nothing is subtracted.
 */
import { performance } from 'node:perf_hooks';
import { build, type Histogram } from 'hdr-histogram-js';
import { Bench } from 'tinybench';
import { median } from './statistics.js';
import type { RoundTrip } from './subject.js';

export interface Measurement {
  /** Mean round trip, or time per message, of each batch, in nanoseconds. */
  readonly samples: readonly number[];
  /** Single round trips in nanoseconds, each with one reading of the clock in it; null where there are none. */
  readonly single: Histogram | null;
  /** Messages per second, where so many were to leave (`Measurable.perSecond`). */
  readonly achieved?: number;
}

export interface Effort {
  /**
   * Long enough for the compiler to be done: its thread is a third one on two processors, and takes one of them away
   * for a tick of 4 ms at a time. With 0.3 s of it, the mean of rtt/tcp was 4 % higher, the median the same.
   */
  readonly warmUpMs: number;
  readonly batchesMs: number;
  readonly singleMs: number;
}

const NS_PER_MS = 1e6;
const MIN_BATCHES = 20;
/** Single round trips from one call of `between` to the next. */
const SINGLES_BETWEEN = 100;

/** `batch` is how many round trips are timed together. */
export async function measure(
  name: string,
  started: RoundTrip,
  batch: number,
  effort: Effort,
): Promise<Measurement> {
  const samples =
    started.pausedMs === undefined
      ? await timeBatches(
          name,
          {
            asynchronous: started.asynchronous,
            run: (count) => started.roundTrips(count),
            between: () => started.between?.(),
          },
          batch,
          effort,
        )
      : await timeAwaited(started, batch, effort);
  const single = emptyHistogram();
  if (started.asynchronous) await timeSingleAwaited(started, effort.singleMs, single);
  else timeSingle(started, effort.singleMs, single);
  return { samples, single };
}

/** Values up to a second, each with an error of a thousandth at the most. */
export function emptyHistogram(): Histogram {
  return build({ highestTrackableValue: 1e9, numberOfSignificantValueDigits: 3, autoResize: true });
}

/** What one reading of the clock costs, in nanoseconds. */
export function clockNs(): number {
  const costs: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    const before = performance.now();
    costs.push((performance.now() - before) * NS_PER_MS);
  }
  return median(costs);
}

/** What batches are made of. */
export interface Timed {
  /** Whether `run` gives a promise, always, or never. */
  readonly asynchronous: boolean;
  run(count: number): void | Promise<void>;
  /** Before each batch, untimed. */
  between?(): void;
}

/** One measurement of what has no single round trips: the first pass alone. */
export async function measureBatches(
  name: string,
  timed: Timed,
  batch: number,
  effort: Effort,
): Promise<Measurement> {
  return { samples: await timeBatches(name, timed, batch, effort), single: null };
}

/** Times of batches, each divided by their count, in nanoseconds. */
async function timeBatches(name: string, timed: Timed, batch: number, effort: Effort): Promise<number[]> {
  const bench = new Bench({
    time: effort.batchesMs,
    iterations: MIN_BATCHES,
    warmupTime: effort.warmUpMs,
    warmupIterations: 1,
    retainSamples: true,
    throws: true,
  });
  bench.add(name, () => timed.run(batch), {
    async: timed.asynchronous,
    beforeEach: () => timed.between?.(),
  });
  const [task] = timed.asynchronous ? await bench.run() : bench.runSync();
  const result = task?.result;
  if (result?.state !== 'completed' || result.latency.samples === undefined) {
    throw new Error(`${name} was not measured to its end: ${result?.state}`);
  }
  return result.latency.samples.map((ms) => (ms * NS_PER_MS) / batch);
}

/** Single round trips for so long, of a subject that is not asynchronous. */
export function timeSingle(started: RoundTrip, forMs: number, into: Histogram): void {
  const end = performance.now() + forMs;
  for (let before = 0, i = 0; before < end; i++) {
    if (i % SINGLES_BETWEEN === 0) started.between?.();
    before = performance.now();
    started.roundTrips(1);
    into.recordValue(Math.round((performance.now() - before) * NS_PER_MS));
  }
}

async function timeSingleAwaited(started: RoundTrip, forMs: number, into: Histogram): Promise<void> {
  const end = performance.now() + forMs;
  for (let before = 0, i = 0; before < end; i++) {
    if (i % SINGLES_BETWEEN === 0) started.between?.();
    before = performance.now();
    into.recordValue(Math.round((await elapsedMs(started, 1)) * NS_PER_MS));
  }
}

/** Batches of what pauses: tinybench would count the pauses, and has sorted its samples when one sees them. */
async function timeAwaited(started: RoundTrip, batch: number, effort: Effort): Promise<number[]> {
  const samples: number[] = [];
  const begin = performance.now() + effort.warmUpMs;
  while (performance.now() < begin) await elapsedMs(started, batch);
  const end = performance.now() + effort.batchesMs;
  while (performance.now() < end || samples.length < MIN_BATCHES) {
    started.between?.();
    samples.push(((await elapsedMs(started, batch)) * NS_PER_MS) / batch);
  }
  return samples;
}

/** Time of some round trips, without their pauses. */
async function elapsedMs(started: RoundTrip, count: number): Promise<number> {
  const pausedMs = started.pausedMs ?? 0;
  const before = performance.now();
  await started.roundTrips(count);
  return performance.now() - before - ((started.pausedMs ?? 0) - pausedMs);
}
