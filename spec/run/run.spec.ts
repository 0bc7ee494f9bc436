import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Outcome, totals } from './outcome.js';
import { ALONE, COMPUTING, compiled, LONG, planned, specFiles } from './plan.js';
import { runAll } from './run.js';

/** The compiled file of a case. */
function caseFile(name: string): string {
  return fileURLToPath(new URL(`./cases/${name}.js`, import.meta.url));
}

async function outcomes(names: readonly string[], lanes = 1): Promise<Outcome[]> {
  const told: Outcome[] = [];
  const plan = { computing: [], others: names.map(caseFile), alone: [] };
  const all = await runAll(plan, lanes, (outcome) => told.push(outcome));
  expect(told).to.deep.equal(all);
  return all;
}

describe('the run of all specs', () => {
  it('counts what has passed, failed and was skipped, and reports what failed', async () => {
    const all = await outcomes(['mixed', 'passes']);
    expect(totals(all)).to.equal('2 passed, 1 failed, 1 skipped');
    expect(all[0]?.report).to.include('expected 1 to equal 2');
    expect(all[1]?.report).to.equal('');
  });

  it('counts a process that dies as a failure, and goes on in another one', async () => {
    const all = await outcomes(['dies', 'passes']);
    expect(totals(all)).to.equal('1 passed, 1 failed');
    expect(all[0]?.report).to.include('ended by SIGKILL');
  });

  it('counts one that ends by itself behind its specs', async () => {
    const all = await outcomes(['exits']);
    expect(totals(all)).to.equal('1 passed, 1 failed');
    expect(all[1]?.report).to.include('ended by code 3');
  });

  it('counts a rejection that nobody handles', async () => {
    const all = await outcomes(['leaves']);
    expect(all[0]).to.include({ failed: 1 });
    expect(all[0]?.report).to.include('nobody handles this');
  });

  it('counts files that cannot be loaded, or have no spec in them', async () => {
    const all = await outcomes(['nowhere', 'empty']);
    expect(totals(all)).to.equal('0 passed, 2 failed');
    expect(all.map(({ report }) => report).join()).to.match(/could not be loaded[\s\S]*no spec in it/);
  });

  it('runs every file once, whatever the number of processes', async () => {
    const names = ['passes', 'mixed', 'passes', 'dies', 'mixed', 'passes', 'passes'];
    const all = await outcomes(names, 3);
    expect(all.map(({ file }) => file)).to.have.members(names.map(caseFile));
  });

  it('has every spec file in its plan, once, and none that is not there', () => {
    const files = specFiles();
    const { computing, others, alone } = planned(files);
    expect([...computing, ...others, ...alone].sort()).to.deep.equal(files);
    for (const file of [...ALONE, ...COMPUTING, ...LONG]) expect(files).to.include(file);
    for (const file of files) expect(existsSync(compiled(file)), compiled(file)).to.equal(true);
  });
});
