/** A report as one page of HTML that needs nothing else: programs, styles and data are in it. */
import type { Environment } from '../environment.js';
import type { Report } from '../report.js';
import { type Section, sectionsOf } from '../sections.js';
import { placement, type Table, tablesOf } from '../table.js';
import type { Assets } from './assets.js';
import { type BarPlot, barPlots, placeOf, ticksOf } from './bars.js';
import { type Drawing, draw } from './drawing.js';
import { embedJson, embedScript, embedStyle, escapeHtml } from './html.js';
import { type LinePlot, linePlots } from './plots.js';
import { formatQuantity, formatTick } from './quantities.js';

/** Nothing is loaded, whatever the page contains: only what is in it may run. */
const POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

const KINDS = [
  ['ours', 'this package'],
  ['peer', 'peers'],
  ['floor', 'floors'],
] as const;

export function formatPage(report: Report, { scripts, styles }: Assets): string {
  const { environment, results } = report;
  const sections = sectionsOf(results, environment.benchmark);
  const names = sections.map(({ name }) => name).join(', ') || environment.benchmark;
  const title = `tcpshm ${environment.version}: ${names}`;
  const drawings: Drawing[] = [];
  const bodies = sections.map((section) => {
    const plots = linePlots(section).map((plot) => ({ plot, drawing: draw(plot) }));
    drawings.push(...plots.map(({ drawing }) => drawing));
    return sectionElement(section, plots);
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escapeHtml(title)}</title>
${styles.map((style) => `<style>${embedStyle(style)}</style>`).join('\n')}
</head>
<body>
<main>
<h1>Benchmarks of tcpshm ${escapeHtml(environment.version)}${environment.quick ? ' <small>(quick)</small>' : ''}</h1>
${environmentList(environment)}
${notices(report)}
${bodies.join('\n')}
</main>
<script type="application/json" id="report">${embedJson(report)}</script>
<script type="application/json" id="drawings">${embedJson(drawings)}</script>
${scripts.map((script) => `<script>${embedScript(script)}</script>`).join('\n')}
</body>
</html>
`;
}

function environmentList(environment: Environment): string {
  const { cpu, cores, node, v8, kernel, platform, compiler, date, loadAverage, disk } = environment;
  const entries: [string, string][] = [
    ['processor', `${cpu}, ${cores} cores`],
    ['threads', placement({ cpus: environment.cpus, pinned: environment.pinned })],
    ['Node.js', `${node}, V8 ${v8}`],
    ['system', `${kernel}, ${platform}`],
    ['load before', String(loadAverage)],
    ['date', date],
  ];
  if (compiler !== '') entries.push(['floors', `compiled with ${compiler}`]);
  if (disk !== undefined) entries.push(['disk', `${disk.directory} on ${disk.device} (${disk.type})`]);
  const items = entries.map(([term, text]) => `<div><dt>${term}</dt><dd>${escapeHtml(text)}</dd></div>`);
  return `<dl class="environment">${items.join('')}</dl>`;
}

function notices({ failed, warnings }: Report): string {
  const items = [
    ...failed.map(
      ({ name, reason }) => `<li class="failed">Not measured: ${escapeHtml(`${name}: ${reason}`)}</li>`,
    ),
    ...warnings.map((warning) => `<li>Warning: ${escapeHtml(warning)}</li>`),
  ];
  return items.length === 0 ? '' : `<ul class="notices">${items.join('')}</ul>`;
}

function sectionElement(
  section: Section,
  plots: readonly { readonly plot: LinePlot; readonly drawing: Drawing }[],
): string {
  return `<section>
<h2>${escapeHtml(section.name)}</h2>
${barPlots(section).map(barFigure).join('\n')}
${plots.map(({ plot, drawing }) => lineFigure(plot, drawing)).join('\n')}
<h3>Tables</h3>
${tablesOf(section)
  .map((table) => tableElement(table, `${section.name}: ${table.head[0]}`))
  .join('\n')}
</section>`;
}

function lineFigure({ id, title, note }: LinePlot, drawing: Drawing): string {
  const { x, y, lines } = drawing;
  const label = `${title}. ${lines.length} lines of ${y.label} by ${x.label}; the same as a table follows.`;
  return `<figure>
<figcaption><h3 id="${escapeHtml(id)}">${escapeHtml(title)}</h3><p>${escapeHtml(note)}</p></figcaption>
<div class="plot" data-plot="${escapeHtml(id)}" role="img" aria-label="${escapeHtml(label)}"></div>
<details><summary>As a table</summary>${tableElement(dataTable(drawing), title)}</details>
</figure>`;
}

/** What a plot is drawn from, a row for each `x`. */
function dataTable({ x, xs, xLabels, lines }: Drawing): Table {
  return {
    head: [x.label, ...lines.map(({ name }) => name)],
    rows: xs.map((_, i) => [xLabels[i] as string, ...lines.map(({ labels }) => labels[i] ?? '')]),
  };
}

function barFigure({ id, title, note, quantity, bars }: BarPlot): string {
  const axis = ticksOf(bars);
  const share = (value: number): string => (placeOf(value, axis) * 100).toFixed(2);
  const ticks = axis.ticks.map(
    (tick) => `<span style="--at:${share(tick)}">${escapeHtml(formatTick(tick, quantity))}</span>`,
  );
  const lines = axis.ticks.map((tick) => `<i style="--at:${share(tick)}"></i>`).join('');
  const rows = bars.map(({ name, kind, value, p99 }) => {
    const mark = p99 === undefined ? '' : `<b style="--at:${share(p99)}"></b>`;
    const second = p99 === undefined ? '' : `<td class="number">${formatQuantity(p99, quantity)}</td>`;
    return (
      `<tr class="${kind}"><th scope="row">${escapeHtml(name)}</th><td class="number">${formatQuantity(value, quantity)}</td>` +
      `${second}<td class="track" aria-hidden="true"><div>${lines}<em style="--to:${share(value)}"></em>${mark}</div></td></tr>`
    );
  });
  const kinds = KINDS.filter(([kind]) => bars.some((bar) => bar.kind === kind)).map(
    ([kind, words]) => `<span class="${kind}">${words}</span>`,
  );
  const columns = quantity === 'time' ? ['median', 'p99'] : ['messages/s'];
  const head = columns.map((column) => `<th scope="col" class="number">${column}</th>`).join('');
  return `<figure>
<figcaption><h3 id="${escapeHtml(id)}">${escapeHtml(title)}</h3><p>${escapeHtml(note)}</p>
<p class="legend">${kinds.join(' ')}</p></figcaption>
<table class="bars">
<thead><tr><th scope="col">name</th>${head}<td class="axis" aria-hidden="true"><div>${ticks.join('')}</div></td></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</figure>`;
}

/** Wide ones are scrolled by themselves, with the keyboard too. */
function tableElement({ head, rows }: Table, label: string): string {
  const headCells = head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join('');
  const bodyRows = rows.map(([first, ...others]) => {
    const cells = others.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('');
    return `<tr><th scope="row">${escapeHtml(first as string)}</th>${cells}</tr>`;
  });
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(label)}"><table>
<thead><tr>${headCells}</tr></thead>
<tbody>
${bodyRows.join('\n')}
</tbody>
</table></div>`;
}
