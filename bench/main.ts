/** `npm run -s bench -- [BENCHMARK] [--quick] [--json FILE] [--html FILE] [--directory DIR]`: see README.md. */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { runAll } from './all.js';
import { type Benchmark, parseArguments, type RunRequest, USAGE } from './arguments.js';
import { runBandwidth } from './bandwidth/run.js';
import { exitOnSignals } from './cleanup.js';
import { compareReports, isWorse } from './compare/compare.js';
import { readReport } from './compare/read.js';
import { type CompareRequest, wordsOf } from './compare/request.js';
import { formatComparison } from './compare/text.js';
import { allowedCpus, choosePair } from './cpus.js';
import { diskOf } from './durability/fileSystem.js';
import { runDurability } from './durability/run.js';
import { describeEnvironment } from './environment.js';
import { runEveryday } from './everyday/run.js';
import { runLatency } from './latency/run.js';
import { compileLimits } from './limitPrograms.js';
import { runMemory } from './memory/run.js';
import { runMessaging } from './messaging/run.js';
import { readAssets } from './page/assets.js';
import { formatPage } from './page/page.js';
import { runPeers } from './peers/run.js';
import { canPin } from './pinning.js';
import { Progress } from './progress.js';
import { formatJson, type Outcome, type Report } from './report.js';
import type { RoundsSettings } from './rounds.js';
import { runRtt } from './rtt.js';
import { runScale } from './scale/run.js';
import { formatReport } from './table.js';
import { runThroughput } from './throughput/run.js';
import { runWaiting } from './waiting/run.js';

/** The benchmarks that have floors in C, and two processors that they are pinned to. */
const PINNED: Record<
  Exclude<Benchmark, 'durability'>,
  (quick: boolean, settings: RoundsSettings) => Promise<Outcome>
> = {
  rtt: runRtt,
  throughput: runThroughput,
  bandwidth: runBandwidth,
  peers: runPeers,
  latency: runLatency,
  memory: runMemory,
  messaging: runMessaging,
  waiting: runWaiting,
  everyday: runEveryday,
  scale: runScale,
};

const FAILED = 1;
const MISUSE = 2;

const request = parseArguments(process.argv.slice(2));
if (request.kind === 'help') {
  process.stdout.write(USAGE);
} else if (request.kind === 'misuse') {
  process.stderr.write(`bench: ${request.message}\n\n${USAGE}`);
  process.exitCode = MISUSE;
} else if (request.kind === 'compare') {
  await exitAfter(() => compare(request), MISUSE);
} else {
  await exitAfter(async () => {
    const report = await run(request);
    write(report, request);
    return report.failed.length > 0;
  }, FAILED);
}

/**
 * Exits when `measure` has ended: by whether something failed, which it gives, or with `thrown` if it throws. At once, as
 * what was given up has perhaps a child process still, or a socket, that would keep this one.
 */
async function exitAfter(measure: () => Promise<boolean>, thrown: number): Promise<never> {
  exitOnSignals();
  try {
    process.exit((await measure()) ? FAILED : 0);
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n`);
    process.exit(thrown);
  }
}

async function run(request: RunRequest): Promise<Report> {
  const { benchmark, json, html } = request;
  // A report that cannot be written is better known before it is measured.
  for (const file of [json, html]) {
    if (file !== undefined && file !== '-') accessSync(dirname(resolve(file)), constants.W_OK);
  }
  const progress = new Progress(process.stderr);
  const report = await (benchmark === 'all'
    ? runAll(request, progress)
    : benchmark === 'durability'
      ? durability(request, progress)
      : pinned(benchmark, request.quick, progress));
  progress.end();
  return report;
}

/** Whether anything is worse. */
async function compare(request: CompareRequest): Promise<boolean> {
  const base = readReport(request.base);
  const comparison = compareReports(
    base,
    request.now === undefined ? await measureAgain(base, request) : readReport(request.now),
  );
  process.stdout.write(formatComparison(comparison));
  return isWorse(comparison);
}

async function measureAgain(base: Report, request: CompareRequest): Promise<Report> {
  const again = parseArguments(wordsOf(base, request));
  if (again.kind !== 'run')
    throw new Error(`${request.base} is of a benchmark that there is not: ${base.environment.benchmark}`);
  const report = await run(again);
  write(report, again);
  process.stdout.write('\n');
  return report;
}

async function pinned(benchmark: keyof typeof PINNED, quick: boolean, progress: Progress): Promise<Report> {
  const available = allowedCpus();
  const cpus = choosePair(available);
  const compiler = await compileLimits();
  const environment = describeEnvironment({ benchmark, quick, compiler, cpus, pinned: canPin() });
  const outcome = await PINNED[benchmark](quick, { cpus, cores: available.length, progress });
  return { environment, ...outcome };
}

async function durability({ benchmark, quick, ...request }: RunRequest, progress: Progress): Promise<Report> {
  const directory = resolve(request.directory ?? tmpdir());
  const disk = { directory, ...diskOf(directory) };
  const environment = describeEnvironment({ benchmark, quick, compiler: '', cpus: [], pinned: false, disk });
  const outcome = await runDurability({ quick, directory, cores: allowedCpus().length, progress });
  return { environment, ...outcome };
}

function write(report: Report, { json, html }: Pick<RunRequest, 'json' | 'html'>): void {
  const table = formatReport(report);
  if (json === '-') process.stderr.write(table);
  else process.stdout.write(table);
  if (html !== undefined) writeFileSync(html, formatPage(report, readAssets()));
  const text = formatJson(report);
  if (json === '-') process.stdout.write(text);
  else if (json !== undefined) writeFileSync(json, text);
}
