/** Which file system a folder is on, and what a process has written to disks. */
import { readFileSync, realpathSync } from 'node:fs';

export interface FileSystem {
  /** 'ext4' */
  readonly type: string;
  /** '/dev/sda1' */
  readonly device: string;
}

const IN_MEMORY = ['tmpfs', 'ramfs', 'devtmpfs'];

/** The file system of a folder on a disk. Throws where it is in memory, as a sync is free there, and measures nothing. */
export function diskOf(folder: string): FileSystem {
  const found = mountOf(realpathSync(folder), readFileSync('/proc/self/mounts', 'utf8'));
  if (IN_MEMORY.includes(found.type)) {
    throw new Error(
      `${folder} is in memory (${found.type}), where a sync costs nothing: name a folder on a disk with --directory`,
    );
  }
  return found;
}

/** The mount that an absolute path is in: the longest of those that lead to it, and of equal ones the last. */
export function mountOf(path: string, mounts: string): FileSystem {
  let found: (FileSystem & { readonly point: string }) | null = null;
  for (const line of mounts.split('\n')) {
    const [device, place, type] = line.split(' ');
    if (device === undefined || place === undefined || type === undefined) continue;
    const point = place.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const leadsThere = path === point || path.startsWith(point === '/' ? '/' : `${point}/`);
    if (leadsThere && (found === null || point.length >= found.point.length)) found = { device, type, point };
  }
  if (found === null) throw new Error(`no file system is mounted where ${path} is`);
  return { type: found.type, device: found.device };
}

/** Bytes that this process has made the kernel write to disks, in whole pages, since it began; those still to come too. */
export function writtenBytes(): number {
  const [, bytes] = /^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8')) ?? [];
  if (bytes === undefined) throw new Error('the kernel does not count what a process writes (/proc/self/io)');
  return Number(bytes);
}
