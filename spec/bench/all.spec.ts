import { expect } from 'chai';
import { mergeReports } from '../../bench/all.js';
import { makeResult, type Report } from '../../bench/report.js';
import { environment } from './results.js';

const reportOf = (changes: Partial<Report['environment']>, name: string, warnings: string[]): Report => ({
  environment: { ...environment, ...changes },
  results: [makeResult(name, 1, [[1]])],
  failed: [{ name: `${name}/failed`, reason: 'it did' }],
  warnings,
});
const disk = { directory: '/srv', type: 'ext4', device: '/dev/vda' };

describe('report of all benchmarks', () => {
  it('has the results, failures and warnings of each, the same warning once', () => {
    const merged = mergeReports(
      [reportOf({}, 'rtt/shm', ['busy', 'both']), reportOf({}, 'scale/shm', ['both'])],
      [{ name: 'durability', reason: 'no disk' }],
    );
    expect(merged.environment.benchmark).to.equal('all');
    expect(merged.results.map(({ name }) => name)).to.deep.equal(['rtt/shm', 'scale/shm']);
    expect(merged.failed.map(({ name }) => name)).to.deep.equal([
      'rtt/shm/failed',
      'scale/shm/failed',
      'durability',
    ]);
    expect(merged.warnings).to.deep.equal(['busy', 'both']);
  });

  it('tells of the processors of those that are pinned, and of the disk of the one that has one', () => {
    const unpinned = reportOf({ benchmark: 'durability', cpus: [], pinned: false, disk }, 'durability', []);
    const merged = mergeReports([unpinned, reportOf({}, 'rtt/shm', [])], []);
    expect(merged.environment).to.deep.include({ cpus: [0, 1], pinned: true, disk });
  });

  it('is none where nothing was measured', () => {
    expect(() => mergeReports([], [{ name: 'rtt', reason: 'no compiler' }])).to.throw(/rtt: no compiler/);
  });
});
