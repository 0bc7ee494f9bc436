import { expect } from 'chai';
import { thrownBy } from '../support/failure.js';
import { randomSeed } from '../support/random.js';
import { Find, fuzz } from './fuzz.js';
import { SURFACES } from './surfaces/all.js';

const CASES = 1500;

/** Seeds that have found something once, by surface: it stays mended. */
const REGRESSIONS: readonly (readonly [string, number])[] = [
  // Half of a surrogate pair, which is no text: a fault of the generator.
  ['codecs', 17],
];

describe('bytes of others', () => {
  for (const [name, surface] of Object.entries(SURFACES)) {
    const seed = randomSeed();
    it(`are taken or refused, and do nothing else: ${surface.what} (seed ${seed})`, () => {
      fuzz(name, surface, seed, CASES);
    });
  }

  it('found nothing again that they had found before', () => {
    for (const [name, seed] of REGRESSIONS) {
      const surface = SURFACES[name];
      if (surface === undefined) throw new Error(`no surface ${name}`);
      fuzz(name, surface, seed, 1);
    }
  });

  it('that find something tell the seed of their case', () => {
    const surface = {
      what: 'finds something now and then',
      run: (random: { once(n: number): boolean }) => {
        if (random.once(50)) throw new TypeError('found');
      },
    };
    const find = thrownBy(() => fuzz('a surface', surface, 1, 10_000)) as Find;
    expect(find).to.be.instanceOf(Find);
    expect(find.message).to.match(/^a surface, seed \d+: TypeError: found/);
    expect(thrownBy(() => fuzz('a surface', surface, find.seed, 1))).to.have.property('seed', find.seed);
  });
});
