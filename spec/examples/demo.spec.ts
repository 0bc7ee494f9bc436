import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect } from 'chai';
import type { DemoResult } from '../../examples/demo/runs.js';
import { cleanUp, newFolder, Program } from './support.js';

/** The demo's folders in shared memory: other runs of it may be going on, so only new ones count. */
function demoFolders(): readonly string[] {
  return readdirSync('/dev/shm').filter((name) => name.startsWith('tcpshm-demo-'));
}

describe('npm run demo', () => {
  let before: ReadonlySet<string>;
  let temporary: string;
  beforeEach(() => {
    before = new Set(demoFolders());
    temporary = newFolder(tmpdir());
  });
  afterEach(cleanUp);

  function expectNothingLeft(): void {
    expect(demoFolders().filter((name) => !before.has(name))).to.deep.equal([]);
    expect(readdirSync(temporary)).to.deep.equal([]);
  }

  it('runs the echo over all transports and prints one JSON array', async () => {
    const demo = new Program('demo', ['--json', '--count', '300'], { TMPDIR: temporary });
    const results = (await demo.json()) as DemoResult[];
    expect(results.map((result) => result.transport)).to.deep.equal(['inproc', 'shm', 'tcp']);
    for (const result of results) {
      expect(result).to.include({ verified: 600, lost: 0, duplicated: 0, reordered: 0 });
      for (const figure of ['meanNs', 'p50Ns', 'p99Ns', 'p999Ns', 'maxNs', 'messagesPerSecond'] as const) {
        expect(result[figure], figure).to.be.a('number').above(0);
      }
    }
    expectNothingLeft();
  });

  it('prints a table', async () => {
    const demo = new Program('demo', ['--count', '100'], { TMPDIR: temporary });
    expect(await demo.ended()).to.equal(0);
    const [head, ...rows] = demo.stdout.trimEnd().split('\n');
    expect(head).to.match(/round trip +mean +p50 +p99 +p99\.9 +max +messages\/s +verified/);
    expect(rows.map((row) => row.trim().split(/\s/)[0])).to.deep.equal(['inproc', 'shm', 'tcp']);
    expect(demo.stderr).to.match(/shm, messages in flight: 1 … 100 came back/);
    expectNothingLeft();
  });

  it('ends its programs and removes its files when it is interrupted', async () => {
    const demo = new Program('demo', [], { TMPDIR: temporary });
    await demo.until(({ stderr }) => stderr.includes('tcp, messages in flight'));
    expect(demoFolders().some((name) => !before.has(name))).to.equal(true);
    expect(await demo.end('SIGINT')).to.equal('SIGINT');
    expectNothingLeft();
  });
});
