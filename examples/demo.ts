/**
 * The echo over every transport, each peer in a thread or process of its own, with figures:
 *
 *     npm run demo
 *     npm run -s demo -- --json
 *
 * For each transport one run with a single message in flight, for the round trip, and one with many of them, for
 * the rate. The machine needs two free cores for good figures. Leaves nothing behind.
 */
import { parseArgs } from 'node:util';
import { type DemoResult, Runs } from './demo/runs.js';
import { integer } from './echo/arguments.js';
import { runProgram } from './program.js';

const TRANSPORTS = ['inproc', 'shm', 'tcp'];
/** A run ends after so long, or so many messages; with `--count` only after those. */
const SECONDS = 2;
const COUNT = 500_000;

await runProgram(async () => {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      count: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log('npm run demo -- [--json] [--count MESSAGES]   (of each run)');
    return;
  }
  const runs = new Runs(
    values.count === undefined
      ? { count: COUNT, seconds: SECONDS }
      : { count: integer('count', values.count, 1, 2 ** 50), seconds: 0 },
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => runs.interrupt(signal));
  const results: DemoResult[] = [];
  try {
    for (const transport of TRANSPORTS) results.push(await runs.measure(transport));
  } catch (error) {
    if (runs.interruptedBy === null) throw error;
  } finally {
    await runs.close();
  }
  if (runs.interruptedBy !== null) {
    // Everything is removed: now do what the signal does.
    process.removeAllListeners(runs.interruptedBy);
    process.kill(process.pid, runs.interruptedBy);
    return;
  }
  console.log(values.json ? JSON.stringify(results) : table(results));
  const allWell = results.every(
    ({ verified, lost, duplicated, reordered }) => verified > 0 && lost + duplicated + reordered === 0,
  );
  if (!allWell) process.exitCode = 1;
});

function table(results: readonly DemoResult[]): string {
  const us = (ns: number): string => `${(ns / 1000).toFixed(1)} µs`;
  const rows = results.map((result) => [
    result.transport,
    ...[result.meanNs, result.p50Ns, result.p99Ns, result.p999Ns, result.maxNs].map(us),
    result.messagesPerSecond.toLocaleString('en'),
    result.verified.toLocaleString('en'),
  ]);
  const all = [['round trip', 'mean', 'p50', 'p99', 'p99.9', 'max', 'messages/s', 'verified'], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => (row[column] as string).length)));
  return all
    .map((row) => row.map((cell, column) => cell.padStart(widths?.[column] ?? 0)).join('   '))
    .join('\n');
}
