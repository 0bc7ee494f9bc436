/** Plots of lines: what is drawn of a report, each only where there are results for it. */
import { type Distribution, oneInOf } from '../distribution.js';
import type { Result } from '../report.js';
import { type Kind, kindOf, type Section } from '../sections.js';
import { loadOf, sizeOf } from './names.js';
import type { Quantity } from './quantities.js';

export interface Axis {
  readonly label: string;
  readonly quantity: Quantity;
  /** Both axes are logarithmic, to this base. */
  readonly base: 2 | 10;
}

export interface Line {
  readonly name: string;
  readonly kind: Kind;
  /** Lines that tell of the same subject have the same colour. */
  readonly colour: number;
  readonly dashed: boolean;
  /** Rather than dashed or drawn through: another way of what has the same colour. */
  readonly dotted: boolean;
  /** `x` ascending; both above 0. A percentile is given as its `oneInOf`. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LinePlot {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

const TIME: Axis = { label: 'time', quantity: 'time', base: 10 };
const PERCENTILE: Axis = { label: 'percentile', quantity: 'percentile', base: 10 };
/** Of points: what has less is no curve. */
const FEWEST = 5;
/** Behind the name of a subject: the same with its messages published together. */
const VARIANT = /-batched$/;

/** Of the results of one benchmark, which `sectionsOf` has found. */
export function linePlots({ name, results }: Section): LinePlot[] {
  return [...sizePlot(name, results), ...loadPlot(results), ...percentilePlots(name, results)];
}

/** Single values and means of batches; of messages that go one way, or at a given rate, what is by percentile is drawn otherwise. */
function percentilePlots(section: string, results: readonly Result[]): LinePlot[] {
  const timed = results.filter(
    ({ name, unit, rate }) => unit === 'ns' && rate === undefined && loadOf(name) === undefined,
  );
  const singles = timed.map((result) => byPercentile(result, result.single?.distribution, result.single?.n));
  const batches = timed.map((result) => byPercentile(result, result.distribution, result.samples));
  // One subject has one colour in both plots.
  const subjects = timed.map(({ name }) => name).sort((a, b) => order(a) - order(b));
  const ofBatches = timed.some(({ batch }) => batch > 1);
  return [
    {
      id: `${section}-single`,
      title: 'Single round trips by percentile',
      note: 'The clock was read around each: what that costs is contained, and nothing is subtracted.',
      lines: singles.flat(),
    },
    {
      id: `${section}-batches`,
      title: ofBatches ? 'Means of batches by percentile' : 'Times by percentile',
      note: ofBatches
        ? 'Each value is the mean of a batch: the 99th percentile is a bad batch, not a bad round trip.'
        : 'Each was timed by itself.',
      lines: batches.flat(),
    },
  ]
    .filter(({ lines }) => lines.some(({ kind }) => kind !== 'floor'))
    .map(({ lines, ...plot }) => ({ ...plot, x: PERCENTILE, y: TIME, lines: coloured(lines, subjects) }));
}

function byPercentile({ name }: Result, taken: Distribution = [], count = 0): Uncoloured[] {
  const points = taken
    // The maximum has no place on an axis without end: it is drawn where the last one of all samples is.
    .map(([percentile, value]) => [percentile === 100 ? count : oneInOf(percentile), value] as const)
    .filter(([, value]) => value > 0);
  return points.length < FEWEST ? [] : [{ subject: name, name, kind: kindOf({ name }), points }];
}

/** `<benchmark>/<subject>/<bytes>`: a line for each subject that has more than one size. */
function sizePlot(section: string, results: readonly Result[]): LinePlot[] {
  const bandwidth = section === 'bandwidth';
  const lines = new Map<string, { kind: Kind; points: [number, number][] }>();
  for (const result of results) {
    const { rate, name } = result;
    const named = sizeOf(name);
    if (rate === undefined || named === undefined) continue;
    const line = lines.get(named.subject) ?? { kind: kindOf(result), points: [] };
    const { messagesPerSecond, bytesPerSecond = messagesPerSecond * named.bytes } = rate;
    line.points.push([named.bytes, bandwidth ? bytesPerSecond : messagesPerSecond]);
    lines.set(named.subject, line);
  }
  const drawn = [...lines].filter(([, { points }]) => points.length > 1);
  if (drawn.length === 0) return [];
  return [
    {
      id: `${section}-by-size`,
      title: `${bandwidth ? 'Bytes' : 'Messages'} per second by message size`,
      note: `Of the median burst${bandwidth ? '; payload alone is counted' : ''}.`,
      x: { label: 'bytes of a message', quantity: 'bytes', base: 2 },
      y: bandwidth
        ? { label: 'bytes per second', quantity: 'bytesPerSecond', base: 10 }
        : { label: 'messages per second', quantity: 'perSecond', base: 10 },
      lines: coloured(
        drawn.map(([subject, { kind, points }]) => ({
          subject,
          name: subject,
          kind,
          points: ascending(points),
        })),
      ),
    },
  ];
}

/** `latency/<subject>/<messages per second>`: for each subject a line of medians, and one of the 99th percentile. */
function loadPlot(results: readonly Result[]): LinePlot[] {
  const subjects = new Map<string, { kind: Kind; p50: [number, number][]; p99: [number, number][] }>();
  for (const result of results) {
    const named = loadOf(result.name);
    if (named === undefined || result.unit !== 'ns') continue;
    const { p50, p99 } = result.single ?? result;
    const points = subjects.get(named.subject) ?? { kind: kindOf(result), p50: [], p99: [] };
    if (p50 > 0) points.p50.push([named.perSecond, p50]);
    if (p99 > 0) points.p99.push([named.perSecond, p99]);
    subjects.set(named.subject, points);
  }
  if (subjects.size === 0) return [];
  const lines = [...subjects].flatMap(([subject, { kind, p50, p99 }]) => [
    { subject, name: `${subject}, median`, kind, points: ascending(p50) },
    { subject, name: `${subject}, p99`, kind, points: ascending(p99), dashed: true },
  ]);
  return [
    {
      id: 'latency-by-load',
      title: 'Time by messages per second',
      note: 'Messages leave at a given rate, whether the last one has arrived or not. Dashed is the 99th percentile.',
      x: { label: 'messages per second', quantity: 'perSecond', base: 10 },
      y: TIME,
      lines: coloured(lines),
    },
  ];
}

type Uncoloured = Omit<Line, 'colour' | 'dashed' | 'dotted'> & {
  readonly subject: string;
  readonly dashed?: boolean;
};

function order(name: string): number {
  return ['ours', 'peer', 'floor'].indexOf(kindOf({ name }));
}

/** By default ours have the first colours, which are told apart best. */
function coloured(
  lines: readonly Uncoloured[],
  subjects = lines.map(({ subject }) => subject).sort((a, b) => order(a) - order(b)),
): Line[] {
  const colours = [...new Set(subjects.map((subject) => subject.replace(VARIANT, '')))];
  return lines.map(({ subject, ...line }) => ({
    ...line,
    dashed: line.dashed ?? line.kind !== 'ours',
    dotted: VARIANT.test(subject),
    colour: colours.indexOf(subject.replace(VARIANT, '')),
  }));
}

function ascending(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  return [...points].sort(([a], [b]) => a - b);
}
