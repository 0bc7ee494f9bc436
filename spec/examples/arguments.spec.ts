import { expect } from 'chai';
import { cleanUp, Folders, Program, startServer } from './support.js';

/** What each program does not take, and what it says about it. */
const REFUSED: readonly (readonly [program: string, options: readonly string[], says: string])[] = [
  ['echo/client', ['--colour', 'red'], "Unknown option '--colour'"],
  ['echo/client', ['extra'], "Unexpected argument 'extra'"],
  ['echo/client', ['--count'], "'--count <value>' argument missing"],
  ['echo/client', ['--count', '-5'], '--count'],
  ['echo/client', ['--count', '1.5'], "--count must be an integer from 1 to 1125899906842624, got '1.5'"],
  ['echo/client', ['--window', '0'], '--window must be an integer from 1 to'],
  ['echo/client', ['--size', '15'], '--size must be an integer from 16 to 262152'],
  ['echo/client', ['--port', '65536'], '--port must be an integer from 1 to 65535'],
  ['echo/client', ['--port', '0'], '--port must be an integer from 1 to 65535'],
  ['echo/client', ['--transport', 'pigeon'], '--transport must be one of auto, shm, tcp, inproc'],
  ['echo/client', ['--name', '../x'], 'name must be 1 to 63 characters'],
  ['echo/server', ['--name', ''], 'name must be 1 to 63 characters'],
  ['echo/server', ['--idle', 'sleep'], '--idle must be one of busy, yield'],
  ['echo/server', ['--transport', 'inproc'], "transport 'inproc' stays within one process"],
  ['demo', ['--count', 'many'], "--count must be an integer from 1 to 1125899906842624, got 'many'"],
  ['demo', ['--fast'], "Unknown option '--fast'"],
];

describe('the command line of the examples', () => {
  afterEach(cleanUp);

  for (const [program, options, says] of REFUSED) {
    it(`${program} refuses ${options.join(' ')} with exit code 2`, async () => {
      const refused = new Program(program, options);
      expect(await refused.ended()).to.equal(2);
      expect(refused.stderr).to.include(says);
      expect(refused.stdout).to.equal('');
    });
  }

  for (const program of ['echo/client', 'echo/server', 'demo']) {
    it(`${program} explains itself with --help`, async () => {
      const helpful = new Program(program, ['--help']);
      expect(await helpful.ended()).to.equal(0);
      expect(helpful.stdout).to.include('--json');
    });
  }

  it('echo/server fails with exit code 1 when the port is in use', async () => {
    const folders = new Folders();
    const { port } = await startServer(folders.options);
    const second = new Program('echo/server', ['--port', String(port), ...folders.options]);
    expect(await second.ended()).to.equal(1);
    expect(second.stderr).to.include(`${port}`);
  });

  it('echo/client fails with exit code 1 when nobody listens for long enough', async () => {
    const folders = new Folders();
    const { server, port } = await startServer(folders.options);
    await server.end('SIGTERM');
    const options = ['--port', String(port), '--reconnect-seconds', '1', ...folders.options];
    const client = new Program('echo/client', options);
    expect(await client.ended()).to.equal(1);
    expect(client.stderr).to.include(`${port}`);
  });
});
