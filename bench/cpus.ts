/** The processors that this process may run on, and which two of them a measurement uses. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { CpuPair } from './subject.js';

/** Reads a list in the kernel's notation: '0-2,5' is 0, 1, 2 and 5. */
export function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first, last = first] = part.split('-').map(Number) as [number, number?];
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

export function allowedCpus(): number[] {
  try {
    const allowed = /^Cpus_allowed_list:(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (allowed !== null) return parseCpuList(allowed[1] as string);
  } catch {
    // no /proc: not Linux
  }
  return Array.from({ length: availableParallelism() }, (_, i) => i);
}

/** The first two; where there is only one, both sides share it. */
export function choosePair(cpus: readonly number[]): CpuPair {
  return [cpus[0] ?? 0, cpus[1] ?? cpus[0] ?? 0];
}
