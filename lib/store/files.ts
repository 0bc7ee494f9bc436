import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, realpathSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TcpshmError } from '../errors.js';
import { type MappedFile, native, type SystemError } from '../memory/native.js';
import { distance, shown } from '../memory/wrap.js';
import { ALIGNMENT } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import { readCommit, readPublished } from '../ring/recovery.js';
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
import { beginTenure, expectOwner, readTenure, renewTenure } from '../session/tenure.js';
import type { OpenSegment, Whereabouts } from './openSegment.js';
import { inodeAt, LOCK_BYTE, LOCK_BYTES, placeOf } from './sessionFile.js';
import { setAside } from './setAside.js';
import { type Occupied, requireFree, takeOver } from './takeOver.js';

/** How long the owner of a side may be silent before another one may take it over, unless he says otherwise. */
const TIMEOUT_MS = 10_000;

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

/**
 * Opens a side of the session file at `path`, or gives null when there is none (or only one whose creation was
 * never finished, which is removed). Superblock and rings are checked before anything is written. A side whose owner has
 * been silent for his timeout is taken over (takeOver.ts); `timeoutMs` is that of the new one. Throws
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
  whenDamaged: 'report' | 'set aside' = 'report',
  timeoutMs = TIMEOUT_MS,
): OpenSegment | null {
  // Until the lock was taken, somebody else may have moved the file away and begun another: then that one counts.
  for (;;) {
    const inode = inodeAt(path);
    let file: MappedFile | null = null;
    try {
      file = map(path, false, 1);
      if (file === null) return null;
      // What was mapped may be another file than that with the inode, if one was moved there in between.
      if (inodeAt(path) !== inode || !occupy(file, path, inode, role, expected, timeoutMs)) {
        file.close();
        continue;
      }
      const identity = recognise(file, expected);
      if (identity !== null) {
        const open = new OpenFile(file, role, identity, false, inode, timeoutMs);
        const place = placeOf(file, path, inode, open.segment.moved);
        if (place === 'here') return open;
        open.close();
        if (place === 'elsewhere') continue;
        throw alreadyOpen(role, path, 'and is moving to a fresh file at this moment');
      }
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
  timeoutMs = TIMEOUT_MS,
): OpenSegment {
  const file = create(path, segmentBytes(identity));
  try {
    if (!file.lock(LOCK_BYTE[role], 1)) throw alreadyOpen(role, path, 'by a process that found it at once');
    formatSegment(file.buffer, identity);
    return new OpenFile(file, role, identity, true, inodeAt(path), timeoutMs);
  } catch (error) {
    rmSync(path, { force: true });
    file.close();
    throw error;
  }
}

class OpenFile implements OpenSegment {
  readonly segment: Segment;
  readonly role: Role;
  readonly where: string;
  readonly begun: boolean;
  readonly #file: MappedFile;
  readonly #inode: number | null;
  readonly #timeoutMs: number;
  readonly #epoch: number;

  /** Holds the lock of the side. `epoch` is that of its owner who comes over from another file; else it begins one. */
  constructor(
    file: MappedFile,
    role: Role,
    identity: Identity,
    begun: boolean,
    inode: number | null,
    timeoutMs: number,
    epoch?: number,
  ) {
    this.segment = new Segment(file.buffer, identity);
    this.role = role;
    this.where = file.path;
    this.begun = begun;
    this.#file = file;
    this.#inode = inode;
    this.#timeoutMs = timeoutMs;
    this.#epoch = epoch ?? ((this.segment.epoch[role][0] as number) + 1) | 0;
    this.segment.epoch[role][0] = this.#epoch;
    beginTenure(this.segment.tenure[role], process.pid, timeoutMs, native().monotonicMs());
  }

  get lost(): boolean {
    return this.#inode === null || inodeAt(this.where) !== this.#inode;
  }

  renew(): void {
    renewTenure(this.segment.tenure[this.role], native().monotonicMs());
  }

  follow(): Whereabouts {
    for (;;) {
      const place = placeOf(this.#file, this.where, this.#inode, this.segment.moved);
      if (place !== 'elsewhere') return { kind: place };
      const found = this.#comeOver();
      if (found !== null) return found;
    }
  }

  close(): void {
    this.#file.close();
  }

  remove(): void {
    // By now the path may be that of another session: one that the peer began after it had removed this one. And
    // whoever moves this one to a fresh file must not lose it meanwhile.
    if (this.#file.lock(LOCK_BYTE.moving, 1) && !this.lost) rmSync(this.where, { force: true });
    this.#file.close();
  }

  /** Opens this side of the file that is at the path now; null when that one was moved as well meanwhile. */
  #comeOver(): Whereabouts | null {
    const { where, role } = this;
    const inode = inodeAt(where);
    const file = map(where, false, 1);
    if (file === null) return { kind: 'taken', by: null };
    let open: OpenFile | null = null;
    try {
      // It is asked twice, so that it is the inode of what was mapped in between.
      if (inodeAt(where) !== inode) return null;
      const identity = readIdentity(file.buffer, where);
      if (identity?.sessionId !== this.segment.identity.sessionId) return { kind: 'taken', by: null };
      const { epoch, tenure } = new Segment(file.buffer, identity);
      if (distance(this.#epoch, epoch[role][0] as number) > 0 || !file.lock(LOCK_BYTE[role], 1)) {
        return { kind: 'taken', by: readTenure(tenure[role])?.processId ?? null };
      }
      const next = new OpenFile(file, role, identity, this.begun, inode, this.#timeoutMs, this.#epoch);
      const place = placeOf(file, where, inode, next.segment.moved);
      if (place === 'here') {
        open = next;
        return { kind: 'moved', open };
      }
      // It is moved once more: the place there is kept for its owner, as it was here.
      expectOwner(tenure[role]);
      return place === 'moving' ? { kind: 'moving' } : null;
    } finally {
      if (open === null) file.close();
    }
  }
}

/**
 * Locks a side, or takes it over. False when the session is in another file of this path by now. Throws
 * ERR_ALREADY_CONNECTED.
 */
function occupy(
  file: MappedFile,
  path: string,
  inode: number | null,
  role: Role,
  expected: Partial<Identity>,
  timeoutMs: number,
): boolean {
  const identity = identityOrNull(file);
  const occupied: Occupied | null =
    identity === null ? null : { file, path, inode, role, segment: new Segment(file.buffer, identity) };
  if (occupied !== null) requireFree(occupied);
  if (file.lock(LOCK_BYTE[role], 1)) return true;
  // Where it does not say by whom, the lock decides alone.
  if (occupied === null) throw alreadyOpen(role, path, 'and is not complete or damaged');
  recognise(file, expected);
  takeOver(occupied, timeoutMs, (fresh) => create(fresh, file.buffer.byteLength));
  return false;
}

function identityOrNull(file: MappedFile): Identity | null {
  try {
    return readIdentity(file.buffer, file.path);
  } catch {
    return null;
  }
}

/** The identity of a session that can go on; null for a file whose creation was never finished. Throws ERR_SEGMENT. */
function recognise(file: MappedFile, expected: Partial<Identity>): Identity | null {
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
  checkRing(segment.clientToServer, `${path}, ring client→server`);
  checkRing(segment.serverToClient, `${path}, ring server→client`);
  return identity;
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
  if (file !== null) return file.lock(LOCK_BYTE.client, LOCK_BYTES);
  // An empty file cannot be mapped, so the kernel's list of locks is asked. It ends a line with device:inode start end.
  return !readFileSync('/proc/locks', 'utf8').includes(`:${inode} `);
}

function alreadyOpen(role: Role, path: string, how: string): TcpshmError {
  return new TcpshmError('ERR_ALREADY_CONNECTED', `the ${role} side of ${path} is open elsewhere, ${how}`);
}

function create(path: string, sizeBytes: number): MappedFile {
  return map(path, true, sizeBytes) as MappedFile;
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
