/** A comparison as text for a terminal. */
import { formatRate, formatTable, formatTime } from '../table.js';
import type { Change, Comparison, Verdict } from './compare.js';

const HEAD = ['compared', 'figure', 'base', 'new', 'change', 'noise', 'verdict'];
/** What asks for a look comes first. */
const ORDER: readonly Verdict[] = [
  'worse',
  'failed',
  'better',
  'within noise',
  'not judged',
  'missing',
  'new',
];

export function formatComparison({ changes, warnings }: Comparison): string {
  const sorted = ORDER.flatMap((verdict) => changes.filter((change) => change.verdict === verdict));
  const counts = ORDER.map((verdict) => ({
    verdict,
    count: changes.filter((change) => change.verdict === verdict).length,
  })).filter(({ count }) => count > 0);
  return [
    ...formatTable({ head: HEAD, rows: sorted.map(row) }),
    '',
    counts.map(({ verdict, count }) => `${count} ${verdict}`).join(', ') || 'nothing to compare',
    ...warnings.flatMap((warning) => ['', `warning: ${warning}`]),
    '',
  ].join('\n');
}

function row({ name, figure, unit, base, now, change, noise, verdict }: Change): string[] {
  const shown = (value: number | undefined): string => (value === undefined ? '' : formatValue(value, unit));
  return [
    name,
    figure,
    shown(base),
    shown(now),
    change === undefined ? '' : signed(change),
    noise === undefined ? '' : `±${percent(noise)}`,
    verdict,
  ];
}

function formatValue(value: number, unit: Change['unit']): string {
  switch (unit) {
    case 'ns':
      return formatTime(value);
    case 'ratio':
      return value < 0.5 ? value.toPrecision(3) : value.toFixed(2);
    case 'B':
      return `${(value / 1024).toFixed(1)} KiB`;
    case '%':
      return `${value.toFixed(2)} %`;
    case '/s':
    case 'B/s':
      return formatRate(value, unit);
  }
}

function signed(share: number): string {
  return `${share < 0 ? '−' : '+'}${percent(Math.abs(share))}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
