import { expect } from 'chai';
import fc from 'fast-check';
import { checkName, isName, journalFileName, otherRole, segmentFileName } from '../../lib/session/names.js';
import { expectCode } from '../support/failure.js';

const name = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$/);

describe('names', () => {
  for (const good of ['a', 'Z', '0', '_', '-', 'a.b', 'a..b', 'trader-1', 'x'.repeat(63), '-rf', 'CON']) {
    it(`allow ${good}`, () => {
      expect(checkName(good, 'name')).to.equal(good);
    });
  }

  for (const bad of [
    '',
    '.',
    '..',
    '.hidden',
    'x'.repeat(64),
    'a/b',
    '/',
    '../x',
    'a\\b',
    'a b',
    ' a',
    'a\n',
    '\na',
    'a\0',
    'a@b',
    'a:b',
    'ä',
    'a\u0301',
    '名前',
    '😀',
    'a\r\n',
  ]) {
    it(`refuse ${JSON.stringify(bad)}, saying whose`, () => {
      expect(isName(bad)).to.equal(false);
      const error = expectCode(
        () => checkName(bad, 'the name of the server'),
        'ERR_NAME',
        /^the name of the server/,
      );
      expect(error.message).to.include(JSON.stringify(bad));
    });
  }

  it('refuse what is no text', () => {
    for (const bad of [undefined, null, 1, true, {}, ['a'], Symbol('a'), new String('a')]) {
      expect(isName(bad)).to.equal(false);
      expectCode(() => checkName(bad, 'name'), 'ERR_NAME');
    }
  });

  it('are never taken for another: allowed ones come back as they are, others never', () => {
    fc.assert(
      fc.property(fc.oneof(name, fc.string({ unit: 'binary', maxLength: 70 })), (text) => {
        if (isName(text)) expect(checkName(text, 'name')).to.equal(text);
        else expectCode(() => checkName(text, 'name'), 'ERR_NAME');
      }),
    );
  });

  it('give every pair of names and every role a file of its own, which stays in its folder', () => {
    fc.assert(
      fc.property(fc.tuple(name, name), fc.tuple(name, name), (one, other) => {
        const files = (pair: readonly [string, string]): string[] => [
          segmentFileName(...pair),
          journalFileName(...pair, 'client'),
          journalFileName(...pair, 'server'),
        ];
        const same = one[0] === other[0] && one[1] === other[1];
        expect(new Set([...files(one), ...files(other)]).size).to.equal(same ? 3 : 6);
        for (const file of files(one)) {
          expect(file).to.match(/^[A-Za-z0-9_-][A-Za-z0-9._@-]*$/);
          expect(file.length).to.be.at.most(255);
        }
      }),
    );
  });

  it('come with two roles', () => {
    expect([otherRole('client'), otherRole('server')]).to.deep.equal(['server', 'client']);
  });
});
