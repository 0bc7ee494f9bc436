import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Folders of one test: for session files, and for shared segments. */
export interface Folders {
  readonly directory: string;
  readonly sharedDirectory: string;
  remove(): void;
}

export function newFolders(): Folders {
  const directory = mkdtempSync(join(tmpdir(), 'tcpshm-spec-'));
  const sharedDirectory = mkdtempSync('/dev/shm/tcpshm-spec-');
  return {
    directory,
    sharedDirectory,
    remove() {
      for (const folder of [directory, sharedDirectory]) rmSync(folder, { recursive: true, force: true });
    },
  };
}
