/** A report as text for a terminal. */
import { BENCHMARKS, type Benchmark } from './arguments.js';
import type { Environment } from './environment.js';
import type { Ratio, Report, Result, Unit } from './report.js';
import { type Section, sectionsOf } from './sections.js';

const TIMES_HEAD = ['mean', 'p50', 'p99', 'p99.9', 'max'];
const BATCH_HEAD = ['batches, mean round trip', ...TIMES_HEAD, 'mean/floor', 'p50/floor', 'n'];
const PEER_HEAD = [
  'batches, mean round trip',
  ...TIMES_HEAD,
  'mean/floor',
  'p50/floor',
  'mean/port',
  'p50/port',
  'n',
];
const EVERYDAY_HEAD = ['values', ...TIMES_HEAD, 'p50/peer', 'n'];
const EVERYDAY_RATES_HEAD = ['many values', 'median', 'mean', 'slowest', 'fastest', 'p50/peer', 'n'];
const ALONE_HEAD = [
  'batches, mean round trip',
  ...TIMES_HEAD,
  'mean/floor',
  'p50/floor',
  'mean/alone',
  'p50/alone',
  'n',
];
const IDLE_HEAD = ['idle connections', 'mean', 'p50', 'max', 'n'];
const SINGLE_HEAD = ['single round trips', ...TIMES_HEAD, 'clock', 'n'];
const RATE_HEAD = ['one way', 'messages/s', 'slowest', 'fastest', 'written, sender', 'receiver', 'n'];
const FLOW_HEAD = ['one way', 'median', 'mean', 'slowest', 'fastest', 'payload', 'p50/floor', 'n'];
const PACED_HEAD = ['messages at a fixed rate', ...TIMES_HEAD, 'p50/floor', 'achieved', 'n'];
const GROUPS_HEAD = [
  'threads of groups',
  'messages/s',
  'slowest',
  'fastest',
  'p50/one',
  'per CPU second',
  'p50/one',
  'processors',
  'of clients',
  'n',
];
const MEMORY_HEAD = ['memory', 'mean', 'p50', 'max', 'n'];
const WRITE_HEAD = ['one write made safe', ...TIMES_HEAD, 'p50/fdatasync', 'p50/awaited', 'n'];

/** Cells as they are shown; the first column names what the others tell of. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function formatReport(report: Report): string {
  const { environment, results, failed, warnings } = report;
  const { node, v8, cpu, cores, kernel, version, quick, benchmark } = environment;
  const lines = [
    `tcpshm ${version} ${benchmark}${quick ? ' (quick)' : ''}, node ${node} (V8 ${v8}), ${kernel}`,
    `${cpu}, ${cores} cores, ${placement(environment)}`,
    ...sectionsOf(results, benchmark)
      .flatMap(tablesOf)
      .flatMap((table) => ['', ...formatTable(table)]),
  ];
  for (const { name, reason } of failed) lines.push('', `not measured: ${name}: ${reason}`);
  for (const warning of warnings) lines.push('', `warning: ${warning}`);
  return `${lines.join('\n')}\n`;
}

/** Of the results of one benchmark, which `sectionsOf` has found. */
export function tablesOf({ name, results }: Section): Table[] {
  const benchmark = BENCHMARKS.find((each) => each === name);
  const tables = benchmark === undefined ? anyTables(results) : TABLES[benchmark](results);
  return tables.filter(({ rows }) => rows.length > 0);
}

/** Nanoseconds with a unit that keeps them short: '233 ns', '59.1 µs', '4.20 ms'. */
export function formatTime(ns: number): string {
  if (ns < 10_000) return `${ns.toFixed(0)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} µs`;
  return `${(ns / 1e6).toFixed(2)} ms`;
}

export function placement({ cpus, pinned, disk }: Pick<Environment, 'cpus' | 'pinned' | 'disk'>): string {
  const where = disk === undefined ? '' : `, ${disk.directory} on ${disk.device} (${disk.type})`;
  if (cpus.length === 0) return `not pinned${where}`;
  return `${pinned ? 'pinned to' : 'floors pinned to'} ${cpus.join(' and ')}${where}`;
}

