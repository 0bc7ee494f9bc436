/** All benchmarks, one after the other, each in a process of its own as if it had been run alone, and one report of all. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BENCHMARKS, type Benchmark, type RunRequest } from './arguments.js';
import { spawnOwned, temporaryFolder } from './cleanup.js';
import type { Progress } from './progress.js';
import type { Failure, Report } from './report.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

/** Throws if none of them gave a report. */
export async function runAll(
  request: Pick<RunRequest, 'quick' | 'directory'>,
  progress: Progress,
): Promise<Report> {
  const reports: Report[] = [];
  const failed: Failure[] = [];
  for (const [i, benchmark] of BENCHMARKS.entries()) {
    progress.say(`${benchmark}: ${i + 1} of ${BENCHMARKS.length} benchmarks`);
    try {
      reports.push(await runApart(benchmark, request));
    } catch (error) {
      failed.push({ name: benchmark, reason: (error as Error).message });
    }
  }
  return mergeReports(reports, failed);
}

/** One report of several; what each of them tells of where it took place is true of all. */
export function mergeReports(reports: readonly Report[], failed: readonly Failure[]): Report {
  const environments = reports.map(({ environment }) => environment);
  const pinned = environments.find(({ cpus }) => cpus.length > 0) ?? environments[0];
  const disk = environments.find(({ disk }) => disk !== undefined)?.disk;
  if (pinned === undefined) {
    throw new Error(
      failed.map(({ name, reason }) => `${name}: ${reason}`).join('; ') || 'nothing was measured',
    );
  }
  return {
    environment: { ...pinned, benchmark: 'all', ...(disk === undefined ? {} : { disk }) },
    results: reports.flatMap(({ results }) => results),
    failed: [...reports.flatMap((report) => report.failed), ...failed],
    warnings: [...new Set(reports.flatMap(({ warnings }) => warnings))],
  };
}

async function runApart(
  benchmark: Benchmark,
  { quick, directory }: Pick<RunRequest, 'quick' | 'directory'>,
): Promise<Report> {
  const folder = temporaryFolder(tmpdir());
  try {
    const json = join(folder.path, 'report.json');
    const words = [MAIN, benchmark, '--json', json];
    if (quick) words.push('--quick');
    if (directory !== undefined && benchmark === 'durability') words.push('--directory', directory);
    const child = spawnOwned(process.execPath, words, ['ignore', 'ignore', 'pipe'], { endedBy: 'SIGTERM' });
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      process.stderr.write(text);
      complaint = /^bench: (.*)$/m.exec(text)?.[1] ?? complaint;
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    try {
      return JSON.parse(readFileSync(json, 'utf8')) as Report;
    } catch {
      throw new Error(complaint || `ended with ${signal ?? code} and without a report`);
    }
  } finally {
    folder.remove();
  }
}
