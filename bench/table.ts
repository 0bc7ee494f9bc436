/** A report as text for a terminal. */
import type { Report, Result } from './report.js';

const BATCH_HEAD = [
  'batches, mean round trip',
  'mean',
  'p50',
  'p99',
  'p99.9',
  'max',
  'mean/floor',
  'p50/floor',
  'n',
];
const SINGLE_HEAD = ['single round trips', 'mean', 'p50', 'p99', 'p99.9', 'max', 'clock', 'n'];

export function formatReport({ environment, results, failed, warnings }: Report): string {
  const { node, v8, cpu, cores, kernel, cpus, pinned, version, quick, benchmark } = environment;
  const lines = [
    `tcpshm ${version} ${benchmark}${quick ? ' (quick)' : ''}, node ${node} (V8 ${v8}), ${kernel}`,
    `${cpu}, ${cores} cores, ${pinned ? 'pinned to' : 'floors pinned to'} ${cpus.join(' and ')}`,
    '',
    ...table(BATCH_HEAD, results.map(batchRow)),
    '',
    ...table(SINGLE_HEAD, results.flatMap(singleRow)),
  ];
  for (const { name, reason } of failed) lines.push('', `not measured: ${name}: ${reason}`);
  for (const warning of warnings) lines.push('', `warning: ${warning}`);
  return `${lines.join('\n')}\n`;
}

/** Nanoseconds with a unit that keeps them short: '233 ns', '59.1 µs', '4.20 ms'. */
export function formatTime(ns: number): string {
  if (ns < 10_000) return `${ns.toFixed(0)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} µs`;
  return `${(ns / 1e6).toFixed(2)} ms`;
}

function batchRow(result: Result): string[] {
  const { name, mean, p50, p99, p999, max, ratio, n, unsettled } = result;
  return [
    unsettled ? `${name} (unsettled)` : name,
    ...[mean, p50, p99, p999, max].map(formatTime),
    ratio === undefined ? '' : ratio.mean.toFixed(2),
    ratio === undefined ? '' : ratio.p50.toFixed(2),
    n.toLocaleString('en'),
  ];
}

function singleRow({ name, single }: Result): string[][] {
  if (single === undefined) return [];
  const { mean, p50, p99, p999, max, clock, n } = single;
  return [[name, ...[mean, p50, p99, p999, max, clock].map(formatTime), n.toLocaleString('en')]];
}

/** The first column to the left, the others to the right, each as wide as its widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
      .join('  ');
  return [line(head), widths.map((width) => '─'.repeat(width)).join('──'), ...rows.map(line)];
}
