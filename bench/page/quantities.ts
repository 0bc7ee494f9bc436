/** Values as they are shown in a page, and the ticks of logarithmic axes. */
import { formatTime } from '../table.js';

/** How values of an axis are called. `percentile` is given as how many samples there are for one above it. */
export type Quantity = 'percentile' | 'bytes' | 'time' | 'perSecond' | 'bytesPerSecond';

/** As exact as is of use. */
export function formatQuantity(value: number, quantity: Quantity): string {
  switch (quantity) {
    case 'time':
      return value < 10 ? `${value.toPrecision(2)} ns` : formatTime(value);
    case 'percentile':
      return percent(value);
    case 'bytes':
      return scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB']);
    case 'perSecond':
      return `${scaled(value, 1000, ['', 'k', 'M', 'G'])}/s`;
    case 'bytesPerSecond':
      return scaled(value, 1000, ['B/s', 'kB/s', 'MB/s', 'GB/s']);
  }
}

/** On an axis: as short as can be, of values that are round. */
export function formatTick(value: number, quantity: Quantity): string {
  if (quantity === 'time') return scaled(value, 1000, ['ns', 'µs', 'ms', 's']);
  if (quantity === 'perSecond') return scaled(value, 1000, ['', 'k', 'M', 'G']).trim();
  return formatQuantity(value, quantity);
}

/** `oneIn` 1000: '99.9 %'. */
function percent(oneIn: number): string {
  const above = 100 / oneIn;
  const digits = Math.max(0, Math.ceil(-Math.log10(above)) + (oneIn >= 100 ? 0 : 1));
  return `${Number((100 - above).toFixed(digits))} %`;
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let rest = value;
  let i = 0;
  for (; i < units.length - 1 && rest >= step * 0.9995; i++) rest /= step;
  return `${Number(rest.toPrecision(3))} ${units[i]}`.trimEnd();
}

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Round values within a range: powers of the base, and what is between where these are few. */
export function ticksWithin({ from, to }: Range, base: 2 | 10, quantity: Quantity): number[] {
  if (quantity === 'percentile') {
    return [1, 2, ...powers({ from: 10, to }, 10, [1])].filter((tick) => tick >= from && tick <= to);
  }
  if (base === 2) return powers({ from, to }, 2, [1]);
  const whole = powers({ from, to }, 10, [1]);
  return whole.length > 2 ? whole : powers({ from, to }, 10, [1, 2, 5]);
}

function powers({ from, to }: Range, base: number, multiples: readonly number[]): number[] {
  const ticks: number[] = [];
  for (let exponent = Math.floor(Math.log(from) / Math.log(base)); base ** exponent <= to; exponent++) {
    ticks.push(...multiples.map((multiple) => multiple * base ** exponent));
  }
  return ticks.filter((tick) => tick >= from && tick <= to);
}
