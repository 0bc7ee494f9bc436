import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { keyFinder } from '../../lib/login/keys.js';
import { expectCode } from '../support/failure.js';

const SECRET = randomBytes(32);

describe('the keys of a server', () => {
  const finders = {
    'by their ids': keyFinder({ a: SECRET }),
    'by a function': keyFinder((id) => (id === 'a' ? SECRET : null)),
    'by a function that gives undefined': keyFinder((id) => (id === 'a' ? SECRET : undefined)),
  };
  for (const [how, find] of Object.entries(finders)) {
    it(`are found ${how}`, () => {
      expect(Buffer.compare(find('a'), SECRET)).to.equal(0);
    });

    it(`are such that nobody has them where they are not known ${how}: each time others`, () => {
      const first = Buffer.from(find('b'));
      expect(first.length).to.be.at.least(16);
      expect(first.equals(find('b'))).to.equal(false);
    });
  }

  it('are refused when a function gives what can be guessed', () => {
    expectCode(() => keyFinder(() => new Uint8Array(3))('a'), 'ERR_OPTION', /key 'a'.*3 bytes/);
  });
});
