import { expect } from 'chai';
import { simulationArguments, UsageError } from './arguments.js';

describe('the command line of the simulation', () => {
  const parse = (line: string) => simulationArguments(line === '' ? [] : line.split(' '));

  it('runs many schedules from a random seed, or the one of a seed that was given', () => {
    expect(parse('')).to.include({ schedules: 100_000, trace: false });
    expect(parse('')?.seed).to.be.within(0, 2 ** 32 - 1);
    expect(parse('--seed 12345')).to.deep.equal({ seed: 12345, schedules: 1, trace: false });
    expect(parse('--seed 4294967295 --trace')).to.deep.equal({ seed: 4294967295, schedules: 1, trace: true });
    expect(parse('--schedules 20 --seed 0')).to.deep.equal({ seed: 0, schedules: 20, trace: false });
    expect(parse('--help')).to.equal(null);
  });

  it('refuses what is not usable, and says why', () => {
    for (const [line, message] of [
      ['--seed -1', /--seed/],
      ['--seed 4294967296', /--seed must be an integer from 0 to 4294967295, got '4294967296'/],
      ['--schedules 0', /--schedules must be an integer from 1/],
      ['--schedules 2 --trace', /--trace is for one schedule/],
      ['--sed 1', /--sed/],
    ] as const) {
      expect(() => parse(line), line).to.throw(UsageError, message);
    }
  });
});
