/** Soak runs from the command line: see `--help`. */
import { writeFileSync } from 'node:fs';
import { HELP, type KillArguments, killArguments, UsageError } from './arguments.js';
import { soakKills } from './kill.js';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
}

try {
  const options = killArguments(process.argv.slice(2));
  if (options === null) process.stdout.write(HELP);
  else await kill(options);
} catch (error) {
  const { message } = error as Error;
  const usage = error instanceof UsageError;
  console.error(usage ? `${message}\nTry --help.` : message);
  process.exitCode = usage ? 2 : 1;
}

async function kill(options: KillArguments): Promise<void> {
  console.error(`${options.kills} kills over ${options.transport}, seed ${options.seed}`);
  const report = await soakKills(options, (line) => console.error(line), stop.signal);
  const line = `${JSON.stringify(report)}\n`;
  if (options.json === '-') process.stdout.write(line);
  else writeFileSync(options.json, line);
  const { lost, duplicated, reordered } = report;
  if (lost + duplicated + reordered > 0) process.exitCode = 1;
}
