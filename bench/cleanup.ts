/**
 * What must not outlive the bench: child processes and temporary folders. They are ended and removed when their
 * subject stops, and otherwise here, when this process ends, be it by an error or by an interrupt.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder {
  readonly path: string;
  remove(): void;
}

/** A parent for folders of memory that processes share: it has no disk behind it. */
export const SHARED_MEMORY = '/dev/shm';

const pending = new Set<() => void>();

/** Ends this process, and with it all that is registered, when it is interrupted. */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
  process.once('exit', () => {
    for (const clean of pending) clean();
  });
}

interface SpawnSettings {
  /** Of the messages to a child process of node. */
  readonly serialization?: 'json' | 'advanced';
  /** SIGTERM is for who has something to clean up. */
  readonly endedBy?: 'SIGKILL' | 'SIGTERM';
}

/** Starts a program that is killed, at the latest, when this process ends. */
export function spawnOwned(
  command: string,
  words: readonly string[],
  stdio: StdioOptions,
  { serialization = 'json', endedBy = 'SIGKILL' }: SpawnSettings = {},
): ChildProcess {
  const child = spawn(command, words, { stdio, serialization });
  const kill = (): void => {
    child.kill(endedBy);
  };
  pending.add(kill);
  child.once('exit', () => pending.delete(kill));
  child.once('error', () => pending.delete(kill));
  return child;
}

/** Creates a folder, in `parent`, that is removed, at the latest, when this process ends. Removing twice is harmless. */
export function temporaryFolder(parent = tmpdir()): TemporaryFolder {
  const path = mkdtempSync(join(parent, 'tcpshm-bench-'));
  const remove = (): void => {
    pending.delete(remove);
    rmSync(path, { recursive: true, force: true });
  };
  pending.add(remove);
  return { path, remove };
}
