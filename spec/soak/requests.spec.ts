import { expect } from 'chai';
import { randomSeed } from '../support/random.js';
import type { LargeReport } from './large.js';
import { soak } from './program.js';
import type { RequestsReport } from './requests.js';

describe('requests whose server and requester are killed and whose link is cut at random', () => {
  for (const transport of ['shm', 'tcp'] as const) {
    it(`are settled as their modes promise, over ${transport}`, async () => {
      const seed = randomSeed();
      const { code, stdout, stderr } = await soak([
        ...['requests', '--transport', transport, '--kills', '4', '--cuts', '3'],
        ...['--seed', String(seed)],
      ]);
      expect(code, `${stderr}${stdout}`).to.equal(0);
      const report = JSON.parse(stdout) as RequestsReport;
      expect(report, stderr).to.deep.include({ transport, kills: 4, cuts: 3, wrong: [] });
      expect(report.answered).to.be.above(20);
      const { recorded } = report;
      expect(recorded.kills, 'kills of the requester').to.equal(2);
      expect(recorded.askedAgain, 'what it asked again').to.be.above(0);
      expect(recorded.asked).to.be.above(20);
      expect(recorded.answered, 'by its ledger').to.equal(recorded.asked);
      expect(report.answered + report.unanswered + report.notSent).to.equal(report.requests);
    });
  }
});

describe('a message of many times the memory of a process', () => {
  it('comes back from there as it was, and the process stays small', async () => {
    const { code, stdout, stderr } = await soak(['large', '--transport', 'shm', '--gib', '0.1']);
    expect(code, stderr).to.equal(0);
    const report = JSON.parse(stdout) as LargeReport;
    expect(report).to.include({ transport: 'shm', bytes: Math.round(0.1 * 2 ** 30), equal: true });
    expect(report.residentMebibytes).to.be.within(20, 512);
  });
});
