import { lstatSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TcpshmError } from '../errors.js';
import { type MappedFile, native, type SystemError } from '../memory/native.js';

/** Maps a file that does not exist yet, its size reserved. Throws ERR_NO_SPACE, ERR_FILE. */
export function createFile(path: string, sizeBytes: number): MappedFile {
  return map(path, true, sizeBytes) as MappedFile;
}

/** Maps a file; null when there is none. Throws ERR_SEGMENT when it is too short to be mapped, ERR_FILE. */
export function openFile(path: string): MappedFile | null {
  const file = map(path, false, 1);
  try {
    if (file !== null) requireNoOtherName(file);
    return file;
  } catch (cause) {
    file?.close();
    throw fileError(cause, `${path} cannot be opened`);
  }
}

/**
 * A file that has a name elsewhere too may be something else (that somebody had put here while he could), or be reached
 * past this folder. A second name beside the first is that of one who died while he set the file aside (setAside.ts).
 */
function requireNoOtherName({ path, inode }: MappedFile): void {
  const names = lstatSync(path, { throwIfNoEntry: false })?.nlink ?? 1;
  if (names <= 1) return;
  const folder = dirname(path);
  const own = readdirSync(folder).filter(
    (name) =>
      name.startsWith(basename(path)) &&
      lstatSync(join(folder, name), { throwIfNoEntry: false })?.ino === inode,
  ).length;
  if (own >= names) return;
  throw new TcpshmError(
    'ERR_FILE',
    `${path} cannot be opened: expected a file of one name, got one of ${names}, of which ${own} in this folder are its own`,
  );
}

function map(path: string, create: boolean, sizeBytes: number): MappedFile | null {
  try {
    return native().mapFile(path, { create, sizeBytes });
  } catch (cause) {
    if (!create && (cause as SystemError).code === 'ENOENT') return null;
    const { code, syscall } = cause as SystemError;
    // Too short; other failures to map are for want of memory, and say nothing of the file.
    if (!create && syscall === 'mmap' && code === 'EINVAL') {
      throw new TcpshmError(
        'ERR_SEGMENT',
        `${path} is not a usable segment: ${(cause as Error).message}`,
        cause,
      );
    }
    throw fileError(cause, `${path} cannot be ${create ? 'created' : 'opened'}`);
  }
}

/** Whether a segment could not be had for want of memory or of access to it: over tcp one does without. */
export function isMemoryMissing(error: unknown): boolean {
  return error instanceof TcpshmError && (error.code === 'ERR_NO_SPACE' || error.code === 'ERR_FILE');
}

/** Says what could not be done, with the reason that the system gave. */
export function fileError(cause: unknown, what: string): TcpshmError {
  if (cause instanceof TcpshmError) return cause;
  const code = (cause as SystemError).code === 'ENOSPC' ? 'ERR_NO_SPACE' : 'ERR_FILE';
  return new TcpshmError(code, `${what}: ${(cause as Error).message}`, cause);
}
