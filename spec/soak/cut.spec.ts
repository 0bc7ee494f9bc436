import { expect } from 'chai';
import { randomSeed } from '../support/random.js';
import { CUT_FLOWS } from './arguments.js';
import type { CutReport } from './cut.js';
import { FrameTracker } from './frameTracker.js';
import { leftovers, soak } from './program.js';

/** Cuts of each run. */
const CUTS = 15;

/** What the progress says that was done, as often as it was. */
function told(stderr: string, pattern: RegExp): string[] {
  return [...stderr.matchAll(pattern)].map((match) => match[1] as string);
}

describe('a session over a network that is cut at random', () => {
  for (const wire of ['native', 'net'] as const) {
    it(`loses, duplicates and reorders nothing over the ${wire} wire`, async () => {
      const seed = randomSeed();
      const outcome = await soak([
        ...['cut', '--cuts', String(CUTS), '--wire', wire],
        ...['--json', '-', '--seed', String(seed)],
      ]);
      const { code, stdout, stderr } = outcome;
      expect(code, stderr).to.equal(0);
      expect(leftovers(outcome)).to.deep.equal([]);
      const report = JSON.parse(stdout) as CutReport;
      expect(report, stderr).to.include({ cuts: CUTS, lost: 0, duplicated: 0, reordered: 0, seed });
      expect(report.received).to.equal(report.sent).and.to.be.above(100);
      expect(report.resumes).to.be.above(0).and.at.most(CUTS);
      expect(report.longestResumeMs).to.be.above(0);
      expect(told(stderr, /^cut \d+: (close|reset|half-open|silence|stall) /gm), stderr).to.have.length(CUTS);
      expect(new Set(told(stderr, /^flow: (.+)$/gm)).size, stderr).to.be.above(1);
    });
  }

  it('says what is wrong with a command line', async () => {
    for (const args of [
      ['cut', '--cuts', '0'],
      ['cut', '--flow', 'sideways'],
      ['cut', '--wire', 'barbed'],
      ['cut', '--kills', '3'],
    ]) {
      const { code, stderr, stdout } = await soak(args);
      expect([code, stdout], args.join(' ')).to.deep.equal([2, '']);
      expect(stderr).to.include('Try --help.');
    }
    const help = await soak(['cut', '--help']);
    for (const flow of CUT_FLOWS) expect(help.stdout).to.include(flow);
  });
});

describe('the tracker of frames', () => {
  /** A frame of zeroes, but for its length. */
  const frame = (payloadBytes: number): Buffer => {
    const bytes = Buffer.alloc(24 + payloadBytes);
    bytes.writeUInt32LE(payloadBytes, 4);
    return bytes;
  };

  it('knows the place whatever the pieces', () => {
    const stream = Buffer.concat([frame(16), frame(0), frame(8)]);
    const places = [...stream].map((_, at) => {
      const tracker = new FrameTracker();
      tracker.pass(stream.subarray(0, at));
      return tracker.place;
    });
    const bytewise = new FrameTracker();
    const expected = [...stream].map((_, at) => {
      const { place } = bytewise;
      bytewise.pass(stream.subarray(at, at + 1));
      return place;
    });
    expect(places).to.deep.equal(expected);
    expect(bytewise.place).to.equal('between frames');
    const count = (wanted: string): number => places.filter((place) => place === wanted).length;
    expect(count('between frames')).to.equal(3);
    expect(count('in a header')).to.equal(3 * 23);
    expect(count('in a payload')).to.equal(16 + 8);
  });
});
