import { expect } from 'chai';
import { barPlots, placeOf, ticksOf } from '../../bench/page/bars.js';
import { draw } from '../../bench/page/drawing.js';
import { loadOf, sizeOf } from '../../bench/page/names.js';
import { type LinePlot, linePlots } from '../../bench/page/plots.js';
import { formatQuantity, formatTick, ticksWithin } from '../../bench/page/quantities.js';
import type { Result } from '../../bench/report.js';
import { sectionsOf } from '../../bench/sections.js';
import { oneWay, roundTrips, timed } from './results.js';

const plotsOf = (...results: Result[]): LinePlot[] => sectionsOf(results, 'rtt').flatMap(linePlots);
const barsOf = (...results: Result[]) => sectionsOf(results, 'rtt').flatMap(barPlots);
const find = (plots: readonly LinePlot[], id: string): LinePlot => {
  const found = plots.find((plot) => plot.id === id);
  if (found === undefined) throw new Error(`no plot ${id} among ${plots.map((plot) => plot.id).join(', ')}`);
  return found;
};

describe('sections of a report', () => {
  it('give floors to what stands behind them, peers to what stands before', () => {
    const names = ['limit/a', 'rtt/shm', 'peer/x', 'limit/a', 'waiting/park', 'peer/x', 'durability/disk'];
    const sections = sectionsOf(
      names.map((name) => timed(name, 1)),
      'rtt',
    );
    expect(sections.map(({ name, results }) => [name, ...results.map((each) => each.name)])).to.deep.equal([
      ['rtt', 'limit/a', 'rtt/shm', 'peer/x'],
      ['waiting', 'limit/a', 'waiting/park', 'peer/x'],
      ['durability', 'durability/disk'],
    ]);
  });

  it('give peers to the floors before them where ours come later', () => {
    const names = ['limit/a', 'rtt/shm', 'peer/x', 'limit/a', 'peer/x', 'peers/shm', 'peer/y'];
    const sections = sectionsOf(
      names.map((name) => timed(name, 1)),
      'rtt',
    );
    expect(sections.map(({ name, results }) => [name, results.length])).to.deep.equal([
      ['rtt', 3],
      ['peers', 4],
    ]);
  });

  it('keep what has nothing of ours beside it', () => {
    expect(
      sectionsOf([timed('limit/a', 1), timed('peer/x', 1)], 'rtt').map(({ name }) => name),
    ).to.deep.equal(['rtt']);
  });
});

