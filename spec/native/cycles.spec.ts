import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import type { Leftovers } from '../soak/cycles.js';
import { randomSeed } from '../support/random.js';

const PROGRAM = fileURLToPath(new URL('../soak/cycles.js', import.meta.url));
const CYCLES = 15;

interface Report {
  readonly before: Leftovers;
  readonly after: Leftovers;
  readonly ended: Readonly<Record<string, number>>;
}

describe('threads that are ended in the middle of what they do', function () {
  // Only a hang ends it: that is what the test runner's own watchdog is for.
  this.timeout(120_000);

  const seed = randomSeed();
  it(`leave no descriptor, mapping or file behind (seed ${seed})`, async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--expose-gc',
      PROGRAM,
      `${CYCLES}`,
      `${seed}`,
    ]);
    const { before, after, ended } = JSON.parse(stdout) as Report;
    expect(Object.values(ended).reduce((sum, n) => sum + n)).to.equal(2 * CYCLES);
    expect(after.mappings).to.equal(0);
    expect(after.descriptors).to.be.at.most(before.descriptors);
    // A session stays for each stage and transport: one segment, or two journals.
    expect(after.files).to.be.at.most(before.files + 3 * Object.keys(ended).length);
  });
});
