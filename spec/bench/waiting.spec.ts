import { expect } from 'chai';
import { measure } from '../../bench/measure.js';
import type { RoundTrip } from '../../bench/subject.js';
import { drivenSubject } from '../../bench/waiting/driven.js';
import { measureIdle } from '../../bench/waiting/idle.js';
import { WAYS, type Way } from '../../bench/waiting/ways.js';
import { nativeOrNull } from '../../lib/memory/native.js';

describe('round trips of sides that wait', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  for (const transport of ['inproc', 'shm', 'tcp'] as const) {
    for (const way of Object.keys(WAYS) as Way[]) {
      it(`verify what comes back, over ${transport} with '${way}'`, async () => {
        const trips = await drivenSubject('waiting', transport, way).start([0, 0]);
        try {
          for (const count of [1, 4, 60]) await trips.roundTrips(count);
          if (way !== 'yield') expect(trips.pausedMs).to.be.at.least(65 * 0.05);
        } finally {
          await trips.stop();
          await trips.stop();
        }
      });
    }
  }

  it('are timed without the pauses in which both sides fall asleep', async () => {
    // It says that it has paused for longer than a batch took: what is left is negative.
    const pausing: RoundTrip & { pausedMs: number } = {
      asynchronous: true,
      pausedMs: 0,
      async roundTrips(count) {
        if (count > 1) this.pausedMs += 100_000;
      },
      async stop() {},
    };
    const { samples } = await measure('pausing', pausing, 10, { warmUpMs: 0, batchesMs: 0, singleMs: 0 });
    expect(samples).to.have.length(20);
    for (const ns of samples) expect(ns).to.be.within(-10e9, -5e9);
  });
});

describe('idle connections', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  for (const transport of ['shm', 'tcp'] as const) {
    it(`are opened, stay connected, and are told what they cost, over ${transport}`, async () => {
      const results = await measureIdle('idle', transport, {
        connections: 130,
        cpuSamples: 2,
        cpuSampleMs: 100,
      });
      expect(results.map(({ name, unit, n }) => [name, unit, n])).to.deep.equal([
        ['idle/cpu', '%', 2],
        ['idle/cpu-clients', '%', 2],
        ['idle/memory', 'B', 1],
      ]);
      for (const { mean } of results.slice(0, 2)) expect(mean).to.be.above(0);
    });
  }
});
