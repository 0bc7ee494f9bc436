/**
 * Fuzzing that is guided by coverage, with Jazzer.js where that is installed: what reaches new code is kept and changed
 * further. A case is what the fuzzer's bytes make of the random choices of a surface.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SURFACES } from '../surfaces/all.js';
import { BytesRandom } from './bytesRandom.js';

const NAMES = Object.keys(SURFACES);
const HELP = `npm run fuzz:guided -- SURFACE [--seconds N] [--case FILE]

  one of ${NAMES.join(', ')}

  --seconds N  how long (60)
  --case FILE  runs the case of a file that was written for a find, without the fuzzer

Needs Jazzer.js, which is no dependency: npm install --no-save @jazzer.js/core@4.0.0 (glibc 2.38 or later).
What it has learned is kept in dist/corpus, so that the next run goes on with it.
`;
const MOST_BYTES = 4096;
const DIST = fileURLToPath(new URL('../../../', import.meta.url));

function jazzer(): string | null {
  try {
    const { resolve } = createRequire(import.meta.url);
    return join(dirname(resolve('@jazzer.js/core')), 'cli.js');
  } catch {
    return null;
  }
}

async function run(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '60' },
      case: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [name = ''] = positionals;
  const surface = SURFACES[name];
  const seconds = Number(values.seconds);
  if (values.help || surface === undefined || !(seconds > 0)) {
    process.stdout.write(HELP);
    return values.help ? 0 : 2;
  }
  if (values.case !== undefined) {
    surface.run(new BytesRandom(readFileSync(values.case)));
    process.stdout.write(`${name}: nothing found\n`);
    return 0;
  }
  const cli = jazzer();
  if (cli === null) {
    process.stderr.write(`Jazzer.js is not installed.\n\n${HELP}`);
    return 2;
  }
  const corpus = join(DIST, 'corpus', name);
  const finds = join(DIST, 'corpus', `${name}-finds`);
  for (const folder of [corpus, finds]) mkdirSync(folder, { recursive: true });
  const target = join(DIST, 'spec', 'fuzz', 'guided', 'target.js');
  const ours = ['--sync', '--includes', join(DIST, 'lib'), '--disableBugDetectors', '.*'];
  const fuzzers = [
    corpus,
    `-max_total_time=${seconds}`,
    `-max_len=${MOST_BYTES}`,
    `-artifact_prefix=${finds}/`,
    '-print_final_stats=1',
  ];
  const child = spawn(process.execPath, [cli, target, ...ours, '--', ...fuzzers], {
    stdio: 'inherit',
    env: { ...process.env, TCPSHM_FUZZ_SURFACE: name },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

process.exitCode = await run();
