/** The C programs in `limits/`: compiled when needed, run as probes. They time their batches themselves. */
import { once } from 'node:events';
import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { spawnOwned } from './cleanup.js';
import { mean, median } from './statistics.js';
import type { CpuPair, Limit } from './subject.js';

const SOURCES = fileURLToPath(new URL('../../bench/limits/', import.meta.url));
const BUILD = fileURLToPath(new URL('../../bench/build/', import.meta.url));
const FLAGS = ['-O2', '-std=c11', '-Wall', '-Wextra', '-Werror', '-pthread'];

interface Program {
  readonly source: string;
  readonly flags: readonly string[];
}

/** So many are published together: `pushMore` sixteen times, and `push`. */
export const BATCHED = 17;

const ring = (payload: number, batch = 1): Program => ({
  source: 'spsc_ring.c',
  flags: [`-DPAYLOAD=${payload}`, `-DBATCH=${batch}`],
});
const stream = (bytes: number): Program => ({ source: 'tcp_stream.c', flags: [`-DFRAME=${bytes}`] });

const blocks = (bytes: number, slots: number): Program => ({
  source: 'memcpy_shm.c',
  flags: [`-DBLOCK=${bytes}`, `-DSLOTS=${slots}`],
});
const KIB = 1024;

const PROGRAMS: Record<Limit, Program> = {
  'core-to-core': { source: 'core_to_core.c', flags: [] },
  'core-to-core-one-word': { source: 'core_to_core.c', flags: ['-DONE_WORD'] },
  'ring-round-trip': { source: 'ring_round_trip.c', flags: [] },
  'tcp-loopback': { source: 'tcp_loopback.c', flags: [] },
  'futex-wake': { source: 'futex_wake.c', flags: [] },
  'ring-16': ring(16),
  'ring-64': ring(64),
  'ring-256': ring(256),
  'ring-1024': ring(1024),
  'ring-16-batched': ring(16, BATCHED),
  'ring-64-batched': ring(64, BATCHED),
  'ring-256-batched': ring(256, BATCHED),
  'ring-1024-batched': ring(1024, BATCHED),
  'tcp-stream-16': stream(16),
  'tcp-stream': stream(64),
  'tcp-stream-256': stream(256),
  'tcp-stream-1024': stream(1024),
  'tcp-stream-4KiB': stream(4 * KIB),
  'tcp-stream-64KiB': stream(64 * KIB),
  'tcp-stream-1MiB': stream(1024 * KIB),
  'tcp-stream-4MiB': stream(4096 * KIB),
  // So many as messages with their headers fit into the queues of bandwidth/sizes.ts.
  'memcpy-shm/4KiB': blocks(4 * KIB, 255),
  'memcpy-shm/64KiB': blocks(64 * KIB, 15),
  'memcpy-shm/1MiB': blocks(1024 * KIB, 3),
  'memcpy-shm/4MiB': blocks(4096 * KIB, 3),
};

export interface LimitProbe {
  /** Mean round trip of each batch, or time per message, in nanoseconds. */
  readonly samples: readonly number[];
  readonly mean: number;
  readonly p50: number;
}

/** Compiles what is older than its source, and returns the name of the compiler. Throws where there is none. */
export async function compileLimits(): Promise<string> {
  const compiler = await findCompiler();
  await mkdir(BUILD, { recursive: true });
  const headers = (await readdir(SOURCES)).filter((name) => name.endsWith('.h'));
  for (const [limit, { source, flags }] of Object.entries(PROGRAMS) as [Limit, Program][]) {
    const inputs = [source, ...headers].map((name) => SOURCES + name);
    const program = programOf(limit);
    const newest = Math.max(...(await Promise.all(inputs.map(modified))));
    if ((await modified(program)) > newest) continue;
    // Under a name of its own first: another bench may be running the old one.
    const fresh = `${program}.${process.pid}`;
    await run(compiler.command, [...FLAGS, ...flags, '-o', fresh, inputs[0] as string]);
    await rename(fresh, program);
  }
  return compiler.version;
}

/** Runs a limit for `batches` batches of `batch` round trips, or `limitMs` where that is shorter. */
export async function probe(
  limit: Limit,
  cpus: CpuPair,
  batch: number,
  batches: number,
  limitMs: number,
): Promise<LimitProbe> {
  const words = [...cpus, batches, batch, limitMs].map(String);
  const { samplesNs } = JSON.parse(await run(programOf(limit), words)) as { samplesNs: number[] };
  return { samples: samplesNs, mean: mean(samplesNs), p50: median(samplesNs) };
}

function programOf(limit: Limit): string {
  return BUILD + limit.replace('/', '-');
}

async function findCompiler(): Promise<{ readonly command: string; readonly version: string }> {
  const { CC: wanted } = process.env;
  const candidates = wanted ? [wanted] : ['cc', 'gcc', 'clang'];
  for (const command of candidates) {
    try {
      const [version] = (await run(command, ['--version'])).split('\n');
      return { command, version: version ?? command };
    } catch {
      // not this one
    }
  }
  throw new Error(
    `no C compiler found (tried ${candidates.join(', ')}): the floors that everything is compared with are small` +
      ' C programs. Install gcc or clang, or name a compiler in the environment variable CC.',
  );
}

async function modified(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return 0;
  }
}

/** Standard output of a program. Throws, with what it said, when it fails. */
async function run(command: string, words: readonly string[]): Promise<string> {
  const child = spawnOwned(command, words, ['ignore', 'pipe', 'pipe']);
  let output = '';
  let complaint = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (code !== 0) throw new Error(`${command} ended with ${signal ?? code}: ${complaint.trim()}`);
  return output;
}
