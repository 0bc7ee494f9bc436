import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { native, nativeOrNull } from '../../lib/memory/native.js';
import { cleanUp, message, startWorker } from './support.js';

const MODULE = new URL('../../lib/memory/native.js', import.meta.url).href;

async function evaluate(code: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const source = `import { native, nativeOrNull } from ${JSON.stringify(MODULE)}; ${code}`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', source], {
    env: { ...process.env, ...env },
  });
  return stdout.trim();
}

describe('loader of the native module', () => {
  after(cleanUp);

  it('loads it once per thread', () => {
    expect(native()).to.equal(native());
    expect(nativeOrNull()).to.equal(native());
  });

  it('loads it in many workers at once', async () => {
    const workers = Array.from({ length: 4 }, () => startWorker('parentPort.postMessage(n.bootId());'));
    const ids = await Promise.all(workers.map(message));
    expect(new Set(ids)).to.deep.equal(new Set([native().bootId()]));
  });

  it('reports it missing, with what to do, when TCPSHM_NATIVE is off', async () => {
    const code = `
      try { native(); } catch (error) {
        console.log(JSON.stringify({ code: error.code, name: error.name, message: error.message, orNull: nativeOrNull() }));
      }`;
    const shown = JSON.parse(await evaluate(code, { TCPSHM_NATIVE: 'off' }));
    expect(shown).to.include({ code: 'ERR_NATIVE_MISSING', name: 'TcpshmError', orNull: null });
    expect(shown.message)
      .to.match(/TCPSHM_NATIVE/)
      .and.include(process.versions.node)
      .and.include(process.arch);
  });

  it('keeps the cause when no binary fits', async () => {
    // PREBUILDS_ONLY and another libc: nothing is left for node-gyp-build to find.
    const code = `
      try { native(); } catch (error) {
        console.log(JSON.stringify({ code: error.code, cause: error.cause?.message, message: error.message }));
      }`;
    const shown = JSON.parse(await evaluate(code, { PREBUILDS_ONLY: '1', LIBC: 'none' }));
    expect(shown.code).to.equal('ERR_NATIVE_MISSING');
    expect(shown.cause).to.include('No native build was found');
    expect(shown.message).to.include('node-gyp rebuild');
  });
});
