import { expect } from 'chai';
import {
  AGREEMENT,
  choose,
  DISTURBANCE,
  type Enclosed,
  judge,
  USUAL,
  usualState,
} from '../../bench/settle.js';

const between = (before: number, after: number): Enclosed => ({
  before: { mean: before, p50: before },
  after: { mean: after, p50: after },
});

describe('whether a measurement settled', () => {
  it('did when both probes tell of the usual state', () => {
    expect(judge(between(115, 120), 118)).to.deep.equal({ kind: 'settled' });
  });

  it('did not when the machine changed in between, in either direction', () => {
    expect(judge(between(115, 250), 115).kind).to.equal('disagree');
    expect(judge(between(250, 115), 115).kind).to.equal('disagree');
  });

  it('did not when the machine was in another state throughout, near or far', () => {
    expect(judge(between(47, 47), 115).kind).to.equal('unusual');
    expect(judge(between(500, 510), 115).kind).to.equal('unusual');
  });

  it('did not when other work disturbed a probe, which moves its mean but not its median', () => {
    const quiet = { mean: 118, p50: 115 };
    const disturbed = { mean: 115 * (1 + DISTURBANCE) + 1, p50: 115 };
    expect(judge({ before: quiet, after: disturbed }, 115).kind).to.equal('disturbed');
    expect(judge({ before: disturbed, after: quiet }, 115).kind).to.equal('disturbed');
    expect(judge({ before: quiet, after: quiet }, 115).kind).to.equal('settled');
  });

  it('says how far apart the probes were', () => {
    expect(judge(between(100, 150), 100)).to.deep.equal({ kind: 'disagree', apart: 0.5 });
    expect(judge(between(200, 200), 100)).to.deep.equal({ kind: 'unusual', apart: 1 });
  });

  it('allows what one state drifts by, and no more', () => {
    expect(judge(between(100, 100 * (1 + AGREEMENT) - 0.1), 105).kind).to.equal('settled');
    expect(judge(between(100, 100 * (1 + AGREEMENT) + 0.1), 105).kind).to.equal('disagree');
    expect(judge(between(100 * (1 + USUAL) - 0.1, 100 * (1 + USUAL) - 0.1), 100).kind).to.equal('settled');
    expect(judge(between(100 * (1 + USUAL) + 0.1, 100 * (1 + USUAL) + 0.1), 100).kind).to.equal('unusual');
  });

  it('takes for usual what most probes of the run saw', () => {
    const probes = [47, 115, 116, 118, 510].map((p50) => ({ mean: p50, p50 }));
    expect(usualState(probes)).to.equal(116);
  });
});

describe('what a result is made of', () => {
  it('is the measurements that settled', () => {
    const settled = [between(115, 116), between(120, 118)];
    const all = [between(47, 47), ...settled, between(115, 300)];
    expect(choose(all, 115)).to.deep.equal({ chosen: settled, unsettled: false });
  });

  it('is all of them, and marked, where none did', () => {
    const all = [between(47, 47), between(115, 300)];
    expect(choose(all, 115)).to.deep.equal({ chosen: all, unsettled: true });
  });
});
