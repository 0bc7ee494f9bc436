import type { Tally } from '../connection/tally.js';
import type { GroupThreadStats } from '../group/threadStats.js';

/** A server in numbers, at the moment of the call, since it was made: a plain object that stays as it is. */
export interface ServerStats {
  readonly name: string;
  /** Sessions that are open in its thread, connected or not. */
  readonly sessions: number;
  /** Connections in all groups, also in their threads. */
  readonly connected: number;
  /** Logins that are under way. */
  readonly pendingLogins: number;
  /** Logins that were complete. */
  readonly admittedLogins: number;
  /**
   * Clients that were not let in: by `acceptLogin`, a limit, what the peers cannot agree on, or because the login took
   * too long or failed for an error. Not those that hung up by themselves.
   */
  readonly refusedLogins: number;
  /** How often `run` of its thread has slept, and how often something woke it before its time was up. */
  readonly sleeps: number;
  readonly wakeups: number;
  /**
   * Of all connections that it has, or had. What the threads of groups count is as they have told last: once in a heartbeat
   * interval, and when they end. What one that was killed has counted since is missing.
   */
  readonly total: Tally;
  /** The threads of groups, by group. Empty where groups have none. */
  readonly threads: readonly GroupThreadStats[];
}