describe('plots of a report', () => {
  it('draw single round trips and batches by percentile, the maximum where the last sample is', () => {
    const plots = plotsOf(timed('limit/core-to-core', 100), roundTrips('rtt/shm', 230));
    const single = find(plots, 'rtt-single');
    expect(single.lines.map(({ name }) => name)).to.deep.equal(['rtt/shm']);
    expect(single.lines[0]?.points[0]).to.deep.equal([1, 230]);
    expect(single.lines[0]?.points.at(-1)).to.deep.equal([500, 729]);
    const batches = find(plots, 'rtt-batches');
    expect(batches.lines.map(({ name, dashed }) => [name, dashed])).to.deep.equal([
      ['limit/core-to-core', true],
      ['rtt/shm', false],
    ]);
  });

  it('give a subject one colour in both', () => {
    const plots = plotsOf(timed('limit/core-to-core', 100), roundTrips('rtt/shm', 230));
    const colours = plots.map(({ lines }) => lines.find(({ name }) => name === 'rtt/shm')?.colour);
    expect(colours).to.deep.equal([0, 0]);
  });

  it('draw throughput by size, a line for each transport, however the results are ordered', () => {
    const plots = plotsOf(
      oneWay('throughput/shm/1024', 100),
      oneWay('throughput/tcp/64', 200),
      oneWay('throughput/shm/64', 50),
      oneWay('throughput/tcp/1024', 400),
    );
    const { lines } = find(plots, 'throughput-by-size');
    expect(lines.map(({ name, points }) => [name, points])).to.deep.equal([
      [
        'shm',
        [
          [64, 20e6],
          [1024, 10e6],
        ],
      ],
      [
        'tcp',
        [
          [64, 5e6],
          [1024, 2.5e6],
        ],
      ],
    ]);
  });

  it('give ours the first colours, and what is published in batches the colour of the same without', () => {
    const names = ['limit/ring', 'throughput/shm', 'throughput/tcp'];
    const results = names.flatMap((name) =>
      ['', '-batched'].flatMap((way) =>
        [16, 64].map((bytes) => oneWay(`${name}${name.startsWith('limit') ? '-' : '/'}${bytes}${way}`, 50)),
      ),
    );
    const { lines } = find(plotsOf(...results), 'throughput-by-size');
    expect(lines.map(({ name, colour, dashed, dotted }) => [name, colour, dashed, dotted])).to.deep.equal([
      ['limit/ring', 2, true, false],
      ['limit/ring-batched', 2, true, true],
      ['shm', 0, false, false],
      ['shm-batched', 0, false, true],
      ['tcp', 1, false, false],
      ['tcp-batched', 1, false, true],
    ]);
  });

  it('draw bandwidth in bytes', () => {
    const plots = plotsOf(oneWay('bandwidth/shm/4096', 1000), oneWay('bandwidth/shm/1MiB', 100_000));
    expect(find(plots, 'bandwidth-by-size').lines[0]?.points).to.deep.equal([
      [4096, 4096e6],
      [2 ** 20, 2 ** 20 * 1e4],
    ]);
  });

  it('draw latency by load, the median and the 99th percentile in one colour', () => {
    const plots = plotsOf(roundTrips('latency/shm/1000', 500), roundTrips('latency/shm/100k', 900));
    const { lines } = find(plots, 'latency-by-load');
    expect(lines.map(({ name, dashed, colour, points }) => [name, dashed, colour, points])).to.deep.equal([
      [
        'shm, median',
        false,
        0,
        [
          [1000, 749],
          [100_000, 1149],
        ],
      ],
      [
        'shm, p99',
        true,
        0,
        [
          [1000, 994],
          [100_000, 1394],
        ],
      ],
    ]);
    expect(plots).to.have.length(1);
  });

  it('leave out what would have nothing but floors', () => {
    const results = [
      timed('limit/a', 100),
      timed('limit/b', 200),
      roundTrips('latency/shm/1000', 500),
      roundTrips('latency/shm/100k', 900),
    ];
    expect(plotsOf(...results).map(({ id }) => id)).to.deep.equal(['latency-by-load']);
    expect(barsOf(...results)).to.deep.equal([]);
  });

  it('draw bars of times, the shortest first, and of rates, the highest first', () => {
    const [times, rates, ...more] = barsOf(
      timed('rtt/shm', 230),
      timed('limit/core-to-core', 100),
      timed('peer/message-port', 50_000),
      oneWay('rtt/way', 100),
      oneWay('peer/way', 1000),
      { ...timed('rtt/share', 1), unit: '%' },
    );
    expect(more).to.deep.equal([]);
    expect(times?.bars.map(({ name, kind }) => [name, kind])).to.deep.equal([
      ['limit/core-to-core', 'floor'],
      ['rtt/shm', 'ours'],
      ['peer/message-port', 'peer'],
    ]);
    expect(rates?.bars.map(({ name, value }) => [name, value])).to.deep.equal([
      ['rtt/way', 10e6],
      ['peer/way', 1e6],
    ]);
  });

  it('draw no bar alone, and none of what is drawn by size', () => {
    expect(barsOf(timed('rtt/shm', 230))).to.deep.equal([]);
    expect(barsOf(oneWay('throughput/shm/64', 50), oneWay('throughput/shm/1024', 100))).to.deep.equal([]);
  });

  it('have the values of all lines by the same x, and labels for them', () => {
    const plots = plotsOf(
      oneWay('throughput/shm/64', 50),
      oneWay('throughput/shm/256', 100),
      oneWay('throughput/tcp/256', 200),
      oneWay('throughput/tcp/1024', 400),
    );
    const { xs, xLabels, lines, x, y } = draw(find(plots, 'throughput-by-size'));
    expect(xs).to.deep.equal([64, 256, 1024]);
    expect(xLabels).to.deep.equal(['64 B', '256 B', '1 KiB']);
    expect(lines.map(({ ys }) => ys)).to.deep.equal([
      [20e6, 10e6, null],
      [null, 5e6, 2.5e6],
    ]);
    expect(lines[1]?.labels).to.deep.equal([null, '5 M/s', '2.5 M/s']);
    for (const { range, ticks, tickLabels } of [x, y]) {
      expect(tickLabels).to.have.length(ticks.length);
      for (const tick of ticks) expect(tick).to.be.within(...range);
    }
    for (const value of xs) expect(value).to.be.within(...x.range);
  });
});

