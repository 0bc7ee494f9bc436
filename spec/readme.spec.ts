import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The JavaScript of the README, in its order. */
function examples(): string[] {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1] as string);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

describe('the examples of the README', () => {
  const [threads, server, client] = examples() as [string, string, string];
  const children: ChildProcess[] = [];
  let folder: string;

  before(() => {
    // Within the package, so that the name 'tcpshm' means this checkout.
    mkdirSync(join(root, 'dist'), { recursive: true });
    folder = mkdtempSync(join(root, 'dist', 'readme-'));
  });
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  function start(name: string, code: string): { child: ChildProcess; output: Promise<string> } {
    const file = join(folder, name);
    writeFileSync(file, code);
    const child = spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
    });
    return { child, output: new Promise((resolve) => child.once('exit', () => resolve(text))) };
  }

  it('are the three that are run here', () => {
    expect(examples()).to.have.length(3);
  });

  it('run between worker threads', async () => {
    const expected = threads.match(/console\.log\(.*\); \/\/ (.*)/)?.[1];
    expect(await start('threads.mjs', threads).output).to.equal(`${expected}\n`);
  });

  it('run between processes, whichever starts first', async () => {
    const port = String(await freePort());
    const shared = `/dev/shm/tcpshm-readme-${process.pid}`;
    const here = (code: string): string =>
      code
        .replaceAll('7000', port)
        .replaceAll("'./sessions',", `'./sessions', sharedDirectory: '${shared}',`);
    const listening = start('server.mjs', here(server));
    try {
      const expected = client.match(/console\.log\(.*\); \/\/ (.*)/)?.[1];
      let text = '';
      // Nobody may listen yet: the client says so, and is started again.
      while (text === '' && listening.child.exitCode === null) {
        text = await start(
          'client.mjs',
          `process.on('uncaughtException', () => process.exit(1));${here(client)}`,
        ).output;
      }
      expect(text).to.equal(`${expected}\n`);
    } finally {
      listening.child.kill('SIGKILL');
      await listening.output;
      rmSync(shared, { recursive: true, force: true });
    }
  });
});
