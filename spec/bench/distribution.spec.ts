import { expect } from 'chai';
import { distribution, oneInOf, percentilesOf } from '../../bench/distribution.js';

describe('distribution of samples by percentile', () => {
  it('begins with the least and ends with the greatest', () => {
    const taken = distribution(1000, (percentile) => percentile);
    expect(taken[0]).to.deep.equal([0, 0]);
    expect(taken.at(-1)).to.deep.equal([100, 100]);
  });

  it('has the percentiles that people ask for', () => {
    expect(percentilesOf(1e6)).to.include.members([0, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 99.999, 100]);
  });

  it('ascends, with no percentile that all samples but the greatest are below', () => {
    for (const count of [1, 2, 3, 10, 100, 101, 12_345]) {
      const percentiles = percentilesOf(count);
      expect(percentiles, `of ${count}`).to.deep.equal([...new Set(percentiles)].sort((a, b) => a - b));
      for (const percentile of percentiles.slice(0, -1)) {
        expect(Math.ceil((percentile / 100) * count), `${percentile} of ${count}`).to.be.at.most(count - 1);
      }
    }
  });

  it('takes ten points for each decade, however many samples there are', () => {
    expect(percentilesOf(1e7)).to.have.length(71);
  });

  it('tells how many samples there are for one above a percentile', () => {
    expect([0, 50, 99, 99.99, 100].map(oneInOf)).to.deep.equal([1, 2, 100, 10_000, Number.POSITIVE_INFINITY]);
  });
});
