import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TcpshmError } from '../errors.js';

/** A file of a session: in use, waiting for its next login, or set aside. */
export interface SessionFile {
  readonly client: string;
  readonly server: string;
  /** A segment in shared memory, or the journal of one side. */
  readonly kind: 'segment' | 'client.journal' | 'server.journal';
  /** Whether it was found damaged or its session was begun anew: it was moved out of the way, as it was. */
  readonly setAside: boolean;
  readonly path: string;
}

/** Files of sessions end with their kind (names.ts), so none is ever taken for one that was set aside. */
const NAME = /^([^@]+)@([^@]+)\.(segment|client\.journal|server\.journal)(\.aside-[1-9][0-9]*)?$/;

/**
 * The files of sessions in a folder and in the folders directly in it: a session folder, or the folder in shared
 * memory, which has one for each session folder. Empty where there is no such folder. A client that has spoken to
 * servers of several names has a session with each: none is ever sent to another. Throws ERR_FILE when a folder cannot
 * be read.
 */
export function listSessions(directory: string): SessionFile[] {
  const found: SessionFile[] = [];
  const folders = [directory];
  for (const entry of entriesOf(directory)) {
    if (entry.isDirectory()) folders.push(join(directory, entry.name));
  }
  for (const folder of folders) {
    for (const entry of entriesOf(folder)) {
      const [, client, server, kind, aside] = NAME.exec(entry.name) ?? [];
      if (client === undefined || server === undefined || !entry.isFile()) continue;
      const path = join(folder, entry.name);
      found.push({ client, server, kind: kind as SessionFile['kind'], setAside: aside !== undefined, path });
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
