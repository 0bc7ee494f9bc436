import type { Role } from '../session/names.js';
import type { Segment } from '../session/segment.js';
import type { Journal } from './journal.js';

/** Where a session is whose `moved` word is set. */
export type Whereabouts =
  /** Here: who was about to move it has given up, or died. */
  | { readonly kind: 'here' }
  /** Somebody is moving it. */
  | { readonly kind: 'moving' }
  /** In a fresh file, of which this side is open as well now. The former one is still to be closed. */
  | { readonly kind: 'moved'; readonly open: OpenSegment }
  /** This side is another process's by now: its id, if it is known. */
  | { readonly kind: 'taken'; readonly by: number | null };

/** Where another thread of this process can open a side. */
export type Place = { readonly path: string } | { readonly memory: SharedArrayBuffer };

/** A segment of which this process or thread holds one side, to the exclusion of all others, until `close()`. */
export interface OpenSegment {
  readonly segment: Segment;
  readonly role: Role;
  /** What makes it survive the loss of power; null for memory. */
  readonly journal: Journal | null;
  /** What to call it in errors: a path, or what kind of memory it is. */
  readonly where: string;
  /** Whether this opening created it. */
  readonly begun: boolean;
  /** Whether what it is kept in was deleted, replaced or shortened since, by somebody else: then nobody can find it again. */
  readonly lost: boolean;
  /** Gives a sign of life, where it is kept in a file: once per heartbeat interval. Throws ERR_SEGMENT as `follow` does. */
  renew(): void;
  /** Looks where the session is, after `segment.notices` was found set. Throws ERR_FILE, ERR_SEGMENT. */
  follow(): Whereabouts;
  /**
   * Gives the side up, and the memory with it. What is in the rings stays, where the memory does. Idempotent. Throws
   * ERR_FILE when a journal with durability 'disk' cannot be written to it; the side is given up all the same.
   */
  close(): void;
  /**
   * The same, for another thread to open it at that place: to the other side it is as if it were open all the time. Null
   * for memory that is this thread's alone, which stays open.
   */
  pass(): Place | null;
  /** The same, and deletes what it is kept in: for good. */
  remove(): void;
  /** The same, but keeps a file under another name, which it gives: null for memory, which goes. Throws ERR_FILE. */
  setAside(): string | null;
}

/** For memory, which nobody can take over: it never moves. */
export const NEVER_MOVES = {
  renew(): void {},
  follow(): Whereabouts {
    return { kind: 'here' };
  },
};
