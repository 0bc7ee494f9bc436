/** The simulation from the command line: see `--help`. */
import { HELP, simulationArguments, UsageError } from './arguments.js';
import { loadInstrumented } from './instrumented.js';
import { simulate, simulateOne } from './simulate.js';

try {
  const options = simulationArguments(process.argv.slice(2));
  if (options === null) process.stdout.write(HELP);
  else {
    const lib = await loadInstrumented();
    const { seed, schedules, trace } = options;
    if (trace) await simulateOne(lib, seed, (line) => console.log(line));
    else {
      console.error(`${schedules} schedules from seed ${seed}`);
      const start = performance.now();
      await simulate(lib, seed, schedules, (done) => {
        const perSecond = Math.round((done * 1000) / (performance.now() - start));
        if (done % 10_000 === 0) console.error(`${done} schedules, ${perSecond} per second`);
      });
    }
    console.error('nothing was lost, repeated or reordered');
  }
} catch (error) {
  const { message } = error as Error;
  const usage = error instanceof UsageError;
  console.error(usage ? `${message}\nTry --help.` : message);
  const { cause } = error as Error;
  if (!usage && cause instanceof Error) console.error(cause.stack);
  process.exitCode = usage ? 2 : 1;
}
