/** What this process takes of the machine. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const MICROSECOND_NS = 1000;
const KIBIBYTE = 1024;

/** Time of processors so far, of all its threads. */
export interface Usage {
  readonly cpuNs: number;
}

export function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpuNs: (user + system) * MICROSECOND_NS };
}

/** Time of a processor that the calling thread has had so far, in nanoseconds. */
export function threadCpuNs(): number {
  const ns = Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]);
  if (!(ns > 0)) throw new Error('/proc/thread-self/schedstat does not tell how long this thread has run');
  return ns;
}

/** Bytes of memory of this process, once what is garbage was collected. */
export interface MemoryUse {
  readonly residentBytes: number;
  /** Of the heap of JavaScript. */
  readonly heapBytes: number;
}

export function memoryUse(): MemoryUse {
  const residentBytes = memory();
  return { residentBytes, heapBytes: process.memoryUsage().heapUsed };
}

/** Bytes of memory that are resident, once what is garbage was collected. */
export function memory(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const resident = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  if (resident === null) throw new Error('/proc/self/status does not tell what is resident');
  return Number(resident[1]) * KIBIBYTE;
}
