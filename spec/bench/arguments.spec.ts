import { expect } from 'chai';
import { BENCHMARKS, parseArguments } from '../../bench/arguments.js';

const misuse = (...words: string[]): string => {
  const request = parseArguments(words);
  if (request.kind !== 'misuse') throw new Error(`taken as ${JSON.stringify(request)}`);
  return request.message;
};

describe('arguments of the bench', () => {
  it('name a benchmark', () => {
    expect(parseArguments(['rtt'])).to.deep.equal({
      kind: 'run',
      benchmark: 'rtt',
      quick: false,
      json: undefined,
      html: undefined,
      directory: undefined,
    });
  });

  it('have options before or after it', () => {
    const expected = {
      kind: 'run',
      benchmark: 'rtt',
      quick: true,
      json: 'out.json',
      html: undefined,
      directory: undefined,
    };
    expect(parseArguments(['rtt', '--quick', '--json', 'out.json'])).to.deep.equal(expected);
    expect(parseArguments(['--json=out.json', '--quick', 'rtt'])).to.deep.equal(expected);
  });

  it('ask for all benchmarks where they name none', () => {
    expect(parseArguments(['--quick'])).to.include({ kind: 'run', benchmark: 'all', quick: true });
  });

  it('name any of those that there are', () => {
    for (const benchmark of BENCHMARKS) {
      expect(parseArguments([benchmark])).to.include({ kind: 'run', benchmark });
    }
  });

  it('name none where all are meant', () => {
    expect(parseArguments([])).to.include({ kind: 'run', benchmark: 'all', quick: false });
    expect(parseArguments(['--quick', '--directory', '/srv'])).to.include({
      benchmark: 'all',
      quick: true,
      directory: '/srv',
    });
  });

  it('send the JSON to standard output with a dash', () => {
    expect(parseArguments(['rtt', '--json', '-'])).to.include({ json: '-' });
  });

  it('name a file for the page', () => {
    expect(parseArguments(['rtt', '--html', 'out.html'])).to.include({ html: 'out.html', json: undefined });
    expect(misuse('rtt', '--html', '')).to.match(/--html needs/);
  });

  it('name the folder on whose disk durability is measured', () => {
    expect(parseArguments(['durability', '--directory', '/srv'])).to.deep.equal({
      kind: 'run',
      benchmark: 'durability',
      quick: false,
      json: undefined,
      html: undefined,
      directory: '/srv',
    });
  });

  it('name one report to compare, or two', () => {
    const expected = { kind: 'compare', base: 'a.json', now: undefined, json: undefined, html: undefined };
    expect(parseArguments(['compare', 'a.json'])).to.deep.equal(expected);
    expect(parseArguments(['compare', 'a.json', 'b.json'])).to.deep.equal({ ...expected, now: 'b.json' });
    expect(parseArguments(['compare', 'a.json', '--json', 'c.json', '--html', 'c.html'])).to.deep.equal({
      ...expected,
      json: 'c.json',
      html: 'c.html',
    });
  });

  it('of a comparison are refused with the reason', () => {
    expect(misuse('compare')).to.match(/compare what\?/);
    expect(misuse('compare', 'a', 'b', 'c')).to.match(/two reports at the most.*'c'/);
    expect(misuse('compare', 'a', '--quick')).to.match(/no --quick/);
    expect(misuse('compare', 'a', '--directory', '/srv')).to.match(/no --directory/);
    expect(misuse('compare', 'a', 'b', '--json', 'c')).to.match(/nothing to write/);
    expect(misuse('compare', 'a', '--json', '-')).to.match(/--json needs/);
    expect(misuse('compare', 'a', '--html', '')).to.match(/--html needs/);
  });

  it('ask for help, with or without a benchmark', () => {
    expect(parseArguments(['--help'])).to.deep.equal({ kind: 'help' });
    expect(parseArguments(['rtt', '--help'])).to.deep.equal({ kind: 'help' });
  });

  it('are refused with the reason when they cannot be understood', () => {
    expect(misuse('fly')).to.match(/no benchmark 'fly'.*rtt/);
    expect(misuse('rtt', 'again')).to.match(/one benchmark at a time.*again/);
    expect(misuse('rtt', '--fast')).to.match(/--fast/);
    expect(misuse('rtt', '--json')).to.match(/--json/);
    expect(misuse('rtt', '--json', '')).to.match(/--json needs/);
    expect(misuse('durability', '--directory', '')).to.match(/--directory needs/);
    expect(misuse('rtt', '--directory', '/srv')).to.match(/--directory is for durability/);
    expect(misuse('waiting', '--directory', '/srv')).to.match(/--directory is for durability/);
    expect(misuse('rtt', '--quick=yes')).to.match(/--quick/);
  });
});
