/** A plot as data that the page draws without a decision of its own: values of all lines by the same `x`, and labels. */
import type { Axis, Line, LinePlot } from './plots.js';
import { formatQuantity, formatTick, ticksWithin } from './quantities.js';

export interface DrawnAxis {
  readonly label: string;
  readonly base: 2 | 10;
  readonly range: readonly [from: number, to: number];
  readonly ticks: readonly number[];
  /** One for each tick. */
  readonly tickLabels: readonly string[];
}

export interface DrawnLine extends Pick<Line, 'name' | 'colour' | 'dashed' | 'dotted'> {
  /** One for each of `xs`; null where the line has no point there. */
  readonly ys: readonly (number | null)[];
  readonly labels: readonly (string | null)[];
}

export interface Drawing {
  readonly id: string;
  readonly x: DrawnAxis;
  readonly y: DrawnAxis;
  readonly xs: readonly number[];
  readonly xLabels: readonly string[];
  readonly lines: readonly DrawnLine[];
}

/** Room at both ends of an axis, so that no point is on its edge. */
const MARGIN = 1.15;

export function draw({ id, x, y, lines }: LinePlot): Drawing {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const ys = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const drawn = lines.map(({ name, colour, dashed, dotted, points }) => {
    const values = new Map(points);
    const aligned = xs.map((at) => values.get(at) ?? null);
    return {
      name,
      colour,
      dashed,
      dotted,
      ys: aligned,
      labels: aligned.map((value) => (value === null ? null : formatQuantity(value, y.quantity))),
    };
  });
  return {
    id,
    x: drawnAxis(x, xs, x.quantity === 'percentile' ? 1 : MARGIN),
    y: drawnAxis(y, ys, MARGIN),
    xs,
    xLabels: xs.map((at) => formatQuantity(at, x.quantity)),
    lines: drawn,
  };
}

function drawnAxis({ label, quantity, base }: Axis, values: readonly number[], margin: number): DrawnAxis {
  const range = { from: Math.min(...values) / margin, to: Math.max(...values) * MARGIN };
  const ticks = ticksWithin(range, base, quantity);
  return {
    label,
    base,
    range: [range.from, range.to],
    ticks,
    tickLabels: ticks.map((tick) => formatTick(tick, quantity)),
  };
}
