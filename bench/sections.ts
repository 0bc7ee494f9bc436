/** Which benchmark each result of a report belongs to: a report can have those of several. */
import { BENCHMARKS, type Benchmark } from './arguments.js';
import type { Report, Result } from './report.js';

export interface Section {
  readonly benchmark: Benchmark;
  readonly results: readonly Result[];
}

/** Floors, ours, and others: what a name says about who is measured. */
export type Kind = 'floor' | 'ours' | 'peer';

export function kindOf({ name }: Pick<Result, 'name'>): Kind {
  if (name.startsWith('limit/')) return 'floor';
  return name.startsWith('peer/') ? 'peer' : 'ours';
}

/**
 * One section for each benchmark, in the order of the report. The results of one benchmark follow each other: its floors,
 * what is named after it, and peers.
 */
export function sectionsOf({ environment, results }: Pick<Report, 'environment' | 'results'>): Section[] {
  const sections = new Map<Benchmark, Result[]>();
  let benchmark = named(environment.benchmark);
  const several =
    benchmark === undefined || results.some((result) => (named(result.name) ?? benchmark) !== benchmark);
  results.forEach((result, i) => {
    if (several) benchmark = named(result.name) ?? benchmarkOfOther(results, i, benchmark);
    const section = benchmark ?? 'rtt';
    sections.set(section, [...(sections.get(section) ?? []), result]);
  });
  return [...sections].map(([benchmark, results]) => ({ benchmark, results }));
}

/** Floors stand before what is measured on them, peers after it. */
function benchmarkOfOther(
  results: readonly Result[],
  i: number,
  before: Benchmark | undefined,
): Benchmark | undefined {
  const next = results
    .slice(i)
    .map(({ name }) => named(name))
    .find((benchmark) => benchmark !== undefined);
  return kindOf(results[i] as Result) === 'peer' ? (before ?? next) : (next ?? before);
}

/** The benchmark that a name begins with. */
function named(name: string): Benchmark | undefined {
  const [first] = name.split('/');
  return BENCHMARKS.find((each) => each === first);
}
