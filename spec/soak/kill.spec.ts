import { expect } from 'chai';
import { randomSeed } from '../support/random.js';
import { SOAK_TRANSPORTS } from './arguments.js';
import type { KillReport } from './kill.js';
import { Ledger } from './ledger.js';
import { leftovers, soak } from './program.js';

const KILLS = 5;

/** What the progress says that the sides were started as, one after the other. */
function starts(stderr: string): string[] {
  return [...stderr.matchAll(/^kill \d+: the \w+.*; now it is (\w+ \d+)$/gm)].map(
    (match) => match[1] as string,
  );
}

describe('a session whose sides are killed at random', () => {
  for (const transport of SOAK_TRANSPORTS) {
    it(`loses, duplicates and reorders nothing over ${transport}`, async () => {
      const seed = randomSeed();
      const outcome = await soak([
        ...['kill', '--transport', transport, '--kills', String(KILLS)],
        ...['--json', '-', '--seed', String(seed)],
      ]);
      const { code, stdout, stderr } = outcome;
      expect(code, stderr).to.equal(0);
      expect(leftovers(outcome)).to.deep.equal([]);
      const report = JSON.parse(stdout) as KillReport;
      expect(report, stderr).to.include({ transport, kills: KILLS, lost: 0, duplicated: 0, reordered: 0 });
      expect(report.received).to.equal(report.sent).and.to.be.above(1000);
      expect(report.redelivered).to.be.at.most(KILLS);
      expect(report.longestResumeMs).to.be.above(0);
      expect(new Set(starts(stderr)).size, `a new process or thread for each kill\n${stderr}`).to.equal(
        KILLS,
      );
    });
  }

  for (const transport of SOAK_TRANSPORTS) {
    it(`goes on in the threads of groups, which are killed as well, over ${transport}`, async () => {
      const seed = randomSeed();
      const outcome = await soak([
        ...['kill', '--transport', transport, '--kills', String(KILLS), '--groups', '2'],
        ...['--json', '-', '--seed', String(seed)],
      ]);
      const { code, stdout, stderr } = outcome;
      expect(code, stderr).to.equal(0);
      expect(leftovers(outcome)).to.deep.equal([]);
      const report = JSON.parse(stdout) as KillReport;
      expect(report, stderr).to.include({ transport, kills: KILLS, groups: 2, lost: 0, duplicated: 0 });
      expect(report, stderr).to.include({ reordered: 0 });
      expect(report.received).to.equal(report.sent).and.to.be.above(1000);
      expect(report.redelivered).to.be.at.most(KILLS);
      expect(report.threadKills).to.be.above(0);
      expect(report.moves).to.be.above(0);
    });
  }

  for (const transport of ['inproc', 'shm'] as const) {
    it(`ends all and leaves nothing behind when it is interrupted, over ${transport}`, async () => {
      const outcome = await soak(['kill', '--transport', transport, '--kills', '1000'], /^kill 1:/m);
      const { code, stderr } = outcome;
      expect(code, stderr).to.equal(1);
      expect(stderr).to.match(/^ended by SIGINT$/m);
      for (const [, pid] of stderr.matchAll(/now it is process (\d+)/g)) {
        expect(() => process.kill(Number(pid), 0)).to.throw('ESRCH');
      }
      expect(leftovers(outcome)).to.deep.equal([]);
    });
  }

  it('says what is wrong with a command line', async () => {
    for (const args of [
      ['kill', '--transport', 'shm', '--frobnicate'],
      ['kill', '--transport', 'pigeon'],
      ['kill'],
      ['kill', '--transport', 'tcp', '--kills', '0'],
      ['kill', '--transport', 'tcp', '--groups', '17'],
      ['spare', '--transport', 'tcp'],
      [],
    ]) {
      const { code, stderr, stdout } = await soak(args);
      expect([code, stdout], args.join(' ')).to.deep.equal([2, '']);
      expect(stderr).to.include('Try --help.');
    }
    const help = await soak(['--help']);
    expect(help.code).to.equal(0);
    expect(help.stdout).to.include('--transport');
  });
});

describe('the judge of a soak run', () => {
  const judged = (lives: readonly (readonly number[])[], sent: number): object => {
    const ledger = new Ledger();
    for (const numbers of lives) {
      ledger.restarted();
      for (const number of numbers) ledger.take(number);
    }
    const { received, duplicated, reordered, redelivered } = ledger;
    return { lost: ledger.lost(sent), received, duplicated, reordered, redelivered };
  };
  const fine = { lost: 0, received: 4, duplicated: 0, reordered: 0, redelivered: 0 };

  it('allows the message again that a dying receiver had not popped, and no other', () => {
    expect(judged([[0, 1, 2, 3]], 4)).to.deep.equal(fine);
    expect(
      judged(
        [
          [0, 1],
          [1, 2, 3],
        ],
        4,
      ),
    ).to.deep.equal({ ...fine, redelivered: 1 });
    expect(
      judged(
        [
          [0, 1],
          [0, 1, 2, 3],
        ],
        4,
      ),
    ).to.deep.equal({ ...fine, duplicated: 2 });
    expect(judged([[0, 1, 1, 2, 3]], 4)).to.deep.equal({ ...fine, duplicated: 1 });
  });

  it('tells what is lost from what comes late', () => {
    expect(judged([[0, 1, 3]], 4)).to.deep.equal({ ...fine, lost: 1, received: 3 });
    expect(judged([[0, 1, 2]], 4)).to.deep.equal({ ...fine, lost: 1, received: 3 });
    expect(judged([[0, 3, 1, 2]], 4)).to.deep.equal({ ...fine, reordered: 2 });
    expect(judged([[0, 3, 2]], 4)).to.deep.equal({ ...fine, lost: 1, received: 3, reordered: 1 });
  });
});
