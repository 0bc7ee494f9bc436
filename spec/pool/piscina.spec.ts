import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { Piscina } from 'piscina';
import { RingPool } from '../../lib/index.js';
import { WATCHDOG_MS } from '../support/until.js';
import { TASKS } from './support.js';

const LIB = new URL('../../lib/index.js', import.meta.url).href;

/** A program of an existing user: what it prints. Only the import is another one. */
async function program(Pool: typeof Piscina): Promise<unknown[]> {
  const printed: unknown[] = [];
  const pool = new Pool({
    filename: fileURLToPath(TASKS),
    minThreads: 1,
    maxThreads: 2,
    concurrentTasksPerWorker: 2,
    idleTimeout: 100,
    maxQueue: 100,
  });
  pool.on('error', (error) => printed.push(error));
  printed.push(await pool.run({ a: 4, b: 6 }));
  printed.push(await Promise.all([1, 2, 3].map((a) => pool.run({ a, b: 1 }, { name: 'addLater' }))));
  printed.push(await pool.run(new Map([['key', new Set([1])]]), { name: 'echo' }));
  try {
    await pool.run('own', { name: 'failLater' });
  } catch (error) {
    printed.push(error instanceof Error, (error as Error).message);
  }
  const controller = new AbortController();
  const aborted = pool.run({ how: 'sleep' }, { name: 'die', signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  try {
    await aborted;
  } catch (error) {
    printed.push((error as Error).name, (error as Error).message);
  }
  printed.push(await pool.run({ a: 1, b: 1 }), pool.completed, pool.queueSize, pool.maxThreads);
  await pool.close();
  return printed;
}

describe('a program that uses piscina', () => {
  it('does the same with a RingPool', async () => {
    const expected = await program(Piscina);
    expect(expected).to.have.length(11);
    expect(await program(RingPool as unknown as typeof Piscina)).to.deep.equal(expected);
  });

  for (const native of ['on', 'off']) {
    it(`ends by itself when its tasks are done, with the native module ${native}`, async () => {
      const source = `
        import { RingPool } from ${JSON.stringify(LIB)};
        const pool = new RingPool({ filename: ${JSON.stringify(TASKS.href)}, minThreads: 1, maxThreads: 2, execArgv: [] });
        const results = Array.from({ length: 100 }, (_, a) => pool.run({ a, b: 1 }, { name: a % 2 ? 'default' : 'addLater' }));
        let sum = 0;
        for (const result of results) sum += await result;
        await new Promise((resolve) => setTimeout(resolve, 20));
        console.log(sum + await pool.run({ a: 0, b: 0 }));`;
      const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', source], {
        timeout: WATCHDOG_MS,
        env: { ...process.env, ...(native === 'off' && { TCPSHM_NATIVE: 'off' }) },
      });
      expect((await run).stdout.trim()).to.equal('5050');
    });
  }
});
