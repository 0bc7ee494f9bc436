import type { RingHandle } from '../channel/ringChannel.js';
import { MAX_TAG } from '../port/parts.js';

/**
 * What pool and thread say to each other in the tags of values (port/parts.ts):
 *
 *     tag, 14 bits:   | sort, 2 | slot, 12 |
 *
 * A task has a slot from when it is given to the thread until its result is back, and a word in the claims:
 *
 *     free ──pool──► given ──thread──► started ──thread──► (result) ──pool──► free
 *                      └────pool────► taken back ──thread──► free
 *
 * Who sets the word of a task that is given decides whether it runs: the thread, or the pool, which may want it back for
 * another thread, or because it was aborted. So no task runs twice that was not lost with its thread, and the pool knows of
 * each whether it had started.
 */
const SLOT_BITS = 12;
export const SLOTS = (MAX_TAG + 1) / 4;
export const Claim = { free: 0, given: 1, started: 2, takenBack: 3 } as const;

/** To the thread. */
export const ToThread = {
  /** The task, for the handler of the pool. */
  task: 0,
  /** `[handler, task]`, for one of those that were named. */
  named: 1,
  /** A {@link HandlerName}: the next number of a handler. */
  handler: 2,
} as const;

/** From the thread. */
export const FromThread = {
  result: 0,
  /** A {@link PlainError}. */
  error: 1,
  /** What was thrown and is no error. */
  thrown: 2,
} as const;

export interface HandlerName {
  readonly filename: string;
  readonly name: string;
}

export function tagFor(sort: number, slot: number): number {
  return (sort << SLOT_BITS) | slot;
}

export function sortOf(tag: number): number {
  return tag >>> SLOT_BITS;
}

export function slotOf(tag: number): number {
  return tag & (SLOTS - 1);
}

/** The task of piscina with which a thread of the pool begins. */
export interface PoolWork {
  readonly handle: RingHandle;
  /** A word for each slot. */
  readonly claims: Int32Array;
  /** Handler 0, where the pool has a file. */
  readonly handler: HandlerName | null;
  readonly concurrency: number;
}
