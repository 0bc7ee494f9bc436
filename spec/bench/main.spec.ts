import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const MAIN = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
const bench = (...words: string[]) => spawnSync(process.execPath, [MAIN, ...words], { encoding: 'utf8' });

describe('command line of the bench', () => {
  it('ends with 2, a reason and the usage when it is misused', () => {
    for (const words of [['fly'], ['rtt', '--fast']]) {
      const { status, stdout, stderr } = bench(...words);
      expect(status).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.match(/^bench: .+\n\nusage: /);
    }
  });

  it('explains itself', () => {
    const { status, stdout } = bench('--help');
    expect(status).to.equal(0);
    expect(stdout).to.match(/^usage: /);
  });

  it('says that a report could not be written before it measures anything', () => {
    const { status, stderr } = bench('rtt', '--json', '/nowhere/at/all.json');
    expect(status).to.equal(1);
    expect(stderr).to.match(/\/nowhere\/at/);
  });

  it('refuses to measure a disk where there is none, and tells which option names another folder', () => {
    const { status, stdout, stderr } = bench('durability', '--quick', '--directory', '/dev/shm');
    expect(status).to.equal(1);
    expect(stdout).to.equal('');
    expect(stderr).to.match(/^bench: \/dev\/shm is in memory \(tmpfs\).*--directory/);
  });
});
