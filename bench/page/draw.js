/**
 * Runs in the page, behind uPlot: draws what `drawing.ts` has prepared. It decides on colours, which depend on the
 * reader's scheme, and on how many ticks there is room for.
 */
(() => {
  const { uPlot, document, matchMedia } = window;
  const drawings = JSON.parse(document.getElementById('drawings').textContent);
  const COLOURS = 8;
  const DASHES = { dashed: [7, 5], dotted: [2, 3] };
  const TICK_PX = 48;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  let drawn = [];

  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const heightFor = (width) => Math.round(Math.min(460, Math.max(280, width * 0.5)));

  /** As many ticks as there is room for, so that their labels do not meet. */
  const thinned = (ticks, [from, to], lengthPx, spacePx) => {
    const pixelOf = (value) => (Math.log(value / from) / Math.log(to / from)) * lengthPx;
    const kept = [];
    for (const tick of ticks) {
      if (kept.length === 0 || pixelOf(tick) - pixelOf(kept.at(-1)) >= spacePx) kept.push(tick);
    }
    return kept;
  };

  /** The line as a piece of it, for the legend. */
  const swatch = ({ dash, stroke }) => {
    const colour = stroke(null, 0);
    if (!dash) return colour;
    const [on, off] = dash[0] === DASHES.dotted[0] ? [2, 5] : [6, 9];
    return `repeating-linear-gradient(90deg, ${colour} 0 ${on}px, transparent ${on}px ${off}px)`;
  };

  const axis = ({ label, range, ticks, tickLabels }, spacePx, lengthOf, more) => ({
    label,
    labelGap: 4,
    stroke: variable('--text'),
    grid: { stroke: variable('--grid'), width: 1 },
    ticks: { stroke: variable('--grid'), width: 1 },
    font: '12px system-ui, sans-serif',
    labelFont: '13px system-ui, sans-serif',
    splits: (plot) => thinned(ticks, range, lengthOf(plot), spacePx),
    filter: (_, splits) => splits,
    values: (_, splits) => splits.map((tick) => tickLabels[ticks.indexOf(tick)]),
    ...more,
  });

  const line = ({ name, colour, dashed, dotted, labels, ys }) => ({
    label: name,
    stroke: variable(`--line-${colour % COLOURS}`),
    width: 2,
    dash: dotted ? DASHES.dotted : dashed ? DASHES.dashed : undefined,
    spanGaps: true,
    points: { show: ys.filter((y) => y !== null).length <= 24, size: 6, fill: variable('--ground') },
    value: (_, __, ___, i) => (i === null ? '' : (labels[i] ?? '–')),
  });

  const options = ({ x, y, xLabels, lines }, width) => ({
    width,
    height: heightFor(width),
    scales: {
      x: { time: false, distr: 3, log: x.base, range: () => x.range },
      y: { distr: 3, log: y.base, range: () => y.range },
    },
    axes: [
      axis(x, TICK_PX, (plot) => plot.width - 80, { size: 34, labelSize: 20 }),
      axis(y, 24, (plot) => plot.height - 60, { size: 60, labelSize: 20 }),
    ],
    cursor: { drag: { x: false, y: false }, points: { size: 8 } },
    legend: {
      markers: {
        width: 0,
        fill: (plot, i) => swatch(plot.series[i]),
      },
    },
    series: [
      { label: x.label, value: (_, __, ___, i) => (i === null ? '' : xLabels[i]) },
      ...lines.map(line),
    ],
  });

  const drawAll = () => {
    for (const plot of drawn) plot.destroy();
    drawn = drawings.map((drawing) => {
      const place = document.querySelector(`[data-plot="${drawing.id}"]`);
      const data = [drawing.xs, ...drawing.lines.map(({ ys }) => ys)];
      return new uPlot(options(drawing, place.clientWidth), data, place);
    });
  };

  const resizeAll = () => {
    drawn.forEach((plot) => {
      const width = plot.root.parentElement.clientWidth;
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: heightFor(width) });
    });
  };

  drawAll();
  window.addEventListener('resize', resizeAll);
  dark.addEventListener('change', drawAll);
})();
