import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, realpathSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TcpshmError } from '../errors.js';
import { type MappedFile, native, type SystemError } from '../memory/native.js';
import { distance, shown } from '../memory/wrap.js';
import { ALIGNMENT } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import { readCommit, readPublished } from '../ring/recovery.js';
import type { DurabilityLevel } from '../session/durability.js';
import type { Role } from '../session/names.js';
import {
  checkIdentity,
  formatSegment,
  type Identity,
  readIdentity,
  Segment,
  SUPERBLOCK_BYTES,
  segmentBytes,
} from '../session/segment.js';
import { beginJournal, checkpointNow, type Journal, openJournal } from './journal.js';
import type { OpenSegment } from './openSegment.js';
import { setAside } from './setAside.js';

/** Locked by whoever has a side open: one byte of the file for each. The lock goes with the process. */
const LOCK_BYTE = { client: 0, server: 1 } as const;

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

export interface OpenFileOptions {
  readonly whenDamaged?: 'report' | 'set aside';
  /** Of a journal. Default 'process'. */
  readonly durability?: DurabilityLevel;
}

/**
 * Opens a side of the session file at `path`, or gives null when there is none (or only one whose creation was
 * never finished, which is removed). Superblock and rings are checked before anything is written. Throws
 * ERR_ALREADY_CONNECTED when the side is open elsewhere, ERR_SEGMENT when the file is damaged or not the session
 * expected, ERR_FILE when it cannot be opened safely.
 *
 * A file for which it throws ERR_SEGMENT stays where it is, or is set aside: untouched, under a name that the error
 * tells, so that the next login can begin anew. That is for the side that has begun it. One that the other side has
 * open stays in any case.
 */
export function openSegmentFile(
  path: string,
  role: Role,
  expected: Partial<Identity>,
  { whenDamaged = 'report', durability = 'process' }: OpenFileOptions = {},
): OpenSegment | null {
  // Until the lock was taken, somebody else may have moved the file away and begun another: then that one counts.
  for (;;) {
    const inode = inodeAt(path);
    let file: MappedFile | null = null;
    try {
      file = map(path, false, 1);
      if (file === null) return null;
      lock(file, role);
      const segment = recognise(file, expected);
      if (segment !== null)
        return new OpenFile(file, role, segment, recovered(file, role, segment, durability), false);
      if (inodeAt(path) === inode) {
        rmSync(path, { force: true });
        file.close();
        return null;
      }
      file.close();
    } catch (error) {
      try {
        if (whenDamaged === 'report' || !isDamage(error)) throw error;
        if (inode !== null && inodeAt(path) === inode) throw moved(error, path, inode, file);
      } finally {
        file?.close();
      }
    }
  }
}

/**
 * Creates a session file, its whole size reserved, and opens a side of it. Throws ERR_NO_SPACE when the file system
 * is full, ERR_FILE when the file exists or cannot be made; nothing is left behind then.
 */
export function createSegmentFile(
  path: string,
  role: Role,
  identity: Identity,
  durability: DurabilityLevel = 'process',
): OpenSegment {
  const file = map(path, true, segmentBytes(identity)) as MappedFile;
  try {
    lock(file, role);
    formatSegment(file.buffer, identity);
    const segment = new Segment(file.buffer, identity);
    const journal = identity.journal ? beginJournal(file, segment, role, durability) : null;
    if (durability === 'disk') native().syncFolder(dirname(path));
    return new OpenFile(file, role, segment, journal, true);
  } catch (cause) {
    rmSync(path, { force: true });
    file.close();
    throw fileError(cause, `${path} cannot be created`);
  }
}

class OpenFile implements OpenSegment {
  readonly segment: Segment;
  readonly role: Role;
  readonly where: string;
  readonly begun: boolean;
  readonly journal: Journal | null;
  readonly #file: MappedFile;
  #open = true;

  constructor(file: MappedFile, role: Role, segment: Segment, journal: Journal | null, begun: boolean) {
    this.segment = segment;
    this.role = role;
    this.where = file.path;
    this.journal = journal;
    this.begun = begun;
    this.#file = file;
  }

  get lost(): boolean {
    return inodeAt(this.where) !== this.#file.inode;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      if (this.journal !== null) checkpointNow(this.segment, this.role, this.journal);
    } catch (cause) {
      throw fileError(cause, `${this.where} cannot be written to the disk`);
    } finally {
      this.#file.close();
    }
  }

  setAside(): string | null {
    if (this.lost) {
      this.close();
      return null;
    }
    try {
      return setAside(this.where, this.#file.inode);
    } catch (cause) {
      throw fileError(cause, `${this.where} cannot be set aside`);
    } finally {
      this.close();
    }
  }

  remove(): void {
    this.#open = false;
    // By now the path may be that of another session: one that the peer began after it had removed this one.
    if (!this.lost) rmSync(this.where, { force: true });
    this.#file.close();
  }
}

