import { loadTally, NO_TALLY, storeTally, sumOf, TALLY_FIELDS, type Tally } from '../connection/tally.js';

/** The thread of a group in numbers, as it has told last: once in a heartbeat interval, and when it ends. */
export interface GroupThreadStats {
  readonly group: number;
  /** Whether it can be given connections. */
  readonly up: boolean;
  /** How often it was started: more than once where it has died. */
  readonly starts: number;
  /** Connections in it. */
  readonly connections: number;
  /** How often it has slept, and how often something woke it before its time was up. Of all threads of the group. */
  readonly sleeps: number;
  readonly wakeups: number;
  /** What went through connections while they were in this group. */
  readonly total: Tally;
}

/** What a thread tells of itself. */
export type ThreadReport = Pick<GroupThreadStats, 'connections' | 'sleeps' | 'wakeups' | 'total'>;

const NOTHING: ThreadReport = { connections: 0, sleeps: 0, wakeups: 0, total: NO_TALLY };

/** Indexes behind the tally. */
const CONNECTIONS = TALLY_FIELDS;
const SLEEPS = CONNECTIONS + 1;
const WAKEUPS = SLEEPS + 1;
const WORDS = WAKEUPS + 1;

/**
 * Where a thread tells of itself, in memory that it shares with the server's thread. Numbers may be of different moments:
 * each is a word that is written at once.
 */
export function newReportMemory(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(WORDS * Float64Array.BYTES_PER_ELEMENT));
}

export function storeReport(words: Float64Array, report: ThreadReport): void {
  storeTally(words, report.total);
  words[CONNECTIONS] = report.connections;
  words[SLEEPS] = report.sleeps;
  words[WAKEUPS] = report.wakeups;
}

/** Null for that of nobody. */
export function loadReport(words: Float64Array | null): ThreadReport {
  if (words === null) return NOTHING;
  return {
    connections: words[CONNECTIONS] as number,
    sleeps: words[SLEEPS] as number,
    wakeups: words[WAKEUPS] as number,
    total: loadTally(words),
  };
}

/** What is left of a thread that has ended, before the next one. */
export function afterEnd(before: ThreadReport, last: ThreadReport): ThreadReport {
  return { ...combined(before, last), connections: 0 };
}

export function combined(a: ThreadReport, b: ThreadReport): ThreadReport {
  return {
    connections: a.connections + b.connections,
    sleeps: a.sleeps + b.sleeps,
    wakeups: a.wakeups + b.wakeups,
    total: sumOf(a.total, b.total),
  };
}
