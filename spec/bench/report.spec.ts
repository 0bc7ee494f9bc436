import { expect } from 'chai';
import { emptyHistogram } from '../../bench/measure.js';
import {
  formatJson,
  makeRate,
  makeRateRatio,
  makeRateResult,
  makeRatio,
  makeResult,
  makeSingle,
  type Report,
} from '../../bench/report.js';
import { formatRate, formatReport, formatTime } from '../../bench/table.js';
import { environment, timed } from './results.js';

const report: Report = {
  environment,
  results: [
    makeResult('limit/core-to-core', 1000, [[100, 120]]),
    {
      ...makeResult('rtt/shm', 1000, [[200], [220]]),
      ratio: { to: 'limit/core-to-core', mean: 1.91, p50: 2 },
      unsettled: true,
    },
  ],
  failed: [{ name: 'peer/other', reason: 'it is not there' }],
  warnings: ['the machine is busy'],
};

describe('report of the bench', () => {
  it('has the promised fields for each result, over the samples of all its slices', () => {
    expect(makeResult('rtt/shm', 1000, [[200.04, 240], [220.06]])).to.deep.equal({
      name: 'rtt/shm',
      unit: 'ns',
      n: 3000,
      mean: 220,
      p50: 220.1,
      p99: 240,
      p999: 240,
      max: 240,
      batch: 1000,
      samples: 3,
      slices: 2,
      medians: [200, 220.1],
      distribution: [
        [0, 200],
        [20, 200],
        [37.5, 220.1],
        [50, 220.1],
        [60, 220.1],
        [100, 240],
      ],
    });
  });

  it('compares each slice with the probes around it, and takes the median slice', () => {
    const slice = (subject: number, before: number, after: number) => ({
      subject: { mean: subject, p50: subject / 2 },
      probes: [
        { mean: before, p50: before },
        { mean: after, p50: after },
      ],
    });
    const slices = [slice(200, 90, 110), slice(900, 95, 105), slice(150, 100, 100)];
    expect(makeRatio('limit/core-to-core', slices)).to.deep.equal({
      to: 'limit/core-to-core',
      mean: 2,
      p50: 1,
      slices: [1, 4.5, 0.75],
    });
  });

  it('summarizes single round trips, and states the cost of the clock', () => {
    const histogram = emptyHistogram();
    for (let ns = 1; ns <= 1000; ns++) histogram.recordValue(ns);
    const { distribution, ...summary } = makeSingle(histogram, 33.33);
    expect(distribution).to.deep.include.members([
      [0, 1],
      [50, 500],
      [99, 990],
      [100, 1000],
    ]);
    expect(summary).to.deep.equal({
      n: 1000,
      clock: 33.3,
      mean: 500.5,
      p50: 500,
      p99: 990,
      p999: 999,
      max: 1000,
    });
  });

  it('states the rate of the median, the slowest and the fastest burst', () => {
    const written = { sender: 139.04, receiver: 99 };
    expect(makeRate([500, 2000, 1000], written)).to.deep.equal({
      messagesPerSecond: 1_000_000,
      slowest: 500_000,
      fastest: 2_000_000,
      writtenBytes: { sender: 139, receiver: 99 },
    });
  });

  it('states rates, of which the mean is that of all messages in the time of all', () => {
    const rate = { unit: '/s', bytes: 64 } as const;
    expect(makeRateResult('throughput/shm/64', 1000, [[100, 100], [400]], rate)).to.deep.include({
      unit: '/s',
      n: 3000,
      mean: 5_000_000,
      p50: 10_000_000,
      max: 10_000_000,
      medians: [10_000_000, 2_500_000],
      rate: {
        messagesPerSecond: 10_000_000,
        slowest: 2_500_000,
        fastest: 10_000_000,
        bytesPerSecond: 640_000_000,
      },
    });
    const bulk = makeRateResult('bandwidth/shm/4KiB', 10, [[1000]], { unit: 'B/s', bytes: 4096 });
    expect(bulk).to.deep.include({ unit: 'B/s', p50: 4_096_000_000 });
  });

  it('compares rates by the times that they are made of: half as fast is one half', () => {
    const probes = [
      { mean: 50, p50: 48 },
      { mean: 50, p50: 48 },
    ];
    expect(makeRateRatio('limit/ring-64', [{ subject: { mean: 100, p50: 96 }, probes }])).to.include({
      to: 'limit/ring-64',
      mean: 0.5,
      p50: 0.5,
    });
  });

  it('survives JSON, in which a list of numbers takes one line', () => {
    const json = formatJson(report);
    expect(JSON.parse(json)).to.deep.equal(report);
    expect(json).to.match(/^ +"medians": \[200, 220\],$/m);
    expect(json).to.match(/^ +\[100, 120\]$/m);
  });

  it('prints every result, what failed, and the warnings', () => {
    const text = formatReport(report);
    expect(text).to.match(/tcpshm 1\.2\.3 rtt \(quick\).*v20\.19\.0/);
    expect(text).to.match(/limit\/core-to-core .* 110 ns .* 2,000\n/);
    expect(text).to.match(/rtt\/shm \(unsettled\) .* 210 ns .* 1\.91 +2\.00 /);
    expect(text).to.include('not measured: peer/other: it is not there');
    expect(text).to.include('warning: the machine is busy');
  });

  it('prints rates and the ratios of flushes where durability was measured', () => {
    const text = formatReport({
      environment: {
        ...report.environment,
        benchmark: 'durability',
        cpus: [],
        disk: { directory: '/tmp', type: 'ext4', device: '/dev/sda1' },
      },
      results: [
        {
          ...makeResult('durability/disk', 1000, [[500, 1000]]),
          rate: makeRate([500, 1000], { sender: 139, receiver: 99 }),
        },
        {
          ...makeResult('durability/flush', 1, [[140_000]]),
          ratio: { to: 'durability/fdatasync', mean: 1.6, p50: 1.47 },
          awaitedRatio: { to: 'durability/fdatasync-awaited', mean: 1.3, p50: 1.21 },
        },
      ],
      failed: [],
      warnings: [],
    });
    expect(text).to.include('2 cores, not pinned, /tmp on /dev/sda1 (ext4)\n');
    expect(text).to.match(/durability\/disk +2,000,000 +1,000,000 +2,000,000 +139 B +99 B +2,000\n/);
    expect(text).to.match(/durability\/flush .* 140\.0 µs +1\.47 +1\.21 +1\n/);
  });

  it('compares sides that wait with the port of messages, and tells what idle connections take', () => {
    const text = formatReport({
      ...report,
      environment: { ...report.environment, benchmark: 'waiting' },
      results: [
        {
          ...makeResult('waiting/yield/shm', 100, [[1200]]),
          ratio: { to: 'limit/core-to-core', mean: 9.5, p50: 10 },
          peerRatio: makeRatio('peer/message-port', [
            { subject: { mean: 1200, p50: 1000 }, probes: [{ mean: 60_000, p50: 55_000 }] },
          ]),
        },
        makeResult('waiting/idle-1000/cpu', 1, [[0.4, 0.6]], '%'),
        makeResult('waiting/idle-1000/memory', 1, [[30_720]], 'B'),
      ],
    });
    expect(text).to.match(/waiting\/yield\/shm .* 9\.50 +10\.00 +1\/50\.0 +1\/54\.9 +100\n/);
    expect(text).to.match(/waiting\/idle-1000\/cpu +0\.50 % +0\.40 % +0\.60 % +2\n/);
    expect(text).to.match(/waiting\/idle-1000\/memory +30\.0 KiB +30\.0 KiB +30\.0 KiB +1\n/);
  });

  it('prints values of everyday use beside the peer of each', () => {
    const timed = {
      ...makeResult('everyday/object/handlers', 100, [[5000]]),
      peerRatio: { to: 'peer/message-port/object', mean: 0.11, p50: 0.1 },
    };
    const many = {
      ...makeRateResult('everyday/pool', 1000, [[2000]], { unit: '/s', bytes: 8 }),
      peerRatio: { to: 'peer/piscina', mean: 21, p50: 22 },
    };
    const text = formatReport({
      ...report,
      environment: { ...report.environment, benchmark: 'everyday' },
      results: [timed, many],
    });
    expect(text).to.match(/p50\/peer +n\n.*\neveryday\/object\/handlers +5000 ns .* 1\/10\.0 +100\n/);
    expect(text).to.match(/everyday\/pool +500\.0 k\/s .* 22\.00 +1,000\n/);
  });

  it('prints rates beside the share of their floors, and large messages by their bytes', () => {
    const results = [
      {
        ...makeRateResult('throughput/shm/64', 1000, [[50]], { unit: '/s', bytes: 64 }),
        ratio: { to: 'limit/ring-64', mean: 0.5, p50: 0.52 },
      },
      makeRateResult('throughput/slow/64', 10, [[20_000]], { unit: '/s', bytes: 64 }),
    ];
    const text = formatReport({
      ...report,
      environment: { ...report.environment, benchmark: 'throughput' },
      results,
    });
    expect(text).to.match(/throughput\/shm\/64 +20\.00 M\/s .* 1\.28 GB\/s +0\.52 +1,000\n/);
    expect(text).to.match(/throughput\/slow\/64 +50\.0 k\/s /);
    const bulk = makeRateResult('bandwidth/shm/1MiB', 10, [[500_000]], { unit: 'B/s', bytes: 2 ** 20 });
    const bandwidth = { ...report.environment, benchmark: 'bandwidth' as const };
    expect(formatReport({ ...report, environment: bandwidth, results: [bulk] })).to.match(
      /bandwidth\/shm\/1MiB +2\.10 GB\/s/,
    );
  });

  it('prints messages at a fixed rate by what single ones took, and memory in a unit that keeps it short', () => {
    const of = (benchmark: 'latency' | 'memory', results: Report['results']): string =>
      formatReport({ ...report, environment: { ...report.environment, benchmark }, results });
    const paced = {
      ...makeResult('latency/shm/1M', 1, [[300, 400, 90_000]]),
      ratio: { to: 'limit/core-to-core', mean: 3, p50: 2.5 },
    };
    expect(of('latency', [paced])).to.match(/latency\/shm\/1M .* 400 ns +90\.0 µs .* 2\.50 +3\n/);
    const kept = { ...paced, pace: { wanted: 1e6, achieved: 990_000, held: true } };
    expect(of('latency', [kept])).to.match(/latency\/shm\/1M +\d.* 2\.50 +990\.0 k\/s +3\n/);
    const missed = { ...paced, pace: { wanted: 1e6, achieved: 620_000, held: false } };
    expect(of('latency', [missed])).to.match(/latency\/shm\/1M \(not held\) .* 620\.0 k\/s +3\n/);
    const memory = of('memory', [
      makeResult('memory/shm/growth', 1, [[-2048]], 'B'),
      makeResult('memory/client', 1, [[60 * 2 ** 20]], 'B'),
    ]);
    expect(memory).to.match(/memory\/shm\/growth +-2\.0 KiB/);
    expect(memory).to.match(/memory\/client +60\.0 MiB/);
  });

  it('compares a connection beside idle ones with one that is alone', () => {
    const text = formatReport({
      ...report,
      environment: { ...report.environment, benchmark: 'scale' },
      results: [
        {
          ...makeResult('scale/tcp/idle-10000', 100, [[11_000]]),
          ratio: { to: 'limit/tcp-loopback', mean: 1.4, p50: 1.3 },
          aloneRatio: { to: 'scale/tcp/alone', mean: 1.08, p50: 1.02 },
        },
      ],
    });
    expect(text).to.match(/mean\/alone +p50\/alone/);
    expect(text).to.match(/scale\/tcp\/idle-10000 .* 1\.40 +1\.30 +1\.08 +1\.02 +100\n/);
  });

  it('compares two threads of groups with one, also by what they do in a second of a processor', () => {
    const rate = { unit: '/s', bytes: 64 } as const;
    const groups = { shares: [0.91, 0.875], messagesPerCpuSecond: 249_000, clientsShare: 0.05 };
    const text = formatReport({
      ...report,
      environment: { ...report.environment, benchmark: 'scale' },
      results: [
        timed('scale/tcp/alone', 100),
        {
          ...makeRateResult('scale/groups-2', 1000, [[2500]], rate),
          oneGroupRatio: { to: 'scale/groups-1', mean: 1.7, p50: 1.83 },
          groups: { ...groups, perCpuRatio: { to: 'scale/groups-1', mean: 1, p50: 0.98 } },
        },
      ],
    });
    expect(text).to.match(/^scale\/tcp\/alone +103 ns/m);
    expect(text).to.match(
      /^scale\/groups-2 +400\.0 k\/s .* 1\.83 +249\.0 k\/s +0\.98 +91 %, 88 % +5 % +1,000$/m,
    );
    expect(text.match(/scale\/groups-2/g)).to.have.length(1);
  });

  it('prints rates in a unit that keeps them short', () => {
    expect([12_340, 999_900, 12_340_000].map((rate) => formatRate(rate, '/s'))).to.deep.equal([
      '12.3 k/s',
      '999.9 k/s',
      '12.34 M/s',
    ]);
    expect([1_250_000, 99_940_000, 2.1e9].map((rate) => formatRate(rate, 'B/s'))).to.deep.equal([
      '1.3 MB/s',
      '99.9 MB/s',
      '2.10 GB/s',
    ]);
  });

  it('prints times in a unit that keeps them short', () => {
    expect([233.4, 9999, 59_120, 4_200_000].map(formatTime)).to.deep.equal([
      '233 ns',
      '9999 ns',
      '59.1 µs',
      '4.20 ms',
    ]);
  });
});