const TABLES: Record<Benchmark, (results: readonly Result[]) => Table[]> = {
  rtt: (results) => roundTripTables(BATCH_HEAD, results.map(batchRow), results),
  throughput: flowTables,
  bandwidth: flowTables,
  peers: flowTables,
  latency: (results) => [{ head: PACED_HEAD, rows: results.map(pacedRow) }],
  memory: (results) => [{ head: MEMORY_HEAD, rows: results.map(idleRow) }],
  messaging: (results) => {
    const trips = results.filter(({ unit }) => unit === 'ns');
    return [
      ...roundTripTables(
        PEER_HEAD,
        trips.map((result) => comparedRow(result, result.peerRatio)),
        trips,
      ),
      { head: FLOW_HEAD, rows: results.filter(isFlow).map(flowRow) },
    ];
  },
  waiting: (results) => {
    const trips = results.filter(({ unit }) => unit === 'ns');
    const idle = results.filter(({ unit }) => unit !== 'ns');
    return [
      ...roundTripTables(
        PEER_HEAD,
        trips.map((result) => comparedRow(result, result.peerRatio)),
        trips,
      ),
      { head: IDLE_HEAD, rows: idle.map(idleRow) },
    ];
  },
  everyday: (results) => {
    const timed = results.filter(({ unit }) => unit === 'ns');
    return [
      ...roundTripTables(EVERYDAY_HEAD, timed.map(valuesRow), timed),
      { head: EVERYDAY_RATES_HEAD, rows: results.filter(isFlow).map(manyValuesRow) },
    ];
  },
  scale: (results) => {
    const trips = results.filter(({ unit }) => unit === 'ns');
    return [
      ...roundTripTables(
        ALONE_HEAD,
        trips.map((result) => comparedRow(result, result.aloneRatio)),
        trips,
      ),
      { head: GROUPS_HEAD, rows: results.flatMap(groupsRow) },
    ];
  },
  durability: durabilityTables,
};

function roundTripTables(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  results: readonly Result[],
): Table[] {
  return [
    { head, rows },
    { head: SINGLE_HEAD, rows: results.flatMap(singleRow) },
  ];
}

/** Rates, and what else there is beside them. */
function flowTables(results: readonly Result[]): Table[] {
  const flows = results.filter(isFlow);
  const trips = results.filter(({ unit }) => unit === 'ns');
  const others = results.filter((result) => !flows.includes(result) && !trips.includes(result));
  return [
    { head: FLOW_HEAD, rows: flows.map(flowRow) },
    ...roundTripTables(BATCH_HEAD, trips.map(batchRow), trips),
    { head: IDLE_HEAD, rows: others.map(idleRow) },
  ];
}

function anyTables(results: readonly Result[]): Table[] {
  return [
    ...roundTripTables(BATCH_HEAD, results.map(batchRow), results),
    { head: RATE_HEAD, rows: results.flatMap(rateRow) },
  ];
}

function durabilityTables(results: readonly Result[]): Table[] {
  const writes = results.filter(({ rate }) => rate === undefined);
  return [
    { head: RATE_HEAD, rows: results.flatMap(rateRow) },
    { head: WRITE_HEAD, rows: writes.map(writeRow) },
  ];
}

function batchRow(result: Result): string[] {
  const { ratio, n } = result;
  return [
    nameOf(result),
    ...times(result),
    multiple(ratio?.mean),
    multiple(ratio?.p50),
    n.toLocaleString('en'),
  ];
}

/** The same with one more comparison. */
function comparedRow(result: Result, other: Ratio | undefined): string[] {
  const cells = batchRow(result);
  return [...cells.slice(0, -1), multiple(other?.mean), multiple(other?.p50), ...cells.slice(-1)];
}

/** Beside what each of them is compared with. */
function valuesRow(result: Result): string[] {
  return [nameOf(result), ...times(result), multiple(result.peerRatio?.p50), result.n.toLocaleString('en')];
}

function manyValuesRow(result: Result): string[] {
  const { p50, mean, unit, rate, peerRatio, n } = result;
  return [
    nameOf(result),
    ...[p50, mean, rate?.slowest ?? 0, rate?.fastest ?? 0].map((value) => formatRate(value, unit)),
    multiple(peerRatio?.p50),
    n.toLocaleString('en'),
  ];
}

function idleRow(result: Result): string[] {
  const { mean, p50, max, unit, n } = result;
  const shown = (value: number): string =>
    unit === 'B' ? formatBytes(value) : `${value.toFixed(2)} ${unit}`;
  return [nameOf(result), ...[mean, p50, max].map(shown), n.toLocaleString('en')];
}

