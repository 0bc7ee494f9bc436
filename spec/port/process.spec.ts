import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { WATCHDOG_MS } from '../support/until.js';

const LIB = new URL('../../lib/index.js', import.meta.url).href;
const ECHO = new URL('./portThread.js', import.meta.url).href;

/** What a process of its own prints until it ends by itself. */
async function printed(body: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const source = `
    import { once } from 'node:events';
    import { setTimeout as sleep } from 'node:timers/promises';
    import { Worker } from 'node:worker_threads';
    import { RingPort, RingPortPair } from ${JSON.stringify(LIB)};
    const { port1, port2 } = new RingPortPair();
    const start = () => new Worker(new URL(${JSON.stringify(ECHO)}), { workerData: port2.detach(), execArgv: [] });
    ${body}`;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', source], {
    timeout: WATCHDOG_MS,
    env: { ...process.env, ...env },
  });
  return (await run).stdout.trim();
}

describe('a process with a RingPort', () => {
  for (const native of ['on', 'off']) {
    const env = native === 'off' ? { TCPSHM_NATIVE: 'off' } : {};

    describe(`with the native module ${native}`, () => {
      it('ends when nothing listens', async () => {
        expect(await printed(`port1.postMessage(1); console.log('done')`, env)).to.equal('done');
      });

      it('ends when the port was unref-ed, also with messages on their way', async () => {
        const body = `
          port1.on('message', (value) => { port1.postMessage(value); });
          port2.on('message', (value) => { port2.postMessage(value); });
          port1.unref(); port2.unref();
          port1.postMessage(1);
          await sleep(20);
          console.log('done')`;
        expect(await printed(body, env)).to.equal('done');
      });

      it('goes on while something listens, and sleeps', async () => {
        const body = `
          const worker = start();
          port1.on('message', (value) => {
            console.log(value);
            if (value === 'second') port1.postMessage('close');
          });
          port1.on('close', () => console.log('closed'));
          port1.postMessage('first');
          setTimeout(() => port1.postMessage('second'), 50).unref();`;
        expect(await printed(body, env)).to.equal('first\nsecond\nclosed');
      });

      it('goes on while a port that was closed still has to send', async () => {
        const body = `
          const worker = start();
          let count = 0;
          port1.on('message', (value) => { if (++count === 2) console.log(value.length); });
          port1.postMessage('a'); port1.postMessage('b'.repeat(5e6)); port1.postMessage('close');
          worker.on('exit', () => console.log('ended'));`;
        expect(await printed(body, env)).to.equal('5000000\nended');
      });
    });
  }
});
