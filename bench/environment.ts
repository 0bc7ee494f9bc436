/** Where a run took place: what a reader needs to compare it with another. */
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, loadavg, platform, cpus as processors, release, type } from 'node:os';
import type { Choice } from './arguments.js';
import type { CpuPair } from './subject.js';

export interface Environment {
  readonly benchmark: Choice;
  readonly quick: boolean;
  readonly date: string;
  /** Version of this package. */
  readonly version: string;
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  readonly kernel: string;
  readonly cpu: string;
  /** Processors that this process may use. */
  readonly cores: number;
  /** What the floors in C were compiled with; empty where there are none. */
  readonly compiler: string;
  /** Processors that the two sides of each measurement are pinned to; empty where they are left to the scheduler. */
  readonly cpus: CpuPair | readonly [];
  /** Whether our transports and the peers could be pinned. */
  readonly pinned: boolean;
  /** Where what is kept on a disk was kept. */
  readonly disk?: { readonly directory: string; readonly type: string; readonly device: string };
  /** Of the last minute before the run: above 0 the machine has other work. */
  readonly loadAverage: number;
}

export function describeEnvironment(
  run: Pick<Environment, 'benchmark' | 'quick' | 'compiler' | 'cpus' | 'pinned' | 'disk'>,
): Environment {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return {
    ...run,
    date: new Date().toISOString(),
    version: (JSON.parse(manifest) as { version: string }).version,
    node: process.version,
    v8: process.versions.v8,
    platform: `${platform()} ${arch()}`,
    kernel: `${type()} ${release()}`,
    cpu: processors()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    loadAverage: Math.round((loadavg()[0] as number) * 100) / 100,
  };
}
