import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

/** What became of a run of the program. */
export interface Outcome {
  readonly pid: number;
  readonly code: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program; sends it a signal when a line on stderr matches. */
export async function soak(args: readonly string[], signalAt?: RegExp): Promise<Outcome> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { stdout: '', stderr: '' };
  let signalled = signalAt === undefined;
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (chunk: string) => {
      text[stream] += chunk;
      if (signalled || !signalAt?.test(text.stderr)) return;
      signalled = true;
      child.kill('SIGINT');
    });
  }
  await once(child, 'close');
  return { pid: child.pid as number, code: child.exitCode ?? child.signalCode, ...text };
}

/** Folders of a run that are still there. */
export function leftovers({ pid }: Outcome): string[] {
  return [tmpdir(), '/dev/shm'].flatMap((folder) =>
    readdirSync(folder).filter((name) => name.startsWith(`tcpshm-soak-${pid}-`)),
  );
}
