import { linkSync, lstatSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { Topic } from '../diagnostics/channels.js';
import { native } from '../memory/native.js';

const SET_ASIDE = new Topic('tcpshm:session-set-aside');

/**
 * Moves a session file out of the way, to `<path>.aside-<n>`, with the lowest n that is free, and gives that path.
 * Nothing is ever overwritten: a link fails where a rename would replace. The caller has seen the file with this inode
 * at the path, and holds its lock, so that no other session takes that place meanwhile. Throws what the system says.
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
    native().syncFolder(dirname(path));
    if (SET_ASIDE.listened) SET_ASIDE.tell({ path, aside });
    return aside;
  }
}
