import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { readAssets } from '../../bench/page/assets.js';
import type { Drawing } from '../../bench/page/drawing.js';
import { formatPage } from '../../bench/page/page.js';
import type { Report } from '../../bench/report.js';
import { oneWay, reportOf, roundTrips, timed } from './results.js';

const ASSETS = { scripts: ['void 1;'], styles: ['p {}'] };

const report = reportOf(
  [
    timed('limit/core-to-core', 100),
    roundTrips('rtt/shm', 230),
    roundTrips('peer/message-port', 50_000),
    oneWay('throughput/shm/64', 45),
    oneWay('throughput/shm/1024', 90),
    timed('durability/flush', 140_000),
    { ...timed('waiting/idle-1000/cpu', 1), unit: '%' },
    { ...timed('waiting/idle-1000/memory', 30_000), unit: 'B' },
  ],
  {
    failed: [{ name: 'peer/other', reason: 'no package <other> & so on' }],
    warnings: ['</script><script>alert("busy")</script>'],
  },
);

/** What a script element of the page has in it. */
function embedded(page: string, id: string): string {
  const found = new RegExp(`<script type="application/json" id="${id}">(.*)</script>`).exec(page);
  if (found === null) throw new Error(`the page has no data '${id}'`);
  return found[1] as string;
}

const drawings = (page: string): Drawing[] => JSON.parse(embedded(page, 'drawings')) as Drawing[];
const ids = (page: string): string[] => drawings(page).map(({ id }) => id);

describe('page of a report', () => {
  it('has every result in its tables, and what failed', () => {
    const page = formatPage(report, ASSETS);
    for (const { name } of report.results) {
      expect(page).to.match(new RegExp(`<tr><th scope="row">${name}</th><td>`));
    }
    expect(page).to.include('Not measured: peer/other: no package &lt;other&gt; &amp; so on');
  });

  it('tells where it was measured', () => {
    const page = formatPage(report, ASSETS);
    for (const text of [
      'A processor, 2 cores',
      'v20.19.0, V8 11.3',
      'Linux 6',
      'pinned to 0 and 1',
      '2030-01-01',
    ]) {
      expect(page).to.include(text);
    }
  });

  it('has the whole report as data, which no text in it can leave', () => {
    const page = formatPage(report, ASSETS);
    expect(page).not.to.include('<script>alert');
    expect(embedded(page, 'report')).not.to.include('<');
    expect(JSON.parse(embedded(page, 'report')) as Report).to.deep.equal(report);
  });

  it('contains its programs and styles, and asks for nothing from elsewhere', () => {
    const page = formatPage(report, readAssets());
    expect(page).to.include("default-src 'none'");
    expect(page).not.to.match(/<(?:link|img|iframe|base)\b|<script[^>]*\ssrc=|@import|url\(/i);
    // The programs are whole: they can be compiled.
    const programs = [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
      ([, source]) => source as string,
    );
    expect(programs).to.have.length(2);
    for (const source of programs) expect(() => runInNewContext(`() => { ${source}\n}`)).not.to.throw();
  });

  it('refuses programs and styles that would end their element', () => {
    expect(() => formatPage(report, { ...ASSETS, scripts: ['"</script>"'] })).to.throw(
      /would end its element/,
    );
    expect(() => formatPage(report, { ...ASSETS, styles: ['</STYLE>'] })).to.throw(/would end its element/);
  });

  it('has a place for each plot, and a table behind it with every value', () => {
    const page = formatPage(report, ASSETS);
    expect(ids(page)).to.include.members(['rtt-single', 'rtt-batches', 'throughput-by-size']);
    for (const { id, xs, xLabels, lines } of drawings(page)) {
      const places = page.match(new RegExp(`data-plot="${id}" role="img" aria-label="[^"]+"`, 'g'));
      expect(places, id).to.have.length(1);
      expect(xLabels, id).to.have.length(xs.length);
      for (const { labels } of lines) {
        for (const label of labels) if (label !== null) expect(page).to.include(`<td>${label}</td>`);
      }
    }
  });

  it('leaves out plots of what was not measured', () => {
    expect(ids(formatPage(reportOf([roundTrips('rtt/shm', 230)]), ASSETS))).to.deep.equal([
      'rtt-single',
      'rtt-batches',
    ]);
    const empty = formatPage(reportOf([]), ASSETS);
    expect(ids(empty)).to.deep.equal([]);
    expect(empty).not.to.include('<figure');
  });
});
