import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The code of the README in a language, in its order. */
function examples(language: 'js' | 'ts'): string[] {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const blocks = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return blocks.filter((match) => match[1] === language).map((match) => match[2] as string);
}

/** What the TypeScript of the README takes as given. */
const GIVEN = `
import type { Client, Connection, Server } from 'tcpshm';
declare global {
  const client: Client;
  const connection: Connection;
  const server: Server;
  const signal: AbortSignal;
  const file: URL;
  const secret: Uint8Array;
  interface Order { readonly id: number; readonly items: readonly string[]; readonly due: Date }
  function book(order: Order): Promise<void>;
  function priceOf(item: string): number;
  function store(name: string, bytes: AsyncIterable<unknown>): Promise<number>;
}
`;

/** An import of every public name, as the blocks leave theirs out. */
function imports(): string {
  const index = readFileSync(join(root, 'lib', 'index.ts'), 'utf8');
  const names = [...index.matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, type = '', list = '']) =>
    list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => `${type}${name}`),
  );
  return `import { ${names.join(', ')} } from 'tcpshm';\nimport { Worker } from 'node:worker_threads';\n`;
}

/** All that is written beside the code, by its path. */
function documents(): string[] {
  const beside = ['.github', 'bench', 'examples', 'lib', 'native-shm', 'spec'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.md') && !path.includes('node_modules'))
      .map((path) => join(folder, path)),
  );
  return ['README.md', ...beside];
}

/** The anchors of headings, as GitHub makes them. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
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
  const [threads, server, client] = examples('js') as [string, string, string];
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
    expect(examples('js')).to.have.length(3);
  });

  it('have the types that the library has, where they are parts of programs', () => {
    const blocks = join(folder, 'blocks');
    mkdirSync(blocks);
    writeFileSync(join(blocks, 'given.ts'), GIVEN);
    for (const [number, block] of examples('ts').entries()) {
      writeFileSync(join(blocks, `block${number + 1}.ts`), `${imports()}${block}`);
    }
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { noEmit: true, rootDir: root, noUnusedLocals: false, noUnusedParameters: false },
      include: [blocks],
      exclude: [],
    };
    writeFileSync(join(blocks, 'tsconfig.json'), JSON.stringify(config));
    const compiler = join(root, 'node_modules', '.bin', 'tsc');
    const { stdout, status } = spawnSync(compiler, ['-p', blocks], { encoding: 'utf8' });
    expect(stdout).to.equal('');
    expect(status).to.equal(0);
  }).timeout(60_000);

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

describe('what is written beside the code', () => {
  it('has links to what is there', () => {
    const dead: string[] = [];
    for (const path of documents()) {
      const text = readFileSync(join(root, path), 'utf8').replace(/^```.*?^```$/gms, '');
      for (const [, link = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(link)) continue;
        const [file = '', anchor] = link.split('#');
        const target = file === '' ? join(root, path) : join(root, dirname(path), file);
        const found =
          existsSync(target) &&
          (anchor === undefined || anchors(readFileSync(target, 'utf8')).includes(anchor));
        if (!found) dead.push(`${path}: ${link}`);
      }
    }
    expect(dead).to.deep.equal([]);
  });

  it('lists every example, and specs start what is listed', () => {
    const list = readFileSync(join(root, 'examples', 'README.md'), 'utf8');
    const listed = [...list.matchAll(/`node dist\/examples\/(\w+\/\w+)\.js`/g)].map(
      ([, program = '']) => program,
    );
    const folders = readdirSync(join(root, 'examples'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    // The demo is a part of `npm run demo`.
    expect(new Set([...listed.map((program) => dirname(program)), 'demo'])).to.deep.equal(new Set(folders));
    const specs = join(root, 'spec', 'examples');
    const started = readdirSync(specs).map((name) => readFileSync(join(specs, name), 'utf8'));
    for (const program of ['demo', ...listed]) {
      expect(
        started.some((text) => text.includes(`'${program}'`)),
        program,
      ).to.equal(true);
    }
  });
});
