import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { TcpshmError } from '../errors.js';
import { type MappedFile, native } from '../memory/native.js';
import type { DurabilityLevel } from '../session/durability.js';
import type { Role } from '../session/names.js';
import { formatSegment, type Identity, Segment, segmentBytes } from '../session/segment.js';
import { beginJournal, openJournal } from './journal.js';
import { createFile, fileError, openFile } from './mapping.js';
import { OpenFile } from './openFile.js';
import type { OpenSegment } from './openSegment.js';
import { checkRings, identityOrNull, recognise } from './recognise.js';
import { inodeAt, LOCK_BYTE, LOCK_BYTES, MOST_FILES, placeOf, unsteady } from './sessionFile.js';
import { setAside } from './setAside.js';
import { alreadyOpen, requireFree, takeOver } from './takeOver.js';

export interface CreateOptions {
  /** How long the owner may be silent before another one may take the side over. Default 10000. */
  readonly timeoutMs?: number;
  /** Of a journal. Default 'process'. */
  readonly durability?: DurabilityLevel;
}

export interface OpenOptions extends CreateOptions {
  /** What becomes of a damaged file. Default 'report'. */
  readonly whenDamaged?: 'report' | 'set aside';
}

const TIMEOUT_MS = 10_000;

/**
 * Opens a side of the session file at `path`, or gives null when there is none, or only one whose creation was
 * never finished (which is removed, by the side that has begun it). Superblock and rings are checked before anything is
 * written. A side whose owner has been silent for his timeout is taken over (takeOver.ts). Throws
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
  options: OpenOptions = {},
): OpenSegment | null {
  // Until the lock was taken, somebody else may have moved the file away and begun another: then that one counts.
  for (let files = 0; files < MOST_FILES; files++) {
    const inode = inodeAt(path);
    let file: MappedFile | null = null;
    let open: OpenSegment | null = null;
    try {
      file = openFile(path);
      if (file === null) return null;
      if (!occupy(file, role, expected, options)) continue;
      const segment = recognise(file, expected);
      if (segment === null) {
        if (inodeAt(path) !== file.inode) continue;
        // Whoever was told the path by somebody else may have been told that of another file, which only has zeroes.
        if (options.whenDamaged === 'set aside') rmSync(path, { force: true });
        return null;
      }
      const place = placeOf(file, segment.notices);
      if (place === 'elsewhere') continue;
      if (place === 'moving') throw alreadyOpen(path, role, 'and is moving to a fresh file at this moment');
      open = opened(file, role, segment, options);
      return open;
    } catch (error) {
      if (options.whenDamaged !== 'set aside' || !isDamage(error)) throw error;
      if (inode !== null && inodeAt(path) === inode) throw moved(error, path, inode, file);
    } finally {
      if (open === null) file?.close();
    }
  }
  throw unsteady(path);
}

/**
 * Creates a session file, its whole size reserved, and opens a side of it. Throws ERR_NO_SPACE when the file system
 * is full, ERR_FILE when the file exists or cannot be made; nothing is left behind then.
 */
export function createSegmentFile(
  path: string,
  role: Role,
  identity: Identity,
  { timeoutMs = TIMEOUT_MS, durability = 'process' }: CreateOptions = {},
): OpenSegment {
  const file = createFile(path, segmentBytes(identity));
  try {
    if (!file.lock(LOCK_BYTE[role], 1)) throw alreadyOpen(path, role, 'by a process that found it at once');
    formatSegment(file.buffer, identity);
    const segment = new Segment(file.buffer, identity);
    const journal = identity.journal
      ? beginJournal(file, segment, role, durability, native().bootId())
      : null;
    if (durability === 'disk') native().syncFolder(dirname(path));
    return new OpenFile(file, role, segment, { begun: true, timeoutMs, journal });
  } catch (cause) {
    rmSync(path, { force: true });
    file.close();
    throw fileError(cause, `${path} cannot be created`);
  }
}

/** Checks the rings of a segment, or brings those of a journal back, and opens it. */
function opened(
  file: MappedFile,
  role: Role,
  segment: Segment,
  { timeoutMs = TIMEOUT_MS, durability = 'process' }: CreateOptions,
): OpenSegment {
  const options = { begun: false, timeoutMs, journal: null };
  if (!segment.identity.journal) {
    checkRings(segment, file.path);
    return new OpenFile(file, role, segment, options);
  }
  try {
    return new OpenFile(file, role, segment, {
      ...options,
      journal: openJournal(file, segment, role, durability, native().bootId()),
    });
  } catch (cause) {
    throw fileError(cause, `${file.path} cannot be opened`);
  }
}

/**
 * Locks a side, or takes it over. False when the session is in another file of this path by now. Throws
 * ERR_ALREADY_CONNECTED.
 */
function occupy(
  file: MappedFile,
  role: Role,
  expected: Partial<Identity>,
  { timeoutMs = TIMEOUT_MS }: OpenOptions,
): boolean {
  const identity = identityOrNull(file);
  const occupied = identity === null ? null : { file, role, segment: new Segment(file.buffer, identity) };
  if (occupied !== null) requireFree(occupied);
  if (file.lock(LOCK_BYTE[role], 1)) return true;
  // Where it does not say by whom, the lock decides alone.
  if (occupied === null) throw alreadyOpen(file.path, role, 'and is not complete or damaged');
  recognise(file, expected);
  takeOver(occupied, timeoutMs);
  return false;
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
  if (file !== null) return file.lock(LOCK_BYTE.client, LOCK_BYTES);
  // An empty file cannot be mapped, so the kernel's list of locks is asked. It ends a line with device:inode start end.
  return !readFileSync('/proc/locks', 'utf8').includes(`:${inode} `);
}
