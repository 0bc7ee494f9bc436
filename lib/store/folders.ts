import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { TcpshmError } from '../errors.js';
import { fileError } from './mapping.js';

/** Creates a folder that is the caller's alone, with the folders above it, where they do not exist. */
export function ensureFolder(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return realpathSync(path);
  } catch (cause) {
    throw fileError(cause, `folder ${path} cannot be made`);
  }
}

/**
 * The folder in shared memory for the sessions that belong to a session folder: named after that folder, so that
 * servers of the same name in different folders do not meet. `root` must be the caller's alone.
 */
export function ensureSharedFolder(root: string, directory: string): string {
  ensureFolder(root);
  const status = lstatSync(root);
  if (!status.isDirectory() || status.uid !== process.geteuid?.() || (status.mode & 0o077) !== 0) {
    throw new TcpshmError(
      'ERR_FILE',
      `${root} must be a folder of this user with mode 700: got owner ${status.uid}, mode ${(status.mode & 0o7777).toString(8)}`,
    );
  }
  const hash = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  return ensureFolder(join(root, hash));
}

/** Removes a folder if nothing is left in it. */
export function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // In use, a mount point, or in a folder that is not ours: it stays, and harms nobody.
  }
}
