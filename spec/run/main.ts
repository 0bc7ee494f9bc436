/** Runs the specs: all of them, or those in whose paths one of the arguments is. */
import { availableParallelism } from 'node:os';
import { totals } from './outcome.js';
import { planned, specFiles } from './plan.js';
import { runAll } from './run.js';

/**
 * Processes at once. Many specs keep two processors busy, with both sides of a connection; but while one of two specs
 * waits the other one works, also on one or two processors.
 */
const LANES = Math.max(2, Math.floor(availableParallelism() / 2));

const wanted = process.argv.slice(2);
const files = specFiles().filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
if (files.length === 0) {
  console.error(`no spec file has ${wanted.join(' or ')} in its path`);
  process.exitCode = 2;
} else {
  const outcomes = await runAll(planned(files), LANES, ({ file, passed, failed, durationMs }) => {
    const seconds = (durationMs / 1000).toFixed(1).padStart(6);
    console.log(`${failed === 0 ? 'ok  ' : 'FAIL'} ${String(passed).padStart(5)} in ${seconds} s  ${file}`);
  });
  const failures = outcomes.filter(({ failed }) => failed > 0);
  for (const { file, report } of failures) console.log(`\n${file}\n${report}`);
  const missed = files.filter((file) => !outcomes.some((outcome) => outcome.file === file));
  if (missed.length > 0) throw new Error(`not run: ${missed.join(', ')}`);
  console.log(`\n${totals(outcomes)}`);
  if (failures.length > 0) process.exitCode = 1;
}
