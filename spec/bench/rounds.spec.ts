import { expect } from 'chai';
import { compileLimits } from '../../bench/limitPrograms.js';
import { Progress } from '../../bench/progress.js';
import { type Plan, type RoundsSettings, runRounds } from '../../bench/rounds.js';
import type { Measurable } from '../../bench/subject.js';

const PLAN: Plan = {
  rounds: 2,
  repeats: 0,
  repeatUntilMs: 0,
  beginUntilMs: 60_000,
  warmUpMs: 0,
  batchesMs: 0,
  singleMs: 0,
  probeBatches: 2,
  probeMs: 5,
};

class Silence extends Progress {
  override say(): void {}
}
const SETTINGS: RoundsSettings = { cpus: [0, 0], cores: 2, progress: new Silence(process.stderr) };

const flow = (name: string, measure: Measurable['measure']): Measurable => ({
  name,
  limit: 'core-to-core',
  floor: 'ring-64',
  busyThreads: 0,
  batch: 2,
  rate: { unit: '/s', bytes: 64 },
  measure,
});

describe('rounds of the bench', () => {
  before(async function () {
    try {
      await compileLimits();
    } catch {
      this.skip();
    }
  });

  it('report what cannot be loaded, with the reason', async () => {
    const load = async (): Promise<Measurable> => {
      await import('./there-is-no-such-package.js' as string);
      throw new Error('it was loaded');
    };
    const { results, failed } = await runRounds(
      { subjects: [{ name: 'peer/none', load }], limits: [] },
      PLAN,
      SETTINGS,
    );
    expect(results).to.be.empty;
    expect(failed.map(({ name }) => name)).to.deep.equal(['peer/none']);
    expect(failed[0]?.reason).to.match(/Cannot find module.*there-is-no-such-package/);
  });

  it('report which rate was achieved where one was given, and warn where it was not held', async () => {
    const paced = (name: string, achieved: number): Measurable => {
      const { rate, floor, ...subject } = flow(name, async () => ({
        samples: [100],
        single: null,
        achieved,
      }));
      return { ...subject, perSecond: 10_000 };
    };
    const subjects = [paced('latency/some/10k', 9990), paced('latency/slow/10k', 4000)];
    const { results, failed, warnings } = await runRounds(
      {
        subjects: subjects.map((subject) => ({ name: subject.name, load: async () => subject })),
        limits: [],
      },
      PLAN,
      SETTINGS,
    );
    expect(failed).to.deep.equal([]);
    expect(results.map(({ pace }) => pace)).to.deep.equal([
      { wanted: 10_000, achieved: 9990, held: true },
      { wanted: 10_000, achieved: 4000, held: false },
    ]);
    const [warning, ...others] = warnings.filter((text) => text.includes('held'));
    expect(others).to.deep.equal([]);
    expect(warning).to.match(/^latency\/slow\/10k was not held: of 10\.0 k\/s there were 4\.0 k\/s\./);
  });

  it('report what goes one way by its rate, as a share of that of its floor', async () => {
    const subject = flow('throughput/some/64', async () => ({ samples: [100, 200, 300], single: null }));
    const { results, failed } = await runRounds(
      { subjects: [{ name: subject.name, load: async () => subject }], limits: ['ring-64'] },
      PLAN,
      SETTINGS,
    );
    expect(failed).to.deep.equal([]);
    const [floor, result] = results;
    expect(floor).to.include({ name: 'limit/ring-64', unit: '/s' });
    expect(result).to.include({ name: 'throughput/some/64', unit: '/s', slices: 2, p50: 5e6, mean: 5e6 });
    expect(result?.single).to.equal(undefined);
    expect(result?.ratio?.to).to.equal('limit/ring-64');
    const share = 5e6 / (floor?.p50 as number);
    expect(result?.ratio?.p50).to.be.within(share / 10, share * 10);
  });

  it('compare a subject with the peer that it names, and with no floor where that passes nothing like it', async () => {
    const one = (name: string, ns: number): Measurable => ({
      ...flow(name, async () => ({ samples: [ns], single: null })),
      floor: null,
    });
    const subjects = [
      { name: 'everyday/a', peer: 'peer/a', load: async () => one('everyday/a', 10) },
      { name: 'everyday/b', peer: 'peer/b', load: async () => one('everyday/b', 10) },
      { name: 'peer/a', load: async () => one('peer/a', 200) },
      { name: 'peer/b', load: async () => one('peer/b', 5) },
    ];
    const { results, failed } = await runRounds({ subjects, limits: [] }, PLAN, SETTINGS);
    expect(failed).to.deep.equal([]);
    expect(
      results.map(({ name, ratio, peerRatio }) => [name, ratio, peerRatio?.to, peerRatio?.p50]),
    ).to.deep.equal([
      ['everyday/a', undefined, 'peer/a', 20],
      ['everyday/b', undefined, 'peer/b', 0.5],
      ['peer/a', undefined, undefined, undefined],
      ['peer/b', undefined, undefined, undefined],
    ]);
  });

  it('report what fails while it is measured, and go on with the others', async () => {
    const bad = flow('throughput/bad/64', () => Promise.reject(new Error('message 7 came wrong')));
    const good = flow('throughput/good/64', async () => ({ samples: [100], single: null }));
    const { results, failed } = await runRounds(
      { subjects: [bad, good].map((each) => ({ name: each.name, load: async () => each })), limits: [] },
      PLAN,
      SETTINGS,
    );
    expect(failed).to.deep.equal([{ name: 'throughput/bad/64', reason: 'message 7 came wrong' }]);
    expect(results.map(({ name, slices }) => [name, slices])).to.deep.equal([['throughput/good/64', 2]]);
  });
});
