import { lstatSync } from 'node:fs';
import { TcpshmError } from '../errors.js';
import type { MappedFile } from '../memory/native.js';

/**
 * Bytes of a session file that are locked, by whoever has a side open and by whoever moves the session to a fresh
 * file. A lock goes with its process.
 */
export const LOCK_BYTE = { client: 0, server: 1, moving: 2 } as const;
/** All of them. */
export const LOCK_BYTES = 3;

/** So many files may take each other's place at a path while one of them is opened. */
export const MOST_FILES = 1000;

/** Some program puts file after file there. */
export function unsteady(path: string): TcpshmError {
  return new TcpshmError(
    'ERR_FILE',
    `${path} cannot be opened: expected a file that stays there until it is open, got ${MOST_FILES} in a row`,
  );
}

/** What tells a file from another one of the same path; null when there is none. */
export function inodeAt(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

/**
 * Throws ERR_SEGMENT when a part of an open file is gone: some program of this user has shortened it. What was read of it
 * since then may be zeroes, so nothing that was found in it counts.
 */
export function requireWhole(file: Pick<MappedFile, 'lost' | 'path'>): void {
  if (!file.lost) return;
  throw new TcpshmError(
    'ERR_SEGMENT',
    `${file.path} was shortened by another program while it was open: what was in it is gone`,
  );
}

/**
 * Where the session of an open file is: still in this file, in another one of the same path, or in between. The word
 * of one who died while he moved it is cleared: then nothing was taken.
 *
 * Once a file was replaced by a fresh one its word stays set, so a file whose word reads zero is the one that counts.
 */
export function placeOf(file: MappedFile, moved: Int32Array): 'here' | 'moving' | 'elsewhere' {
  if (Atomics.load(moved, 0) === 0) return 'here';
  if (inodeAt(file.path) !== file.inode) return 'elsewhere';
  if (!file.lock(LOCK_BYTE.moving, 1)) return 'moving';
  try {
    // He may have come to the end of it before the lock was taken.
    if (inodeAt(file.path) !== file.inode) return 'elsewhere';
    Atomics.store(moved, 0, 0);
    return 'here';
  } finally {
    file.unlock(LOCK_BYTE.moving, 1);
  }
}
