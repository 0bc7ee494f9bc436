import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { formatJson } from '../../bench/report.js';
import { reportOf, timed } from './results.js';

const MAIN = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
const bench = (...words: string[]) => spawnSync(process.execPath, [MAIN, ...words], { encoding: 'utf8' });

describe('command line of the bench', () => {
  it('ends with 2, a reason and the usage when it is misused', () => {
    for (const words of [['fly'], ['rtt', '--fast'], ['compare']]) {
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
    expect(bench('rtt', '--html', '/nowhere/at/all.html').stderr).to.match(/\/nowhere\/at/);
  });

  it('ends a comparison with 1 where something is worse, and with 0 where nothing is', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tcpshm-compare-'));
    try {
      const [fast, slow] = [100, 200].map((ns) => {
        const file = join(folder, `${ns}.json`);
        writeFileSync(file, formatJson(reportOf([timed('rtt/shm', ns)])));
        return file;
      }) as [string, string];
      expect(bench('compare', fast, slow)).to.include({ status: 1, stderr: '' });
      expect(bench('compare', slow, fast)).to.include({ status: 0, stderr: '' });
      expect(bench('compare', slow, fast).stdout).to.match(/rtt\/shm .* better\n/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses to compare what is no report, with 2', () => {
    const manifest = fileURLToPath(new URL('../../../package.json', import.meta.url));
    for (const words of [[manifest], [manifest, manifest], ['/nowhere/at/all.json']]) {
      const { status, stdout, stderr } = bench('compare', ...words);
      expect(status).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.match(/is no report of this bench: it has no 'environment'|all\.json cannot be read/);
    }
  });

  it('refuses to measure a disk where there is none, and tells which option names another folder', () => {
    const { status, stdout, stderr } = bench('durability', '--quick', '--directory', '/dev/shm');
    expect(status).to.equal(1);
    expect(stdout).to.equal('');
    expect(stderr).to.match(/^bench: \/dev\/shm is in memory \(tmpfs\).*--directory/);
  });
});
