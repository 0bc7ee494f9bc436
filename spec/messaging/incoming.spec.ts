import { expect } from 'chai';
import { IncomingFlow } from '../../lib/messaging/incoming.js';
import { Flag, FRAGMENT_COST, LEAST_WINDOW_BYTES, WHOLE } from '../../lib/messaging/packet.js';

const LIMITS = { windowBytes: LEAST_WINDOW_BYTES, maxValueBytes: 1_000_000 };
const PART = Flag.first | Flag.last;

describe('an incoming flow', () => {
  it('takes values of one fragment and of several, and its end', () => {
    const flow = new IncomingFlow(LIMITS);
    expect(flow.accept(PART, 10)).to.equal(null);
    expect(flow.accept(Flag.first, 10)).to.equal(null);
    expect(flow.inValue).to.equal(true);
    expect(flow.accept(0, 10)).to.equal(null);
    expect(flow.accept(Flag.last, 10)).to.equal(null);
    expect(flow.completedCost).to.equal(30 + 3 * FRAGMENT_COST);
    expect(flow.accept(Flag.end, 0)).to.equal(null);
    expect(flow.ended).to.equal(true);
  });

  it('refuses what is out of turn', () => {
    const wrong: readonly (readonly (readonly [number, number])[])[] = [
      [[0, 10]],
      [[Flag.last, 10]],
      [[Flag.end, 10]],
      [
        [Flag.first, 10],
        [Flag.first, 10],
      ],
      [
        [Flag.first, 10],
        [Flag.end, 0],
      ],
      [
        [WHOLE, 10],
        [PART, 10],
      ],
      [[PART, 70_000]],
    ];
    for (const fragments of wrong) {
      const flow = new IncomingFlow(LIMITS);
      const told = fragments.map(([flags, bytes]) => flow.accept(flags, bytes)?.code ?? null);
      expect(told.at(-1), JSON.stringify(fragments)).to.equal('ERR_PROTOCOL');
      expect(told.slice(0, -1).every((one) => one === null)).to.equal(true);
    }
  });

  it('refuses a value that is too large', () => {
    const flow = new IncomingFlow({ ...LIMITS, maxValueBytes: 100 });
    expect(flow.accept(Flag.first, 60)).to.equal(null);
    expect(flow.accept(Flag.last, 60)).to.include({ code: 'ERR_LIMIT' });
  });

  it('refuses a value in pieces of few bytes or none before these cost much more than a value may', () => {
    for (const bytes of [0, 1]) {
      const flow = new IncomingFlow({ ...LIMITS, maxValueBytes: 10_000 });
      expect(flow.accept(Flag.first, bytes)).to.equal(null);
      let refused = null;
      let pieces = 0;
      for (; refused === null && pieces < 10_000; pieces++) {
        refused = flow.accept(0, bytes);
        const due = flow.dueCredit();
        if (due > 0) flow.grant(due);
      }
      expect(refused).to.include({ code: 'ERR_LIMIT' });
      expect(pieces * FRAGMENT_COST).to.be.at.most(3 * 10_000 + LEAST_WINDOW_BYTES);
    }
  });

  it('takes a value of the largest size in the least pieces that are sent', () => {
    const least = 64;
    const flow = new IncomingFlow(LIMITS);
    const count = LIMITS.maxValueBytes / least;
    for (let n = 1; n <= count; n++) {
      const flags = (n === 1 ? Flag.first : 0) | (n === count ? Flag.last : 0);
      expect(flow.accept(flags, least), `piece ${n}`).to.equal(null);
      const due = flow.dueCredit();
      if (due > 0) flow.grant(due);
    }
    expect(flow.inValue).to.equal(false);
  });

  it('refuses more than it has granted, and grants more as values are taken', () => {
    const flow = new IncomingFlow(LIMITS);
    const bytes = 32_768 - FRAGMENT_COST;
    for (let i = 0; i < 4; i++) expect(flow.accept(PART, bytes)).to.equal(null);
    expect(flow.dueCredit(), 'none was taken').to.equal(0);
    flow.take(32_768);
    expect(flow.dueCredit(), 'little was taken').to.equal(0);
    flow.take(32_768);
    const due = flow.dueCredit();
    expect(due).to.equal(65_536);
    flow.grant(due);
    expect(flow.dueCredit()).to.equal(0);
    for (let i = 0; i < 2; i++) expect(flow.accept(PART, bytes)).to.equal(null);
    expect(flow.accept(PART, 0)).to.include({ code: 'ERR_PROTOCOL' });
  });

  it('has room for a value that is larger than its window, unless others wait for the program', () => {
    for (const waits of [false, true]) {
      const flow = new IncomingFlow(LIMITS);
      if (waits) expect(flow.accept(PART, 10)).to.equal(null);
      let taken = 0;
      for (let i = 0; i < 30; i++) {
        if (flow.accept(i === 0 ? Flag.first : 0, 30_000) !== null) break;
        taken++;
        const due = flow.dueCredit();
        if (due > 0) flow.grant(due);
      }
      expect(taken).to.equal(waits ? 4 : 30);
    }
  });
});
