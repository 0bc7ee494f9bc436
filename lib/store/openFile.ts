import { rmSync } from 'node:fs';
import { type MappedFile, native } from '../memory/native.js';
import { distance } from '../memory/wrap.js';
import type { Role } from '../session/names.js';
import { readIdentity, Segment } from '../session/segment.js';
import { beginTenure, expectOwner, readTenure, renewTenure } from '../session/tenure.js';
import { checkpointNow, type Journal } from './journal.js';
import { fileError, openFile } from './mapping.js';
import type { OpenSegment, Place, Whereabouts } from './openSegment.js';
import { inodeAt, LOCK_BYTE, MOST_FILES, placeOf, requireWhole, unsteady } from './sessionFile.js';
import { setAside } from './setAside.js';

/** A side of a session file, open here: its lock is held, and its owner shows that he is alive. */
export class OpenFile implements OpenSegment {
  readonly segment: Segment;
  readonly role: Role;
  readonly where: string;
  readonly begun: boolean;
  readonly journal: Journal | null;
  readonly #file: MappedFile;
  readonly #timeoutMs: number;
  readonly #epoch: number;
  #open = true;

  /** `epoch` is that of an owner who comes over from another file; else a new one begins. */
  constructor(
    file: MappedFile,
    role: Role,
    segment: Segment,
    options: { readonly begun: boolean; readonly timeoutMs: number; readonly journal: Journal | null },
    epoch: number = ((segment.epoch[role][0] as number) + 1) | 0,
  ) {
    this.segment = segment;
    this.role = role;
    this.where = file.path;
    this.journal = options.journal;
    this.begun = options.begun;
    this.#file = file;
    this.#timeoutMs = options.timeoutMs;
    this.#epoch = epoch;
    // Who has lost a part of the file notices it where he would notice that the session has moved.
    file.tellLoss(segment.notices.byteOffset);
    requireWhole(file);
    segment.epoch[role][0] = epoch;
    beginTenure(segment.tenure[role], process.pid, options.timeoutMs, native().monotonicMs());
  }

  get lost(): boolean {
    return this.#file.lost || inodeAt(this.where) !== this.#file.inode;
  }

  renew(): void {
    requireWhole(this.#file);
    renewTenure(this.segment.tenure[this.role], native().monotonicMs());
  }

  follow(): Whereabouts {
    for (let files = 0; files < MOST_FILES; files++) {
      requireWhole(this.#file);
      const place = placeOf(this.#file, this.segment.notices);
      if (place !== 'elsewhere') return { kind: place };
      const found = this.#comeOver();
      if (found !== null) return found;
    }
    throw unsteady(this.where);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      // What has moved away is another one's to keep.
      if (this.journal !== null && !this.lost) checkpointNow(this.segment, this.role, this.journal);
    } catch (cause) {
      throw fileError(cause, `${this.where} cannot be written to the disk`);
    } finally {
      this.#file.close();
    }
  }

  pass(): Place {
    this.close();
    return { path: this.where };
  }

  setAside(): string | null {
    try {
      return this.#isAtItsPath() ? setAside(this.where, this.#file.inode) : null;
    } catch (cause) {
      throw fileError(cause, `${this.where} cannot be set aside`);
    } finally {
      this.close();
    }
  }

  remove(): void {
    this.#open = false;
    if (this.#isAtItsPath()) rmSync(this.where, { force: true });
    this.#file.close();
  }

  /**
   * By now the path may be that of another session: one that the peer began after it had removed this one. And whoever
   * moves this one to a fresh file must not lose it meanwhile.
   */
  #isAtItsPath(): boolean {
    return this.#file.lock(LOCK_BYTE.moving, 1) && !this.lost;
  }

  /** Opens this side of the file that is at the path now; null when that one was moved as well meanwhile. */
  #comeOver(): Whereabouts | null {
    const { where, role } = this;
    const file = openFile(where);
    if (file === null) return { kind: 'taken', by: null };
    let open: OpenFile | null = null;
    try {
      const identity = readIdentity(file.buffer, where);
      if (identity?.sessionId !== this.segment.identity.sessionId) return { kind: 'taken', by: null };
      const segment = new Segment(file.buffer, identity);
      const { epoch, tenure } = segment;
      if (distance(this.#epoch, epoch[role][0] as number) > 0 || !file.lock(LOCK_BYTE[role], 1)) {
        return { kind: 'taken', by: readTenure(tenure[role])?.processId ?? null };
      }
      // A journal is its owner's alone: it only ever moves away from him.
      const options = { begun: this.begun, timeoutMs: this.#timeoutMs, journal: null };
      const next = new OpenFile(file, role, segment, options, this.#epoch);
      const place = placeOf(file, segment.notices);
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
