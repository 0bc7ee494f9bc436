import { TcpshmError } from '../errors.js';
import { countMessages } from '../ring/record.js';
import { restoreRing } from '../ring/restore.js';
import { type Checkpoint, Checkpoints, sameState, wholeOf } from '../session/checkpoint.js';
import type { DurabilityLevel } from '../session/durability.js';
import type { Role } from '../session/names.js';
import type { Segment } from '../session/segment.js';
import { readSideState } from '../session/state.js';
import type { Disk } from './flusher.js';
import { checkRings } from './recognise.js';

/** What makes a session file a journal. */
export interface Journal {
  readonly checkpoints: Checkpoints;
  /** With durability 'disk': what its pages are written with. */
  readonly disk: Disk | null;
}

/** What a journal is in: a mapped file, or a stand-in for it. */
export interface JournalFile extends Disk {
  readonly path: string;
  readonly inode: number;
}

/**
 * Makes a journal of a session file that was just created, in the boot of that id. With durability 'disk' it is there
 * when this returns.
 */
export function beginJournal(
  file: JournalFile,
  segment: Segment,
  role: Role,
  level: DurabilityLevel,
  bootId: string,
): Journal {
  const journal = journalOf(file, segment, role, level);
  segment.witness(bootId, file.inode);
  checkpointNow(segment, role, journal);
  return journal;
}

/**
 * Opens a journal: checks its state, or brings it back. In the boot in which it was opened before, as the same file,
 * its pages are what was stored, up to the last instruction of a process that was killed. After another boot, or in a
 * copy, some may be old and some new, and only a checkpoint tells which: then the journal goes back to the newest one
 * that is whole.
 *
 * Throws ERR_SEGMENT, with nothing changed, when no state is to be trusted; what the disk throws.
 */
export function openJournal(
  file: JournalFile,
  segment: Segment,
  role: Role,
  level: DurabilityLevel,
  bootId: string,
): Journal {
  const journal = journalOf(file, segment, role, level);
  const { checkpoints } = journal;
  try {
    if (segment.identity.bootId === bootId && segment.inode[0] === file.inode) {
      checkRings(segment, file.path);
      checkUnchanged(segment, role, checkpoints.newest(false));
    } else {
      restore(segment, role, checkpoints.newest(true));
    }
  } catch (cause) {
    const { message } = cause as Error;
    throw new TcpshmError(
      'ERR_SEGMENT',
      message.startsWith(file.path) ? message : `${file.path}: ${message}`,
      cause,
    );
  }
  // The newest is spared by the next. It may be one that a process was killed over: then it is not safe yet.
  journal.disk?.syncNow();
  // Without a disk behind it, only a checkpoint that stands alone can be relied upon: older ones must be gone.
  const mustSync = journal.disk === null && checkpoints.leansOnOthers;
  checkpointNow(segment, role, journal);
  if (journal.disk === null) checkpoints.dropOther();
  if (mustSync) file.syncNow();
  segment.witness(bootId, file.inode);
  return journal;
}

function journalOf(file: JournalFile, segment: Segment, role: Role, level: DurabilityLevel): Journal {
  const pages = segment.checkpoints as readonly [Int32Array, Int32Array];
  return {
    checkpoints: new Checkpoints(pages, segment.outgoing(role)),
    disk: level === 'disk' ? file : null,
  };
}

/** Where nothing has happened since a checkpoint, what it speaks of must still be there. */
function checkUnchanged(segment: Segment, role: Role, newest: Checkpoint | null): void {
  if (newest === null || newest.intact || !sameState(newest.state, readSideState(segment, role))) return;
  throw new TcpshmError(
    'ERR_SEGMENT',
    'expected the messages that it was closed with, got others: their checksum differs',
  );
}

function restore(segment: Segment, role: Role, newest: Checkpoint | null): void {
  if (newest === null) {
    throw new TcpshmError(
      'ERR_SEGMENT',
      'expected a checkpoint, as it was in use in another boot of this machine or is a copy, got none:' +
        " a journal survives the loss of power with durability 'disk', or once it was closed",
    );
  }
  const { acknowledged, pushed, popped } = newest.state;
  const outgoing = segment.outgoing(role);
  const end = pushed.position | 0;
  const messages = countMessages(outgoing, acknowledged.position | 0, end);
  if (acknowledged.sequence + messages !== pushed.sequence) {
    throw new TcpshmError(
      'ERR_SEGMENT',
      `expected ${pushed.sequence - acknowledged.sequence} messages up to position ${pushed.position}, got ${messages}`,
    );
  }
  restoreRing(outgoing, acknowledged, end);
  // What had arrived and was not acknowledged comes again from the peer.
  restoreRing(segment.incoming(role), popped, popped.position | 0);
}

/**
 * Writes a checkpoint that stands alone: for when a journal was opened, or is about to be closed. With a disk it is
 * safe when this returns, and blocks until then. Throws what the disk throws.
 */
export function checkpointNow(segment: Segment, role: Role, { checkpoints, disk }: Journal): void {
  const state = readSideState(segment, role);
  checkpoints.write(state, wholeOf(state));
  disk?.syncNow();
  checkpoints.confirm();
}
