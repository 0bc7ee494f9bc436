import { expect } from 'chai';
import fc from 'fast-check';
import { startSides } from '../../bench/flow/sides.js';
import { keptOf, Pace } from '../../bench/latency/pace.js';
import { CAPACITY_BYTES, Paced } from '../../bench/latency/subject.js';
import { RingChannel } from '../../lib/index.js';
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

describe('a rate that was aimed at', () => {
  it('is held where nearly as many messages have come back in a second', () => {
    expect(keptOf(1_000_000, 951_234.4)).to.deep.equal({ wanted: 1_000_000, achieved: 951_234, held: true });
    expect(keptOf(1_000_000, 620_000)).to.deep.equal({ wanted: 1_000_000, achieved: 620_000, held: false });
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
        const { times, achieved } = paced.run(10_000, 50, 10_000);
        expect(times).to.have.length(500);
        for (const ns of times) expect(ns).to.be.above(0);
        expect(achieved).to.be.within(1, 10_000);
        // Far more than can be, for 5 ms: the last ones wait in line for longer than all were to take.
        const late = paced.run(1e8, 5, 10_000);
        expect(late.times).to.have.length(500_000);
        expect(Math.min(...late.times.slice(-20_000))).to.be.above(5e6);
        expect(keptOf(1e8, late.achieved)).to.deep.include({ wanted: 1e8, held: false });
      } finally {
        await paced.stop();
      }
    });

    it(`comes to an end over ${carrier} where the rate is more than can be held, and tells which one it was`, async () => {
      const settings = { carrier, duty: 'echo', bytes: 64, capacityBytes: CAPACITY_BYTES, batch: 1 } as const;
      const paced = new Paced(await startSides(settings, 0), carrier === 'tcp');
      try {
        const { times, achieved } = paced.run(1e9, 5, 5);
        expect(times.length).to.be.within(1, 4_999_999);
        expect(keptOf(1e9, achieved).held).to.equal(false);
        // All of those that were under way have come back: the next ones are not taken for them.
        expect(paced.run(1000, 10).times).to.have.length(10);
      } finally {
        await paced.stop();
      }
    });
  }

  it('is not waited for where the other side is gone', () => {
    const channel = new RingChannel();
    RingChannel.open(channel.remote).close();
    const sides = {
      connection: channel.local,
      client: null,
      farMemory: () => Promise.reject(new Error('there is no far side')),
      stop: async () => channel.local.close(),
    };
    expect(() => new Paced(sides, false).run(1000, 5)).to.throw('the far side is gone, at message 0');
    channel.local.close();
  });
});
