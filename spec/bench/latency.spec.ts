import { expect } from 'chai';
import fc from 'fast-check';
import { startSides } from '../../bench/flow/sides.js';
import { Pace } from '../../bench/latency/pace.js';
import { CAPACITY_BYTES, Paced } from '../../bench/latency/subject.js';
import { nativeOrNull } from '../../lib/memory/native.js';

describe('pace of messages', () => {
  it('has them leave at equal distances, the first one at once', () => {
    const pace = new Pace(1000, 10_000, 50);
    expect([0, 1, 10].map((index) => pace.dueMs(index))).to.deep.equal([1000, 1000.1, 1001]);
    expect(pace.due(999.9)).to.equal(0);
    expect(pace.due(1000)).to.equal(1);
    expect(pace.due(1000.25)).to.equal(3);
  });

  it('has all those leave that were held up, and counts from when each should have left', () => {
    const pace = new Pace(0, 1000, 100);
    expect(pace.due(0)).to.equal(1);
    // A pause of 20 ms: the next twenty are due, and the first of them is 19 ms late by then.
    expect(pace.due(20)).to.equal(21);
    expect(20 - pace.dueMs(1)).to.equal(19);
  });

  it('has no more leave than there are', () => {
    expect(new Pace(0, 1000, 100).due(1e9)).to.equal(100);
  });

  it('has a message leave once it is due, and not before', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e7, noNaN: true }),
        fc.integer({ min: 1, max: 2_000_000 }),
        fc.integer({ min: 0, max: 1_000_000 }),
        (startMs, perSecond, index) => {
          const pace = new Pace(startMs, perSecond, 2_000_000);
          const slack = 1e-6 + (startMs + index) * 1e-9;
          expect(pace.due(pace.dueMs(index) + slack)).to.be.above(index);
          expect(pace.due(pace.dueMs(index) - slack - 1000 / perSecond / 2)).to.be.at.most(index);
        },
      ),
    );
  });
});

describe('latency under load', () => {
  before(function () {
    if (nativeOrNull() === null) this.skip();
  });

  for (const carrier of ['inproc', 'shm', 'tcp'] as const) {
    it(`is that of every message, over ${carrier}, each from when it was to leave`, async () => {
      const settings = { carrier, duty: 'echo', bytes: 64, capacityBytes: CAPACITY_BYTES, batch: 1 } as const;
      const paced = new Paced(await startSides(settings, 0), carrier === 'tcp');
      try {
        const times = paced.run(10_000, 50);
        expect(times).to.have.length(500);
        for (const ns of times) expect(ns).to.be.above(0);
        // Far more than can be, for 5 ms: the last ones wait in line for longer than all were to take.
        const late = paced.run(1e8, 5);
        expect(late).to.have.length(500_000);
        expect(Math.min(...late.slice(-20_000))).to.be.above(5e6);
      } finally {
        await paced.stop();
      }
    });
  }
});
