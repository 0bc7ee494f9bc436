import type { Tally } from '../connection/tally.js';

/** A pool in numbers, at the moment of the call, since it was made: a plain object that stays as it is. */
export interface RingPoolStats {
  /** Threads that there are, and those of them that can be given tasks. */
  readonly threads: number;
  readonly threadsUp: number;
  /** Threads that could be given tasks, ever; and those that have ended by themselves, or could not be started. */
  readonly threadsStarted: number;
  readonly threadsDied: number;
  /** Tasks that no thread can have started, those that threads are at, and those that are settled in whatever way. */
  readonly tasksQueued: number;
  readonly tasksRunning: number;
  readonly tasksCompleted: number;
  /** Which part of the time that there was for `maxThreads` threads had tasks in it: 0 to 1. */
  readonly utilization: number;
  /** What went through the rings: tasks are sent, results received; a large one takes several messages. */
  readonly total: Tally;
}
