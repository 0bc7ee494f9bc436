import { expect } from 'chai';
import { FAULTS } from './faults.js';
import { loadInstrumented } from './instrumented.js';
import { SimulationFailure, simulate } from './simulate.js';

/** Where the schedules begin: fixed, so that what is found once is found again. */
const SEED = 5000;
const SCHEDULES = 10_000;

describe('the simulation finds', function () {
  this.timeout(300_000);

  for (const { what, ...change } of FAULTS) {
    it(what, async () => {
      const lib = await loadInstrumented([change]);
      const failure: unknown = await simulate(lib, SEED, SCHEDULES).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(SimulationFailure);
      expect((failure as Error).message).to.match(/--seed \d+/);
    });
  }

  it('nothing where there is no fault', async () => {
    await simulate(await loadInstrumented(), SEED, 1000);
  });
});
