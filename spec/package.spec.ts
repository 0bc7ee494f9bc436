import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A program of a user: both peers in one process, over shared memory, which needs the native module. */
const PROGRAM = `
import { Client, Server, TcpshmError } from 'tcpshm';
const [directory, sharedDirectory] = process.argv.slice(2);
const server = new Server({ name: 's', directory, sharedDirectory, onMessage(connection, message) {
  const text = message.text();
  connection.pop();
  connection.send(text + '!');
} });
const { port } = await server.listen({ port: 0 });
const running = server.run();
const client = new Client({ name: 'c', directory, sharedDirectory });
const connection = await client.connect({ port, transport: 'shm' });
connection.send('packed');
let message;
while ((message = connection.front()) === null) await new Promise(setImmediate);
console.log(connection.transport, message.text(), TcpshmError.name);
await client.close({ removeSessions: true });
await server.close({ removeSessions: true });
await running;
`;

/** One that has its numbers collected: `metrics` is a meter that does nothing but ask. */
const OBSERVER = `
import { RingChannel } from 'tcpshm';
import { observe } from 'tcpshm/opentelemetry';
const told = {};
const instrument = (name) => ({ name });
const meter = {
  createObservableCounter: instrument, createObservableGauge: instrument, createObservableUpDownCounter: instrument,
  addBatchObservableCallback: (call) => call({ observe: ({ name }, value) => { told[name] = value; } }),
};
const { local } = new RingChannel();
local.send('counted');
observe(local, { meter });
console.log(told['messaging.client.sent.messages'], local.stats().sentMessages);
`;

/** Prints which of its entries can be loaded. */
const LOADER = `
for (const entry of ['tcpshm', 'tcpshm/opentelemetry']) {
  console.log(await import(entry).then(() => entry, ({ code, message }) => code + ' ' + message.match(/'(@[^']+)'/)?.[1]));
}
`;

describe('the package', () => {
  let folder: string;
  let installed: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tcpshm-package-'));
    execFileSync(process.execPath, [join(root, 'native-shm', 'prebuild.cjs')], { cwd: root });
    // The build was made already, by the same run that runs this.
    execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], {
      cwd: root,
      stdio: 'pipe',
    });
    const archive = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
    installed = join(folder, 'node_modules', 'tcpshm');
    mkdirSync(installed, { recursive: true });
    execFileSync('tar', ['-xzf', join(folder, archive), '-C', installed, '--strip-components=1']);
    // Its dependencies. Nothing else is done at an installation: no script is run.
    for (const name of ['msgpackr', 'node-gyp-build', 'piscina']) {
      symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
    }
  });
  after(() => {
    rmSync(folder, { recursive: true });
    rmSync(join(root, 'native-shm', 'prebuilds'), { recursive: true, force: true });
  });

  it('works as it is unpacked, with the binary that it carries', () => {
    const program = join(folder, 'program.mjs');
    writeFileSync(program, PROGRAM);
    const shared = mkdtempSync('/dev/shm/tcpshm-package-');
    try {
      const output = execFileSync(process.execPath, [program, join(folder, 'sessions'), shared], {
        encoding: 'utf8',
      });
      expect(output).to.equal('shm packed! TcpshmError\n');
    } finally {
      rmSync(shared, { recursive: true, force: true });
    }
  });

  function run(name: string, text: string): string {
    const program = join(folder, name);
    writeFileSync(program, text);
    return execFileSync(process.execPath, [program], { encoding: 'utf8' });
  }

  it('needs the API of OpenTelemetry for the entry that is named after it, and for nothing else', () => {
    expect(run('loader.mjs', LOADER)).to.equal('tcpshm\nERR_MODULE_NOT_FOUND @opentelemetry/api\n');
    const api = join(folder, 'node_modules', '@opentelemetry');
    mkdirSync(api);
    symlinkSync(join(root, 'node_modules', '@opentelemetry', 'api'), join(api, 'api'));
    expect(run('loader.mjs', LOADER)).to.equal('tcpshm\ntcpshm/opentelemetry\n');
    expect(run('observer.mjs', OBSERVER)).to.equal('1 1\n');
    const { peerDependencies, peerDependenciesMeta, dependencies } = JSON.parse(
      readFileSync(join(installed, 'package.json'), 'utf8'),
    );
    expect(peerDependencies).to.have.keys('@opentelemetry/api');
    expect(peerDependenciesMeta).to.deep.equal({ '@opentelemetry/api': { optional: true } });
    expect(dependencies).not.to.have.property('@opentelemetry/api');
  });

  it('carries types, sources for debuggers and for a local build, and nothing of the workshop', () => {
    for (const file of [
      'dist/lib/index.d.ts',
      'dist/lib/opentelemetry.d.ts',
      'lib/index.ts',
      'native-shm/binding.gyp',
      'README.md',
      'LICENSE',
    ]) {
      expect(existsSync(join(installed, file)), file).to.equal(true);
    }
    for (const file of ['spec', 'bench', 'examples', 'dist/spec', 'dist/bench', 'native-shm/build']) {
      expect(existsSync(join(installed, file)), file).to.equal(false);
    }
  });
});
