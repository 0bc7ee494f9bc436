/** Which spec files there are, and which of them run beside others. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SPECS = fileURLToPath(new URL('../../../spec', import.meta.url));
const COMPILED = fileURLToPath(new URL('..', import.meta.url));

/**
 * They measure what a process takes of the machine: processor time, memory, collections of garbage. Nothing runs beside
 * them, nor did anything run before them in their process.
 */
export const ALONE: readonly string[] = ['peers/allocation.spec.ts'];

/**
 * They compute, and nothing in them depends on time: they have a low priority, and so take what the others leave,
 * which mostly wait.
 */
export const COMPUTING: readonly string[] = ['simulation/simulation.spec.ts', 'simulation/faults.spec.ts'];

/** Of the others those that take longest: they begin first, so that none of them is left over at the end. */
export const LONG: readonly string[] = [
  'writers/threads.spec.ts',
  'contract/tcp.spec.ts',
  'bench/flow.spec.ts',
  'soak/kill.spec.ts',
  'peers/fencing.spec.ts',
  'groups/crash.spec.ts',
  'poll/sleeping.spec.ts',
  'writers/process.spec.ts',
];

/** The files of a run, by the phase in which they have their turn. */
export interface Plan {
  readonly computing: readonly string[];
  readonly others: readonly string[];
  readonly alone: readonly string[];
}

/** All spec files there are, below `spec`. */
export function specFiles(): string[] {
  return readdirSync(SPECS, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.spec.ts'))
    .sort();
}

/** The order of files. What is compiled of a file that was deleted since is not among them. */
export function planned(files: readonly string[]): Plan {
  const among = (some: readonly string[]): string[] => some.filter((file) => files.includes(file));
  const apart = [...ALONE, ...COMPUTING, ...LONG];
  return {
    computing: among(COMPUTING),
    others: [...among(LONG), ...files.filter((file) => !apart.includes(file))],
    alone: among(ALONE),
  };
}

/** Where a spec file is that was compiled. A path that begins at the root stands for itself. */
export function compiled(file: string): string {
  return file.startsWith('/') ? file : join(COMPILED, file.replace(/\.ts$/, '.js'));
}
