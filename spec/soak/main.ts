/** Soak runs from the command line: see `--help`. */
import { writeFileSync } from 'node:fs';
import { HELP, type SoakArguments, soakArguments, UsageError } from './arguments.js';
import { soakCuts } from './cut.js';
import { soakKills } from './kill.js';
import { isLargeFaulty, soakLarge } from './large.js';
import { soakRequests } from './requests.js';
import { isFaulty } from './watch.js';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
}

try {
  const run = soakArguments(process.argv.slice(2));
  if (run === null) process.stdout.write(HELP);
  else await soak(run);
} catch (error) {
  const { message } = error as Error;
  const usage = error instanceof UsageError;
  console.error(usage ? `${message}\nTry --help.` : message);
  process.exitCode = usage ? 2 : 1;
}

async function soak(run: SoakArguments): Promise<void> {
  const progress = (line: string): void => console.error(line);
  progress(titleOf(run));
  const { report, faulty } = await outcomeOf(run, progress);
  const line = `${JSON.stringify(report)}\n`;
  if (run.json === '-') process.stdout.write(line);
  else writeFileSync(run.json, line);
  if (faulty) process.exitCode = 1;
}

function titleOf({ command, options }: SoakArguments): string {
  switch (command) {
    case 'kill':
      return `${options.kills} kills over ${options.transport}, ${options.groups} groups in threads, seed ${options.seed}`;
    case 'cut':
      return `${options.cuts} cuts, flow ${options.flow}, wire ${options.wire}, seed ${options.seed}`;
    case 'requests':
      return `${options.kills} kills and ${options.cuts} cuts over ${options.transport}, seed ${options.seed}`;
    case 'large':
      return `${options.gibibytes} GiB over ${options.transport}`;
  }
}

async function outcomeOf(
  run: SoakArguments,
  progress: (line: string) => void,
): Promise<{ readonly report: unknown; readonly faulty: boolean }> {
  const { signal } = stop;
  switch (run.command) {
    case 'kill': {
      const report = await soakKills(run.options, progress, signal);
      return { report, faulty: isFaulty(report) };
    }
    case 'cut': {
      const report = await soakCuts(run.options, progress, signal);
      return { report, faulty: isFaulty(report) };
    }
    case 'requests': {
      const report = await soakRequests(run.options, progress, signal);
      return { report, faulty: report.wrong.length > 0 };
    }
    case 'large': {
      const report = await soakLarge(run.options, progress, signal);
      return { report, faulty: isLargeFaulty(report) };
    }
  }
}