/** The segment, if it is the one expected; null for a file whose creation was never finished. Throws ERR_SEGMENT. */
function recognise(file: MappedFile, expected: Partial<Identity>): Segment | null {
  const { buffer, path } = file;
  const identity = readIdentity(buffer, path);
  if (identity === null) {
    if (isZeroFrom(buffer, SUPERBLOCK_BYTES)) return null;
    throw new TcpshmError(
      'ERR_SEGMENT',
      `${path} is not a usable segment: expected zeroes behind a superblock that was never finished, got data`,
    );
  }
  checkIdentity(identity, expected, path);
  const segment = new Segment(buffer, identity);
  return identity.journal && segment.inode[0] === 0 ? null : segment;
}

/** Checks the rings of a segment, or brings those of a journal back. Throws ERR_SEGMENT. */
function recovered(
  file: MappedFile,
  role: Role,
  segment: Segment,
  durability: DurabilityLevel,
): Journal | null {
  const checkRings = (): void => {
    checkRing(segment.clientToServer, `${file.path}, ring client→server`);
    checkRing(segment.serverToClient, `${file.path}, ring server→client`);
  };
  if (!segment.identity.journal) {
    checkRings();
    return null;
  }
  try {
    return openJournal(file, segment, role, durability, checkRings);
  } catch (cause) {
    throw fileError(cause, `${file.path} cannot be opened`);
  }
}

/** Throws ERR_SEGMENT unless the ends of a ring can be opened. The other side may be alive and at work in it. */
function checkRing(ring: RingMemory, where: string): void {
  try {
    const { position } = readPublished(ring);
    const { reclaimed } = readCommit(ring);
    const used = distance(reclaimed, position);
    if (used <= ring.capacity - ALIGNMENT) return;
    throw new TcpshmError(
      'ERR_SEGMENT',
      `expected records of at most ${ring.capacity - ALIGNMENT} bytes, got ${used}, from position ${shown(reclaimed)}`,
    );
  } catch (cause) {
    throw new TcpshmError('ERR_SEGMENT', `${where}: ${(cause as Error).message}`, cause);
  }
}

function isZeroFrom(buffer: ArrayBuffer, start: number): boolean {
  const zeroes = Buffer.alloc(65536);
  for (let at = start; at < buffer.byteLength; at += zeroes.length) {
    const part = Buffer.from(buffer, at, Math.min(zeroes.length, buffer.byteLength - at));
    if (!part.equals(zeroes.subarray(0, part.length))) return false;
  }
  return true;
}

function isDamage(error: unknown): error is TcpshmError {
  return error instanceof TcpshmError && error.code === 'ERR_SEGMENT';
}

/** Sets a damaged file aside, and gives the error that says what was wrong and where it is now. */
function moved(damage: TcpshmError, path: string, inode: number, file: MappedFile | null): TcpshmError {
  const say = (what: string): TcpshmError =>
    new TcpshmError('ERR_SEGMENT', `${damage.message}; ${what}`, damage);
  try {
    if (!isFree(file, inode)) return say('it stays there, as it is open elsewhere');
    return say(`it was set aside as ${setAside(path, inode)}`);
  } catch (cause) {
    return say(`it stays there, as it could not be set aside: ${(cause as Error).message}`);
  }
}

/** Whether no other process has a side of the file open; nobody can open one then until `file` is closed. */
function isFree(file: MappedFile | null, inode: number): boolean {
  if (file !== null) return file.lock(LOCK_BYTE.client, 2);
  // An empty file cannot be mapped, so the kernel's list of locks is asked. It ends a line with device:inode start end.
  return !readFileSync('/proc/locks', 'utf8').includes(`:${inode} `);
}

/** What tells a file from another one of the same path; null when there is none. */
function inodeAt(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

function lock(file: MappedFile, role: Role): void {
  if (file.lock(LOCK_BYTE[role], 1)) return;
  throw new TcpshmError('ERR_ALREADY_CONNECTED', `the ${role} side of ${file.path} is open elsewhere`);
}

/** Maps a file; null when it is to be opened and does not exist. */
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
function fileError(cause: unknown, what: string): TcpshmError {
  if (cause instanceof TcpshmError) return cause;
  const code = (cause as SystemError).code === 'ENOSPC' ? 'ERR_NO_SPACE' : 'ERR_FILE';
  return new TcpshmError(code, `${what}: ${(cause as Error).message}`, cause);
}
