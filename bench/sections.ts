/** Which benchmark each result of a report belongs to: a report can have those of several. */
import type { Result } from './report.js';

export interface Section {
  /** Name of the benchmark. */
  readonly name: string;
  readonly results: readonly Result[];
}

/** Floors, ours, and others: what a name says about who is measured. */
export type Kind = 'floor' | 'ours' | 'peer';

export function kindOf({ name }: { readonly name: string }): Kind {
  if (name.startsWith('limit/')) return 'floor';
  return name.startsWith('peer/') ? 'peer' : 'ours';
}

/**
 * One section for each benchmark, in the order of the report. What is ours is named after its benchmark; its floors stand
 * before it, and peers behind its floors or ours. `fallback` is for what has nothing of ours beside it.
 */
export function sectionsOf(results: readonly Result[], fallback: string): Section[] {
  const sections = new Map<string, Result[]>();
  let current: string | undefined;
  results.forEach((result, i) => {
    const next = nextOfOurs(results, i);
    if (kindOf(result) !== 'peer') current = next ?? current;
    const name = current ?? next ?? fallback;
    const section = sections.get(name);
    if (section === undefined) sections.set(name, [result]);
    else section.push(result);
  });
  return [...sections].map(([name, results]) => ({ name, results }));
}

/** The benchmark of the first result of ours from `i` on. */
function nextOfOurs(results: readonly Result[], i: number): string | undefined {
  return results
    .slice(i)
    .find((other) => kindOf(other) === 'ours')
    ?.name.split('/')[0];
}
