/** Soak runs from the command line: see `--help`. */
import { writeFileSync } from 'node:fs';
import { HELP, type SoakArguments, soakArguments, UsageError } from './arguments.js';
import { soakCuts } from './cut.js';
import { soakKills } from './kill.js';
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
  progress(
    run.command === 'kill'
      ? `${run.options.kills} kills over ${run.options.transport}, ${run.options.groups} groups in threads, seed ${run.options.seed}`
      : `${run.options.cuts} cuts, flow ${run.options.flow}, wire ${run.options.wire}, seed ${run.options.seed}`,
  );
  const report = await (run.command === 'kill'
    ? soakKills(run.options, progress, stop.signal)
    : soakCuts(run.options, progress, stop.signal));
  const line = `${JSON.stringify(report)}\n`;
  if (run.json === '-') process.stdout.write(line);
  else writeFileSync(run.json, line);
  if (isFaulty(report)) process.exitCode = 1;
}
