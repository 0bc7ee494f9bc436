import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { verdictOf } from './run/audit.js';
import { dependencies } from './run/licences.js';

/** What lets anybody use, change and pass on the package, whatever theirs is. */
const LICENCES = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'PSF-2.0',
  'Unlicense',
  'WTFPL',
];
/** For tools only, of which nothing is in this package: free, with conditions for who changes them. */
const LICENCES_OF_TOOLS = [...LICENCES, 'CC-BY-4.0', 'MPL-2.0', 'Python-2.0', 'Zlib'];

const EXACT = /^\d+\.\d+\.\d+$/;
/** A folder of this project, with a lock of its own in that of the project. */
const OWN = 'api-docs';
const root = fileURLToPath(new URL('../../', import.meta.url));

describe('the packages that this one depends on', () => {
  it('have exact versions', () => {
    const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    for (const kind of ['dependencies', 'devDependencies', 'overrides']) {
      for (const [name, version] of Object.entries(manifest[kind] ?? {}))
        expect(version, name).to.match(name === OWN ? /^file:\.ci\/docs$/ : EXACT);
    }
  });

  it('are locked, each with the hash of its file', () => {
    const found = dependencies();
    expect(found.length).to.be.above(10);
    for (const { name, version, integrity } of found) {
      expect(version, name).to.match(/^\d+\.\d+\.\d+/);
      expect(integrity, name).to.match(/^sha512-/);
    }
  });

  it('are few that are shipped, and under licences that allow everything', () => {
    const allowed = (licence: string, among: readonly string[]): boolean =>
      licence
        .replace(/[()]/g, '')
        .split(' OR ')
        .some((choice) => choice.split(' AND ').every((part) => among.includes(part)));
    for (const { name, licence, shipped } of dependencies()) {
      expect(
        allowed(licence, shipped ? LICENCES : LICENCES_OF_TOOLS),
        `${name} is under '${licence}'`,
      ).to.equal(true);
    }
    expect(dependencies().filter(({ shipped }) => shipped).length).to.be.below(40);
  });

  it('fail the lint where they have known faults, and not where nobody can say so', () => {
    const report = (vulnerabilities: object): string =>
      JSON.stringify({ auditReportVersion: 2, vulnerabilities, metadata: {} });
    expect(verdictOf(report({}))).to.deep.equal({ kind: 'clean' });
    expect(verdictOf(report({ some: { name: 'some', severity: 'high', via: [] } }))).to.deep.equal({
      kind: 'faults',
      packages: ['some (high)'],
    });
    const refused = JSON.stringify({ message: '405 Method Not Allowed', statusCode: 405, error: {} });
    expect(verdictOf(refused)).to.deep.equal({ kind: 'unanswered', why: 'status 405' });
    const offline = JSON.stringify({ error: { code: 'ENOTFOUND', summary: '' } });
    expect(verdictOf(offline)).to.deep.equal({ kind: 'unanswered', why: 'ENOTFOUND' });
    expect(verdictOf('').kind).to.equal('unanswered');
    expect(verdictOf('<html>').kind).to.equal('unanswered');
  });
});
