/** Reports that were never measured, for specs of what is made of reports. */
import type { Environment } from '../../bench/environment.js';
import { emptyHistogram } from '../../bench/measure.js';
import { makeRate, makeResult, makeSingle, type Report, type Result } from '../../bench/report.js';

export const environment: Environment = {
  benchmark: 'rtt',
  quick: true,
  date: '2030-01-01T00:00:00.000Z',
  version: '1.2.3',
  node: 'v20.19.0',
  v8: '11.3',
  platform: 'linux x64',
  kernel: 'Linux 6',
  cpu: 'A processor',
  cores: 2,
  compiler: 'cc 12',
  cpus: [0, 1],
  pinned: true,
  loadAverage: 0,
};

export function reportOf(results: readonly Result[], more: Partial<Report> = {}): Report {
  return { environment, results, failed: [], warnings: [], ...more };
}

/** Three slices of 40 batches, which take `ns` and a little more. */
export function timed(name: string, ns: number): Result {
  const slice = (more: number) => Array.from({ length: 40 }, (_, i) => ns + more + i / 10);
  return makeResult(name, 100, [slice(0), slice(1), slice(2)]);
}

/** The same, with single round trips. */
export function roundTrips(name: string, ns: number): Result {
  const histogram = emptyHistogram();
  for (let i = 0; i < 500; i++) histogram.recordValue(ns + i);
  return { ...timed(name, ns), single: makeSingle(histogram, 40) };
}

/** Messages one way, each of which takes `ns`. */
export function oneWay(name: string, ns: number): Result {
  return { ...timed(name, ns), rate: makeRate([ns], { sender: 0, receiver: 0 }) };
}
