/** `npm run -s bench -- rtt [--quick] [--json FILE]`: see README.md. */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArguments, type RunRequest, USAGE } from './arguments.js';
import { exitOnSignals } from './cleanup.js';
import { allowedCpus, choosePair } from './cpus.js';
import { describeEnvironment } from './environment.js';
import { compileLimits } from './limitPrograms.js';
import { Progress } from './progress.js';
import type { Report } from './report.js';
import { runRtt } from './rtt.js';
import { formatReport } from './table.js';

const FAILED = 1;
const MISUSE = 2;

const request = parseArguments(process.argv.slice(2));
if (request.kind === 'help') {
  process.stdout.write(USAGE);
} else if (request.kind === 'misuse') {
  process.stderr.write(`bench: ${request.message}\n\n${USAGE}`);
  process.exitCode = MISUSE;
} else {
  exitOnSignals();
  try {
    const report = await run(request);
    write(report, request.json);
    if (report.failed.length > 0) process.exitCode = FAILED;
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n`);
    process.exitCode = FAILED;
  }
}

async function run({ benchmark, quick, json }: RunRequest): Promise<Report> {
  // A report that cannot be written is better known before it is measured.
  if (json !== undefined && json !== '-') accessSync(dirname(resolve(json)), constants.W_OK);
  const progress = new Progress(process.stderr);
  const available = allowedCpus();
  const cpus = choosePair(available);
  const compiler = await compileLimits();
  const environment = describeEnvironment({ benchmark, quick, compiler, cpus });
  const outcome = await runRtt({ quick, cpus, cores: available.length, progress });
  progress.end();
  return { environment, ...outcome };
}

function write(report: Report, json: string | undefined): void {
  const table = formatReport(report);
  if (json === '-') process.stderr.write(table);
  else process.stdout.write(table);
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (json === '-') process.stdout.write(text);
  else if (json !== undefined) writeFileSync(json, text);
}
