import { execFile } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { randomSeed } from '../support/random.js';
import { FAULTS } from './faults.js';
import { type Lib, loadInstrumented } from './instrumented.js';
import { SimulationFailure, simulate, simulateOne } from './simulate.js';

const SCHEDULES = 100_000;
const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
/** Between two turns of the event loop. */
const BLOCK = 1000;

describe('the core of both sides, simulated', function () {
  this.timeout(900_000);

  let lib: Lib;
  before(async () => {
    lib = await loadInstrumented();
  });

  const base = randomSeed();
  it(`loses, repeats and reorders nothing in ${SCHEDULES} schedules (from seed ${base})`, async () => {
    // Half of them in a process beside this one, which rejects with what it says when it fails.
    const half = SCHEDULES / 2;
    const others = promisify(execFile)(process.execPath, [
      MAIN,
      '--seed',
      String((base + half) >>> 0),
      '--schedules',
      String(half),
    ]);
    // It is awaited below; a failure here comes first.
    others.catch(() => {});
    try {
      for (let done = 0; done < half; done += BLOCK) {
        await simulate(lib, (base + done) >>> 0, BLOCK);
        await nextTurn();
      }
      expect((await others).stderr).to.include(`${half} schedules, `);
    } finally {
      others.child.kill('SIGKILL');
    }
  });

  it('replays a schedule from its seed alone', async () => {
    const seed = randomSeed();
    const traces: string[][] = [];
    for (let i = 0; i < 40; i++) traces.push(await trace(lib, seed + i));
    for (let i = traces.length - 1; i >= 0; i--) {
      expect(await trace(lib, seed + i), `seed ${seed + i}`).to.deep.equal(traces[i]);
    }
    expect(new Set(traces.map((lines) => lines.join('\n'))).size).to.be.above(30);
  });

  it('does in its schedules what it is there for', async () => {
    const lines = new Set<string>();
    for (let seed = 0; seed < 400; seed++) {
      for (const line of await trace(lib, seed)) lines.add(line.replace(/[0-9]+/g, '#'));
    }
    for (const expected of [
      '-- cut',
      '-- stall',
      '-- garble',
      '-- power',
      'client loses power',
      'server loses power',
      'client: flushed # and #',
      'client dies',
      'server dies',
      'client goes on in another thread',
      'server goes on in another thread',
      '   client is held up',
      'client: alloc(#): full',
      'server: timed out',
      'server: peer ended',
      'server: closed by peer',
    ]) {
      expect([...lines]).to.include(expected);
    }
    const texts = [...lines].join('\n');
    for (const expected of [
      /network failed: /,
      /protocol violated: /,
      /the login failed: /,
      /removes the session/,
    ]) {
      expect(texts).to.match(expected);
    }
  });

  it('names the seed of a schedule that fails, and how to replay it', async () => {
    const faulty = await loadInstrumented(FAULTS.slice(0, 1));
    const replay = (seed: number): Promise<unknown> =>
      simulateOne(faulty, seed).then(
        () => null,
        (error: unknown) => error,
      );
    let seed = 0;
    while ((await replay(seed)) === null) seed++;
    const failure = await replay(seed);
    expect(failure).to.be.instanceOf(SimulationFailure);
    expect((failure as Error).message).to.match(
      new RegExp(`^schedule ${seed}: .*\\n.* --seed ${seed} --trace$`),
    );
  });
});

/** The steps of a schedule. */
async function trace(lib: Lib, seed: number): Promise<string[]> {
  const lines: string[] = [];
  await simulateOne(lib, seed >>> 0, (line) => lines.push(line));
  return lines;
}
