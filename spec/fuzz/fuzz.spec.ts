import { expect } from 'chai';
import { thrownBy } from '../support/failure.js';
import { Random, randomSeed } from '../support/random.js';
import { Find, fuzz } from './fuzz.js';
import { BytesRandom } from './guided/bytesRandom.js';
import { randomBytes } from './mutate.js';
import { SURFACES } from './surfaces/all.js';

const CASES = 1500;

/** Seeds that have found something once, by surface: it stays mended. */
const REGRESSIONS: readonly (readonly [string, number])[] = [
  // Half of a surrogate pair, which is no text: a fault of the generator.
  ['codecs', 17],
];

/** The same of guided fuzzing, with the bytes that have found it. */
const GUIDED_REGRESSIONS: readonly (readonly [string, string])[] = [
  // What begins as TLS does.
  ['frames', 'XQAAAAAAAAAAAAAAWyQLG0ABAAAAAAAAACwJejvrOwQ='],
];
const GUIDED_CASES = 200;

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
    for (const [name, bytes] of GUIDED_REGRESSIONS)
      SURFACES[name]?.run(new BytesRandom(Buffer.from(bytes, 'base64')));
  });

  it('may be the choices of a fuzzer, of any length, the same again for the same', () => {
    const random = new Random(randomSeed());
    for (const surface of Object.values(SURFACES)) {
      for (let n = 0; n < GUIDED_CASES; n++)
        surface.run(new BytesRandom(randomBytes(random, random.below(600))));
    }
    const choices = (): number[] => {
      const one = new BytesRandom(Uint8Array.of(7, 1, 2, 3, 4, 5));
      return [one.below(4), one.next(), one.below(1000), one.next()];
    };
    // One byte, four, the one that is left of two, and none.
    expect(choices()).to.deep.equal([3, 0x04030201, 5, 0]);
    expect(new BytesRandom(new Uint8Array(0)).once(2)).to.equal(false);
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
