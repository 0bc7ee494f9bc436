import { type Dirent, linkSync, lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { TcpshmError } from '../errors.js';

/** A session's file that was found damaged, and moved out of the way as it was. */
export interface SetAside {
  readonly client: string;
  readonly server: string;
  /** A segment in shared memory, or the journal of one side. */
  readonly kind: 'segment' | 'client.journal' | 'server.journal';
  readonly path: string;
}

/** Files of sessions end with their kind (names.ts), so none is ever taken for one that was set aside. */
const NAME = /^([^@]+)@([^@]+)\.(segment|client\.journal|server\.journal)\.aside-[1-9][0-9]*$/;

/**
 * Renames a damaged file to `<path>.aside-<n>`, with the lowest n that is free, and gives that path. Nothing is ever
 * overwritten: a link fails where a rename would replace. The caller holds the locks of both sides of the file with
 * this inode, so that nobody else takes it away from the path meanwhile. Throws what the system says.
 */
export function setAside(path: string, inode: number): string {
  for (let n = 1; ; n++) {
    const aside = `${path}.aside-${n}`;
    try {
      linkSync(path, aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      // A process that died between the two steps has left the file under both names: then the second step is due.
      if (lstatSync(aside, { throwIfNoEntry: false })?.ino !== inode) continue;
    }
    unlinkSync(path);
    return aside;
  }
}

/**
 * The files that were set aside in a folder and in the folders directly in it: a session folder, or the folder in
 * shared memory, which has one for each session folder. Empty where there is no such folder. Throws ERR_FILE when it
 * cannot be read.
 */
export function listSetAside(directory: string): SetAside[] {
  const found: SetAside[] = [];
  const folders = [directory];
  for (const entry of entriesOf(directory)) {
    if (entry.isDirectory()) folders.push(join(directory, entry.name));
  }
  for (const folder of folders) {
    for (const entry of entriesOf(folder)) {
      const [, client, server, kind] = NAME.exec(entry.name) ?? [];
      if (client === undefined || server === undefined || !entry.isFile()) continue;
      found.push({ client, server, kind: kind as SetAside['kind'], path: join(folder, entry.name) });
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new TcpshmError('ERR_FILE', `folder ${folder} cannot be read: ${(cause as Error).message}`, cause);
  }
}
