import { expect } from 'chai';
import { randomSeed } from '../support/random.js';
import { type Figures, Simulation } from './simulation.js';

const SCHEDULES = 150;

describe('messengers whose processes die', () => {
  const first = randomSeed();

  it(`settle all requests as promised (${SCHEDULES} schedules from seed ${first})`, async () => {
    const sum: Record<keyof Figures, number> = {
      asked: 0,
      answered: 0,
      unanswered: 0,
      again: 0,
      deaths: 0,
      late: 0,
    };
    for (let i = 0; i < SCHEDULES; i++) {
      const seed = (first + i) >>> 0;
      const simulation = new Simulation(seed);
      try {
        await simulation.run();
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
      for (const key of Object.keys(sum) as (keyof Figures)[]) sum[key] += simulation.figures[key];
    }
    // That what is to be survived has happened.
    for (const [what, count] of Object.entries(sum)) expect(count, what).to.be.above(0);
  });
});