function formatBytes(bytes: number): string {
  const [unit, size] = Math.abs(bytes) < 2 ** 20 ? ['KiB', 2 ** 10] : ['MiB', 2 ** 20];
  return `${(bytes / (size as number)).toFixed(1)} ${unit}`;
}

function nameOf({ name, unsettled, pace }: Result): string {
  const flaws = [...(pace?.held === false ? ['not held'] : []), ...(unsettled ? ['unsettled'] : [])];
  return flaws.length > 0 ? `${name} (${flaws.join(', ')})` : name;
}

function singleRow({ name, single }: Result): string[][] {
  if (single === undefined) return [];
  return [[name, ...times(single), formatTime(single.clock), single.n.toLocaleString('en')]];
}

function rateRow({ name, rate, n }: Result): string[][] {
  if (rate?.writtenBytes === undefined) return [];
  const { messagesPerSecond, slowest, fastest, writtenBytes } = rate;
  const written = [writtenBytes.sender, writtenBytes.receiver].map((bytes) => `${bytes.toFixed(0)} B`);
  const counts = [messagesPerSecond, slowest, fastest].map((count) => count.toLocaleString('en'));
  return [[name, ...counts, ...written, n.toLocaleString('en')]];
}

function pacedRow(result: Result): string[] {
  const { ratio, pace, n } = result;
  const achieved = pace === undefined ? '' : formatRate(pace.achieved, '/s');
  return [nameOf(result), ...times(result), multiple(ratio?.p50), achieved, n.toLocaleString('en')];
}

function isFlow({ unit }: Result): boolean {
  return unit === '/s' || unit === 'B/s';
}

function flowRow(result: Result): string[] {
  const { unit, p50, mean, rate, ratio, n } = result;
  const perMessage = unit === 'B/s' && rate !== undefined ? p50 / rate.messagesPerSecond : 1;
  const [slowest, fastest] = [rate?.slowest ?? 0, rate?.fastest ?? 0].map((each) => each * perMessage);
  return [
    nameOf(result),
    ...[p50, mean, slowest, fastest].map((value) => formatRate(value as number, unit)),
    rate?.bytesPerSecond === 0 ? '' : formatRate(rate?.bytesPerSecond ?? 0, 'B/s'),
    multiple(ratio?.p50),
    n.toLocaleString('en'),
  ];
}

function groupsRow(result: Result): string[][] {
  const { p50, unit, rate, oneGroupRatio, groups, n } = result;
  if (groups === undefined) return [];
  const { messagesPerCpuSecond, perCpuRatio, shares, clientsShare } = groups;
  return [
    [
      nameOf(result),
      ...[p50, rate?.slowest ?? 0, rate?.fastest ?? 0].map((value) => formatRate(value, unit)),
      multiple(oneGroupRatio?.p50),
      formatRate(messagesPerCpuSecond, unit),
      multiple(perCpuRatio?.p50),
      shares.map(percent).join(', '),
      percent(clientsShare),
      n.toLocaleString('en'),
    ],
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

/** Messages or bytes in a second: '12.34 M/s', '567.8 k/s', '4.56 GB/s', '78.9 MB/s'. */
export function formatRate(perSecond: number, unit: Unit): string {
  if (unit === 'B/s') {
    return perSecond < 1e8 ? `${(perSecond / 1e6).toFixed(1)} MB/s` : `${(perSecond / 1e9).toFixed(2)} GB/s`;
  }
  return perSecond < 1e6 ? `${(perSecond / 1e3).toFixed(1)} k/s` : `${(perSecond / 1e6).toFixed(2)} M/s`;
}

function writeRow(result: Result): string[] {
  const { name, ratio, awaitedRatio, n } = result;
  return [name, ...times(result), multiple(ratio?.p50), multiple(awaitedRatio?.p50), n.toLocaleString('en')];
}

function times({
  mean,
  p50,
  p99,
  p999,
  max,
}: Pick<Result, 'mean' | 'p50' | 'p99' | 'p999' | 'max'>): string[] {
  return [mean, p50, p99, p999, max].map(formatTime);
}

function multiple(ratio: number | undefined): string {
  if (ratio === undefined) return '';
  return ratio < 0.5 ? `1/${(1 / ratio).toFixed(1)}` : ratio.toFixed(2);
}

/** As lines of text: the first column to the left, the others to the right, each as wide as its widest cell. */
export function formatTable({ head, rows }: Table): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
      .join('  ');
  return [line(head), widths.map((width) => '─'.repeat(width)).join('──'), ...rows.map(line)];
}