describe('numbers in names of results', () => {
  it('are sizes', () => {
    expect(sizeOf('throughput/shm/64')).to.deep.equal({ subject: 'shm', bytes: 64 });
    expect(sizeOf('throughput/echo/tcp/4KiB')).to.deep.equal({ subject: 'echo/tcp', bytes: 4096 });
    expect(sizeOf('peer/zeromq/64')).to.deep.equal({ subject: 'peer/zeromq', bytes: 64 });
    expect(sizeOf('throughput/shm/64-batched')).to.deep.equal({ subject: 'shm-batched', bytes: 64 });
    expect(sizeOf('limit/ring-16-batched')).to.deep.equal({ subject: 'limit/ring-batched', bytes: 16 });
    expect(sizeOf('limit/memcpy-shm/4KiB')).to.deep.equal({ subject: 'limit/memcpy-shm', bytes: 4096 });
    for (const name of ['rtt/shm', 'rtt/64', 'scale/tcp/idle-1000', 'waiting/idle-1000/cpu', 'a/b/0']) {
      expect(sizeOf(name), name).to.equal(undefined);
    }
  });

  it('are rates where latency is measured', () => {
    expect(loadOf('latency/shm/100k')).to.deep.equal({ subject: 'shm', perSecond: 100_000 });
    expect(loadOf('latency/shm/1M')).to.deep.equal({ subject: 'shm', perSecond: 1_000_000 });
    expect(loadOf('throughput/shm/64')).to.equal(undefined);
  });
});

describe('axes of a page', () => {
  it('have ticks within their range, between powers of ten where these are few', () => {
    expect(ticksWithin({ from: 80, to: 1.2e6 }, 10, 'time')).to.deep.equal([100, 1000, 1e4, 1e5, 1e6]);
    expect(ticksWithin({ from: 30, to: 600 }, 10, 'time')).to.deep.equal([50, 100, 200, 500]);
    expect(ticksWithin({ from: 60, to: 600 }, 2, 'bytes')).to.deep.equal([64, 128, 256, 512]);
    expect(ticksWithin({ from: 1, to: 1200 }, 10, 'percentile')).to.deep.equal([1, 2, 10, 100, 1000]);
  });

  it('call percentiles by their names', () => {
    const names = [1, 2, 4, 10, 100, 1000, 100_000].map((oneIn) => formatTick(oneIn, 'percentile'));
    expect(names).to.deep.equal(['0 %', '50 %', '75 %', '90 %', '99 %', '99.9 %', '99.999 %']);
  });

  it('have units that keep numbers short', () => {
    expect(formatQuantity(233.4, 'time')).to.equal('233 ns');
    expect(formatTick(100_000, 'time')).to.equal('100 µs');
    expect(formatQuantity(12_345_678, 'perSecond')).to.equal('12.3 M/s');
    expect(formatQuantity(999_999, 'perSecond')).to.equal('1 M/s');
    expect(formatQuantity(4.2e9, 'bytesPerSecond')).to.equal('4.2 GB/s');
    expect(formatQuantity(2 ** 20, 'bytes')).to.equal('1 MiB');
  });

  it('of bars go over whole decades around all that is drawn', () => {
    const bar = (value: number, p99?: number) => ({ name: 'a', kind: 'ours', value, p99 }) as const;
    const axis = ticksOf([bar(100), bar(250, 4000)]);
    expect(axis.ticks).to.deep.equal([10, 100, 1000, 10_000]);
    expect(placeOf(10, axis)).to.equal(0);
    expect(placeOf(10_000, axis)).to.equal(1);
    expect(placeOf(100, axis)).to.be.closeTo(1 / 3, 1e-9);
  });
});
