/**
 * Runs specs with the native module built for AddressSanitizer and UndefinedBehaviorSanitizer: those given (as
 * `npm run spec` takes them), or all but one. The build is in a folder of its own, with a copy of what is compiled.
 *
 * Leaks are not looked for: Node.js frees little of its own at its end, and what the module leaves behind is counted by
 * `spec/native/lifetime.spec.ts` and `cycles.spec.ts`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { specFiles } from './plan.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const FOLDER = join(ROOT, 'native-shm/build/sanitized');
const { CXX: COMPILER = 'g++', HOME = '' } = process.env;
const FLAGS = [
  ...[
    '-std=c++17',
    '-shared',
    '-fPIC',
    '-g',
    '-O1',
    '-fno-omit-frame-pointer',
    '-Wall',
    '-Wextra',
    '-Werror',
  ],
  ...['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
  ...['-DNAPI_VERSION=8', '-D_GNU_SOURCE', '-DBUILDING_NODE_EXTENSION', '-Wl,-z,nodelete'],
];

/** What the folder has of its own: what is compiled, and the module. */
const COPIED = new Set(['dist', 'native-shm', '.git']);
/** It packs the module as users get it, which is another build. */
const OTHER_BUILD = 'package.spec.ts';

/** Where the headers of this Node.js are: beside its binary, or where node-gyp has put them. */
function headers(): string {
  const places = [
    join(dirname(process.execPath), '../include/node'),
    join(HOME, '.cache/node-gyp', process.versions.node, 'include/node'),
  ];
  const found = places.find((place) => existsSync(join(place, 'node_api.h')));
  if (found === undefined)
    throw new Error(`node_api.h is in none of ${places.join(', ')}: run npm run build:native first`);
  return found;
}

function build(): void {
  rmSync(FOLDER, { recursive: true, force: true });
  const release = join(FOLDER, 'native-shm/build/Release');
  mkdirSync(release, { recursive: true });
  const sources = join(ROOT, 'native-shm/src');
  const files = readdirSync(sources).filter((name) => name.endsWith('.cc'));
  const objects = files.map((name) => join(sources, name));
  execFileSync(COMPILER, [...FLAGS, `-I${headers()}`, '-o', join(release, 'tcpshm.node'), ...objects], {
    stdio: 'inherit',
  });
  // The loader looks for the folder above the file that asks, so what is compiled is a copy.
  cpSync(join(ROOT, 'dist'), join(FOLDER, 'dist'), { recursive: true });
  for (const name of readdirSync(ROOT)) {
    if (!COPIED.has(name)) symlinkSync(join(ROOT, name), join(FOLDER, name));
  }
  for (const name of readdirSync(join(ROOT, 'native-shm'))) {
    if (name !== 'build') symlinkSync(join(ROOT, 'native-shm', name), join(FOLDER, 'native-shm', name));
  }
}

function library(name: string): string {
  return execFileSync(COMPILER, [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
}

build();
const wanted = process.argv.slice(2);
if (wanted.length === 0) wanted.push(...specFiles().filter((file) => file !== OTHER_BUILD));
const { status } = spawnSync(process.execPath, [join(FOLDER, 'dist/spec/run/main.js'), ...wanted], {
  stdio: 'inherit',
  cwd: FOLDER,
  env: {
    ...process.env,
    LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
    SANITIZED: '1',
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:handle_abort=0:handle_sigbus=0',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  },
});
process.exitCode = status ?? 1;
