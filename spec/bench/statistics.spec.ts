import { expect } from 'chai';
import { mean, median, quantile, summarize } from '../../bench/statistics.js';

describe('statistics of a benchmark', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i); // 100 … 1, so that order cannot matter

  it('summarizes samples by mean, quantiles and maximum', () => {
    expect(summarize(hundred)).to.deep.equal({ mean: 50.5, p50: 50, p99: 99, p999: 100, max: 100 });
  });

  it('sorts by value, not as text', () => {
    expect(summarize([9, 10, 100]).p50).to.equal(10);
  });

  it('leaves the samples as they were', () => {
    const samples = [3, 1, 2];
    summarize(samples);
    expect(samples).to.deep.equal([3, 1, 2]);
  });

  it('gives only quantiles that were measured', () => {
    expect(median([1, 2])).to.equal(1);
    expect(quantile(Float64Array.of(5, 7), 0.999)).to.equal(7);
    expect(quantile(Float64Array.of(5, 7), 0)).to.equal(5);
  });

  it('takes one sample for all quantiles', () => {
    expect(summarize([7])).to.deep.equal({ mean: 7, p50: 7, p99: 7, p999: 7, max: 7 });
  });

  it('refuses to summarize nothing', () => {
    expect(() => summarize([])).to.throw(RangeError);
    expect(() => mean([])).to.throw(RangeError);
    expect(() => quantile(new Float64Array(0), 0.5)).to.throw(RangeError);
  });
});
