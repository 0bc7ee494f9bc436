import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

/**
 * The layers of lib, lowest first: a file imports from layers below its own, and from its own folder. Those of one
 * line know nothing of each other. lib/README.md says what each is for.
 */
const LAYERS = [
  ['errors.ts'],
  ['memory'],
  ['ring'],
  ['session'],
  ['diagnostics'],
  ['store', 'wire'],
  ['writer'],
  ['options.ts'],
  ['connection'],
  ['codec'],
  ['login', 'poll'],
  ['thread'],
  ['group'],
  ['channel', 'client.ts', 'server'],
  ['port'],
  ['pool'],
  ['messaging'],
  ['index.ts', 'opentelemetry.ts'],
] as const;

/** The one file that may load the native module. */
const NATIVE = 'memory/native.ts';
/** The one file that may load piscina, and when it is needed only. */
const PISCINA = 'thread/soloThread.ts';

/** The one file that loads msgpackr. */
const MSGPACKR = 'codec/msgpack.ts';

/** The one file that loads the API of OpenTelemetry, which is an entry of its own. */
const OPENTELEMETRY = 'opentelemetry.ts';

const LIB = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'lib');
const FILES = readdirSync(LIB, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .sort();

/** What is left of a source without its comments. */
function code(path: string): string {
  return readFileSync(join(LIB, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

/** The modules that a file imports, also for types only. */
function specifiers(path: string): string[] {
  const found = code(path).matchAll(
    /(?:^|[;\n])\s*(?:import|export)\s+(?:[^'"`;=]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g,
  );
  return [...found].map((match) => (match[1] ?? match[2]) as string);
}

/** The files of lib that a file imports. */
function imports(path: string): string[] {
  return specifiers(path)
    .filter((name) => name.startsWith('.'))
    .map((name) => posix.join(posix.dirname(path), name).replace(/\.js$/, '.ts'));
}

function partOf(path: string): string {
  return path.split('/')[0] as string;
}

function layerOf(path: string): number {
  return LAYERS.findIndex((parts) => (parts as readonly string[]).includes(partOf(path)));
}

describe('the architecture of lib', () => {
  it('reads the imports that are there', () => {
    expect(imports('ring/consumer.ts')).to.include.members(['errors.ts', 'memory/wrap.ts', 'ring/layout.ts']);
    expect(imports('index.ts')).to.include.members(['client.ts', 'errors.ts', 'session/state.ts']);
  });

  it('has a layer for every file and folder, and no layer for what is not there', () => {
    const parts = [...new Set(FILES.map(partOf))];
    expect(parts).to.have.members(LAYERS.flat());
  });

  it('imports only files that exist', () => {
    for (const file of FILES) expect(FILES, `imports of ${file}`).to.include.members(imports(file));
  });

  for (const file of FILES) {
    it(`${file} imports downwards only`, () => {
      for (const imported of imports(file)) {
        if (partOf(imported) === partOf(file)) continue;
        expect(layerOf(imported), `layer of ${imported}, imported by ${file}`).to.be.below(layerOf(file));
      }
    });
  }

  it('has no cycles between files', () => {
    const finished = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) throw new Error(`a cycle: ${[...path, file].join(' → ')}`);
      if (finished.has(file)) return;
      for (const imported of imports(file)) visit(imported, [...path, file]);
      finished.add(file);
    };
    for (const file of FILES) visit(file, []);
    expect(finished.size).to.equal(FILES.length);
  });

  it(`loads the native module in ${NATIVE} alone`, () => {
    const loaders = FILES.filter((file) =>
      /node-gyp-build|createRequire|process\.dlopen|\.node['"]/.test(code(file)),
    );
    expect(loaders).to.deep.equal([NATIVE]);
  });

  it('imports nothing but itself and Node.js otherwise', () => {
    for (const file of FILES) {
      for (const name of specifiers(file)) {
        if (file === PISCINA && name === 'piscina') continue;
        if (file === MSGPACKR && name === 'msgpackr') continue;
        if (file === OPENTELEMETRY && name === '@opentelemetry/api') continue;
        expect(name, `in ${file}`).to.match(/^(\.{1,2}\/.*\.js|node:.*)$/);
      }
    }
  });

  it(`loads ${OPENTELEMETRY} from nowhere`, () => {
    for (const file of FILES) expect(imports(file), `imports of ${file}`).not.to.include(OPENTELEMETRY);
  });

  it('stays within the folder', () => {
    for (const file of FILES) {
      for (const imported of imports(file)) {
        expect(relative(LIB, join(LIB, imported)).startsWith('..'), `${imported} in ${file}`).to.equal(false);
      }
    }
  });
});
