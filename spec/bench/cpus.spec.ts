import { expect } from 'chai';
import { allowedCpus, choosePair, parseCpuList } from '../../bench/cpus.js';

describe('processors of the bench', () => {
  it('are read in the notation of the kernel', () => {
    expect(parseCpuList('0-1\n')).to.deep.equal([0, 1]);
    expect(parseCpuList('\t0-2,5,8-9')).to.deep.equal([0, 1, 2, 5, 8, 9]);
    expect(parseCpuList('7')).to.deep.equal([7]);
  });

  it('are those that this process may use', () => {
    expect(allowedCpus()).to.not.be.empty;
  });

  it('are the first two, or the only one twice', () => {
    expect(choosePair([2, 3, 4])).to.deep.equal([2, 3]);
    expect(choosePair([5])).to.deep.equal([5, 5]);
  });
});
