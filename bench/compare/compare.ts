/** What has changed from one report to another, beyond the noise. Pure. */
import type { Environment } from '../environment.js';
import type { Ratio, Report, Result, Unit } from '../report.js';
import { kindOf } from '../sections.js';
import { median } from '../statistics.js';
import { type Circumstances, type Figure, noiseOf, varianceOf } from './noise.js';

export type Verdict =
  /** Beyond the noise. */
  | 'worse'
  | 'better'
  | 'within noise'
  /** A floor or a peer, which is not ours; or a time on another machine. It is shown, no more. */
  | 'not judged'
  /** In the new report it could not be measured. */
  | 'failed'
  /** Only in the old report, or only in the new one. */
  | 'missing'
  | 'new';

export interface Change {
  readonly name: string;
  /** What is compared: 'p50', or 'p50 ÷ limit/core-to-core', a multiple of a floor. */
  readonly figure: string;
  readonly unit: Result['unit'] | 'ratio';
  readonly base: number | undefined;
  readonly now: number | undefined;
  /** As a share of the old figure: 0.1 for 10 % more. */
  readonly change: number | undefined;
  /** As such a share: what is not beyond it may be chance. */
  readonly noise: number | undefined;
  readonly verdict: Verdict;
}

export interface Comparison {
  readonly changes: readonly Change[];
  readonly warnings: readonly string[];
}

/** Whether something of ours became worse, or can no longer be measured. */
export function isWorse({ changes }: Comparison): boolean {
  return changes.some(({ verdict }) => verdict === 'worse' || verdict === 'failed');
}

export function compareReports(base: Report, now: Report): Comparison {
  const elsewhere = otherMachine(base.environment, now.environment);
  const olds = byKey(base.results);
  const news = byKey(now.results);
  // What failed is a subject, all results of one ('…/idle-1000'), or a whole benchmark.
  const hasFailed = (result: string): boolean =>
    now.failed.some(({ name }) => result === name || result.startsWith(`${name}/`));
  const pairs = [...olds].flatMap(([key, old]) => {
    const result = news.get(key);
    return result === undefined ? [] : [pairOf(old, result, elsewhere)];
  });
  const variances = pairs.flatMap(({ base, now }) => varianceOf(base, now)?.variance ?? []);
  const circumstances = {
    judged: pairs.filter(({ isJudged }) => isJudged).length,
    usualVariance: variances.length === 0 ? undefined : median(variances),
  };
  const changes = pairs.map((pair) => changeOf(pair, circumstances));
  for (const [key, old] of olds) {
    if (!news.has(key)) changes.push(gone(old, hasFailed(old.name)));
  }
  for (const [key, result] of news) {
    if (!olds.has(key)) changes.push(added(result));
  }
  return { changes, warnings: differences(base.environment, now.environment) };
}

/** By name. A floor or a peer is measured by several benchmarks: the second one is compared with the second one. */
function byKey(results: readonly Result[]): Map<string, Result> {
  const keyed = new Map<string, Result>();
  for (const result of results) {
    let key = result.name;
    for (let i = 2; keyed.has(key); i++) key = `${result.name} ${i}`;
    keyed.set(key, result);
  }
  return keyed;
}

/** What is compared of a result that both reports have. */
interface Pair {
  readonly result: Result;
  /** What both are a multiple of. */
  readonly floor: string | undefined;
  readonly base: Figure;
  readonly now: Figure;
  readonly isJudged: boolean;
}

function pairOf(old: Result, result: Result, elsewhere: boolean): Pair {
  const ratios = comparedTo(old, result);
  return {
    result,
    floor: ratios?.now.to,
    base: figureOf(old, ratios?.old),
    now: figureOf(result, ratios?.now),
    isJudged: kindOf(result) === 'ours' && (!elsewhere || ratios !== undefined),
  };
}

/**
 * What both are a multiple of: such figures move less with the state of the machine than times do. Of what has idle
 * connections beside it, it is the same without them; of two threads of groups, one.
 */
function comparedTo(old: Result, result: Result): { readonly old: Ratio; readonly now: Ratio } | undefined {
  for (const field of ['aloneRatio', 'oneGroupRatio', 'ratio'] as const) {
    const [before, now] = [old[field], result[field]];
    if (before !== undefined && now !== undefined && before.to === now.to) return { old: before, now };
  }
  return undefined;
}

function changeOf({ result, floor, base, now, isJudged }: Pair, circumstances: Circumstances): Change {
  const change = base.value > 0 ? now.value / base.value - 1 : undefined;
  const noise = noiseOf(base, now, result.unit, circumstances);
  return {
    name: result.name,
    figure: floor === undefined ? 'p50' : `p50 ÷ ${floor}`,
    unit: floor === undefined ? result.unit : 'ratio',
    base: base.value,
    now: now.value,
    change,
    noise,
    verdict: isJudged ? verdictOf(change, noise, result.unit) : 'not judged',
  };
}

/** A change by half in one direction is one by two in the other. Of rates more is better, of all else less. */
export function verdictOf(change: number | undefined, noise: number, unit: Unit): Verdict {
  const [more, less] = unit === '/s' || unit === 'B/s' ? BETTER_BY_MORE : BETTER_BY_LESS;
  if (change === undefined) return 'within noise';
  if (change > noise) return more;
  return change < 1 / (1 + noise) - 1 ? less : 'within noise';
}

const BETTER_BY_MORE = ['better', 'worse'] as const;
const BETTER_BY_LESS = ['worse', 'better'] as const;

function figureOf(result: Result, ratio: Ratio | undefined): Figure {
  const { p50, p99, medians, unsettled, pace } = result;
  return {
    value: ratio?.p50 ?? p50,
    slices: (ratio === undefined ? medians : ratio.slices) ?? [],
    spread: p50 > 0 ? p99 / p50 : 1,
    // Where a rate was not held, times tell how long the run was.
    unsettled: unsettled === true || pace?.held === false,
  };
}

function gone({ name, unit, p50 }: Result, failed: boolean): Change {
  const verdict = failed && kindOf({ name }) === 'ours' ? 'failed' : 'missing';
  return { ...NOTHING, name, unit, base: p50, verdict };
}

function added({ name, unit, p50 }: Result): Change {
  return { ...NOTHING, name, unit, now: p50, verdict: 'new' };
}

const NOTHING = { figure: 'p50', base: undefined, now: undefined, change: undefined, noise: undefined };

const MACHINE = ['cpu', 'cores', 'platform'] as const;
const CIRCUMSTANCES = ['node', 'kernel', 'pinned', 'compiler', 'quick'] as const;

function otherMachine(base: Environment, now: Environment): boolean {
  return MACHINE.some((field) => base[field] !== now[field]);
}

function differences(base: Environment, now: Environment): string[] {
  const warnings: string[] = [];
  const differ = (field: keyof Environment): string =>
    `${field} ${String(base[field])} and ${String(now[field])}`;
  const machine = MACHINE.filter((field) => base[field] !== now[field]).map(differ);
  if (machine.length > 0) {
    warnings.push(
      `these reports are of different machines (${machine.join(', ')}): only multiples of a floor are judged`,
    );
  }
  const circumstances = CIRCUMSTANCES.filter((field) => base[field] !== now[field]).map(differ);
  if (circumstances.length > 0) warnings.push(`not measured in the same way: ${circumstances.join(', ')}`);
  return warnings;
}
