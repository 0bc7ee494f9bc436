import { renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { Topic } from '../diagnostics/channels.js';
import { TcpshmError } from '../errors.js';
import { type MappedFile, native } from '../memory/native.js';
import type { RingMemory } from '../ring/memory.js';
import { readCommit, readPublished } from '../ring/recovery.js';
import { otherRole, type Role } from '../session/names.js';
import { Segment } from '../session/segment.js';
import { beginTenure, expectOwner, isSilent, readTenure, silenceOf } from '../session/tenure.js';
import { createFile } from './mapping.js';
import { inodeAt, LOCK_BYTE, requireWhole } from './sessionFile.js';

const TAKEN_OVER = new Topic('tcpshm:session-taken-over');

/** How often the copying is begun again because somebody was at work in the file meanwhile: each is at it once or twice. */
const MOST_COPIES = 100;

/** A session file of which the wanted side is locked by another: as whom it was opened. */
export interface Occupied {
  readonly file: MappedFile;
  readonly segment: Segment;
  readonly role: Role;
}

/** Throws ERR_ALREADY_CONNECTED, with who has the side open, unless he has been silent for his timeout. */
export function requireSilence({ file: { path }, segment, role }: Occupied): void {
  const tenure = readTenure(segment.tenure[role]);
  if (tenure === null) throw alreadyOpen(path, role, 'by a process that has just begun it');
  const now = native().monotonicMs();
  if (isSilent(tenure, now)) return;
  throw alreadyOpen(
    path,
    role,
    `by process ${tenure.processId}, which gave its last sign of life ${Math.max(0, silenceOf(tenure, now)).toFixed(0)}` +
      ` ms ago, and whose place is free after ${tenure.timeoutMs}`,
  );
}

/**
 * Throws ERR_ALREADY_CONNECTED while a side that nobody has locked is kept for its owner: the session has moved to
 * this file because of the other side, and he comes over with his next call.
 */
export function requireFree({ file: { path }, segment, role }: Occupied): void {
  const tenure = readTenure(segment.tenure[role]);
  if (tenure === null || !tenure.toCome || !isAlive(tenure.processId)) return;
  if (isSilent(tenure, native().monotonicMs())) return;
  throw alreadyOpen(
    path,
    role,
    `by process ${tenure.processId}, which follows the session to its fresh file`,
  );
}

/**
 * Takes the place of an owner who has been silent for his timeout, by moving the session to a fresh file: he may go
 * on at any time, even between a check and the store behind it, and what he writes then is in a file that nobody
 * reads. Afterwards the path leads to the fresh file, in which nobody has the side open.
 *
 *     set `moved`, and let a barrier pass    whoever is at work in the file sees the word with his next call
 *     copy until nothing changed meanwhile   so all is in it that somebody has stored and not seen the word
 *     rename the copy over the path          from here on the session is there
 *
 * Until the rename nothing has happened: a mover that dies leaves the word, which is cleared by whoever finds that
 * nobody holds the lock of movers (placeOf). Throws ERR_ALREADY_CONNECTED when the owner gave a sign of life, or
 * another one moves the session; ERR_NO_SPACE, ERR_FILE, ERR_SEGMENT. The lock of movers goes with `occupied.file`,
 * which the caller closes.
 */
export function takeOver(occupied: Occupied, timeoutMs: number): void {
  const { file, segment, role } = occupied;
  const { path } = file;
  requireSilence(occupied);
  if (!file.lock(LOCK_BYTE.moving, 1)) {
    throw alreadyOpen(path, role, 'and is being taken over by another process at this moment');
  }
  if (inodeAt(path) !== file.inode) return;
  const from = readTenure(segment.tenure[role])?.processId ?? null;
  const temporary = `${path}.moving`;
  Atomics.store(segment.notices, 0, 1);
  try {
    native().membarrier();
    // One that has just opened the side has seen the word, or his sign of life is seen here.
    requireSilence(occupied);
    // A leftover of a mover that died: there can be only one mover.
    rmSync(temporary, { force: true });
    const fresh = createFile(temporary, file.buffer.byteLength);
    try {
      copy(occupied, fresh);
      settleIn(occupied, new Segment(fresh.buffer, segment.identity), timeoutMs, fresh.inode);
      if (segment.identity.journal) fresh.syncNow();
    } finally {
      fresh.close();
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    Atomics.store(segment.notices, 0, 0);
    throw error;
  }
  if (segment.identity.journal) native().syncFolder(dirname(path));
  if (TAKEN_OVER.listened) TAKEN_OVER.tell({ path, role, from });
}

/** Copies the file, until neither the owner nor the other side has done anything meanwhile. */
function copy({ file, segment, role }: Occupied, fresh: MappedFile): void {
  const from = new Uint8Array(file.buffer);
  const to = new Uint8Array(fresh.buffer);
  for (let n = 0; n < MOST_COPIES; n++) {
    const before = stateOf(segment);
    to.set(from);
    requireWhole(file);
    if (stateOf(segment) === before) return;
  }
  throw alreadyOpen(file.path, role, 'and was at work in it all the time while it was to be taken over');
}

function stateOf({ clientToServer, serverToClient }: Segment): string {
  const ring = (memory: RingMemory): unknown => [readCommit(memory), readPublished(memory)];
  return JSON.stringify([ring(clientToServer), ring(serverToClient)]);
}

/** Makes a copy the session: with a new owner of the side, and the other one's, if he lives, to come over. */
function settleIn(occupied: Occupied, fresh: Segment, timeoutMs: number, inode: number): void {
  const { file, segment, role } = occupied;
  const other = otherRole(role);
  fresh.notices[0] = 0;
  fresh.parking[role].leave();
  fresh.epoch[role][0] = (segment.epoch[role][0] as number) + 1;
  // Already now, so that the next one who finds the lock taken does not think that he is silent.
  beginTenure(fresh.tenure[role], process.pid, timeoutMs, native().monotonicMs());
  if (file.isLocked(LOCK_BYTE[other], 1)) expectOwner(fresh.tenure[other]);
  // A copy of what was stored is as good a witness of it.
  if (segment.inode[0] === file.inode) fresh.inode[0] = inode;
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export function alreadyOpen(path: string, role: Role, how: string): TcpshmError {
  return new TcpshmError('ERR_ALREADY_CONNECTED', `the ${role} side of ${path} is open elsewhere, ${how}`);
}
