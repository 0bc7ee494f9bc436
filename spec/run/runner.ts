/** A process that runs the spec files that lane.ts sends it, one after the other. */
import { readFileSync } from 'node:fs';
import { format } from 'node:util';
import Mocha from 'mocha';
import { broken, type Outcome } from './outcome.js';
import { compiled } from './plan.js';

const { Base } = Mocha.reporters;
const { timeout } = JSON.parse(readFileSync(new URL('../../../.mocharc.json', import.meta.url), 'utf8')) as {
  readonly timeout: number;
};

/** Keeps what has failed; says nothing. */
class Keeping extends Base {
  static last: Keeping;

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    Keeping.last = this;
  }
}

// A rejection that nobody handles fails the spec that runs.
process.on('unhandledRejection', (reason) => {
  throw reason;
});

process.on('message', async (file: string) => {
  let outcome: Outcome;
  try {
    outcome = await run(file);
  } catch (error) {
    outcome = broken(file, `could not be loaded: ${(error as Error).stack}`);
  }
  process.send?.(outcome);
});

async function run(file: string): Promise<Outcome> {
  const mocha = new Mocha({ timeout, reporter: Keeping, forbidOnly: true });
  mocha.addFile(compiled(file));
  await mocha.loadFilesAsync();
  if (mocha.suite.total() === 0) throw new Error('there is no spec in it');
  await new Promise((resolve) => mocha.run(resolve));
  mocha.dispose();
  const { failures, stats } = Keeping.last;
  return {
    file,
    passed: stats.passes,
    failed: stats.failures,
    skipped: stats.pending,
    durationMs: stats.duration ?? 0,
    report: reportOf(failures),
  };
}

function reportOf(failures: Mocha.Test[]): string {
  const { consoleLog } = Base;
  let text = '';
  Base.consoleLog = (...what) => {
    text += `${format(...what)}\n`;
  };
  try {
    if (failures.length > 0) Base.list(failures);
  } finally {
    Base.consoleLog = consoleLog;
  }
  return text;
}
