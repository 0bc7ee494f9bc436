/** Fuzzing from the command line: prints how many cases there were and how fast, or the find and its seed. */
import { parseArgs } from 'node:util';
import { randomSeed } from '../support/random.js';
import { Find, fuzz } from './fuzz.js';
import { SURFACES } from './surfaces/all.js';

const NAMES = Object.keys(SURFACES);
const HELP = `npm run fuzz -- SURFACE [--cases N] [--seed S]

${NAMES.map((name) => `  ${name.padEnd(9)} ${SURFACES[name]?.what ?? ''}`).join('\n')}
  all       each of them

  --cases N   how many, of that seed and the next ones (1 with a seed, else 100000)
  --seed S    of the first case, from 0 to 4294967295 (a random one; it is printed)
`;
/** Cases between two looks at the clock. */
const CHUNK = 10_000;

function run(): number {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      cases: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [wanted = ''] = positionals;
  const seed = values.seed === undefined ? randomSeed() : Number(values.seed);
  const cases = Number(values.cases ?? (values.seed === undefined ? 100_000 : 1));
  const known = wanted === 'all' || NAMES.includes(wanted);
  if (values.help || !known || !Number.isSafeInteger(cases) || seed >>> 0 !== seed) {
    process.stdout.write(HELP);
    return values.help ? 0 : 2;
  }
  for (const name of wanted === 'all' ? NAMES : [wanted]) {
    const surface = SURFACES[name];
    if (surface === undefined) continue;
    const began = performance.now();
    for (let done = 0; done < cases; done += CHUNK) {
      fuzz(name, surface, (seed + done) >>> 0, Math.min(CHUNK, cases - done));
    }
    const seconds = (performance.now() - began) / 1000;
    process.stdout.write(
      `${name}: ${cases} cases from seed ${seed}, ${Math.round(cases / seconds)} per second, nothing found\n`,
    );
  }
  return 0;
}

try {
  process.exitCode = run();
} catch (error) {
  if (!(error instanceof Find)) throw error;
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
}
