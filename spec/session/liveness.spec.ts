import { expect } from 'chai';
import { Liveness } from '../../lib/session/liveness.js';

describe('liveness, by the clock it is given', () => {
  const OPTIONS = { heartbeatIntervalMs: 10, connectionTimeoutMs: 25 };

  for (const start of [0, -1000, 1.7e12]) {
    it(`begins with the first look, at ${start}`, () => {
      const liveness = new Liveness(OPTIONS);
      expect(liveness.check(start)).to.equal('fine');
      expect(liveness.check(start + 9.9)).to.equal('fine');
      expect(liveness.check(start + 10)).to.equal('heartbeat due');
      expect(liveness.check(start + 24.9)).to.equal('heartbeat due');
      expect(liveness.check(start + 25)).to.equal('timed out');
    });
  }

  it('counts silence from what was sent and received last', () => {
    const liveness = new Liveness(OPTIONS);
    liveness.check(0);
    liveness.sent(8);
    expect(liveness.check(17)).to.equal('fine');
    expect(liveness.check(18)).to.equal('heartbeat due');
    liveness.received(20);
    liveness.sent(20);
    expect(liveness.check(29)).to.equal('fine');
    liveness.sent(29);
    liveness.sent(38);
    expect(liveness.check(44)).to.equal('fine');
    expect(liveness.check(45)).to.equal('timed out');
  });

  it('asks for a heartbeat again until one was sent', () => {
    const liveness = new Liveness(OPTIONS);
    liveness.check(0);
    expect([10, 11, 12].map((now) => liveness.check(now))).to.deep.equal(Array(3).fill('heartbeat due'));
    liveness.sent(12);
    expect(liveness.check(13)).to.equal('fine');
  });

  it('goes on with a silence that another clock has seen, and owes a heartbeat then', () => {
    const before = new Liveness(OPTIONS);
    expect(before.silence(500)).to.equal(0);
    before.check(500);
    before.sent(512);
    expect(before.silence(519)).to.equal(19);
    const liveness = new Liveness(OPTIONS, 19);
    expect(liveness.silence(7)).to.equal(19);
    expect(liveness.check(7)).to.equal('heartbeat due');
    liveness.sent(7);
    expect(liveness.check(12.9)).to.equal('fine');
    expect(liveness.check(13)).to.equal('timed out');
  });

  it('stands still with its clock', () => {
    const liveness = new Liveness(OPTIONS);
    for (let i = 0; i < 1000; i++) expect(liveness.check(5)).to.equal('fine');
  });
});
