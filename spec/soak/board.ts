/**
 * What the sides of a soak run share with the process that judges them: memory that outlives every side, so that what
 * a side has noted stays noted wherever it is killed.
 *
 *   | words | doubles | log of the server | log of the client |
 *
 * The log of a side lists the numbers of the messages that it has received, each noted before its `pop`. It is a ring:
 * the side writes at `noted`, the judge reads at `read`.
 */
import { type MappedFile, native } from '../../lib/memory/native.js';

export const ROLES = ['server', 'client'] as const;
export type Role = (typeof ROLES)[number];

export function otherRole(role: Role): Role {
  return role === 'server' ? 'client' : 'server';
}

/**
 * What the sides send: mixed sizes or only the largest there is, in both directions or in one. Both queues run full
 * when the judge lets both sides pause.
 */
export const FLOWS = ['both', 'from client', 'from server', 'largest'] as const;
export type Flow = (typeof FLOWS)[number];

/** The sides that send in a flow. */
export function sendersOf(flow: Flow): readonly Role[] {
  if (flow === 'from client') return ['client'];
  return flow === 'from server' ? ['server'] : ROLES;
}

/** Numbers in a log: some milliseconds of the busiest traffic. */
const LOG_LENGTH = 1 << 16;

/** Most groups of a server that are in threads. */
export const MAX_GROUPS = 16;

/** Words for all. Written by the judge, but for the port, which is the server's. */
const STOP = 0;
const END = 1;
const PORT = 2;
const FLOW = 3;
const PAUSED = 4;
/** Groups in threads: how many of those the judge wants dead, how many are, and after how many all goes on. */
const DEATHS_WANTED = 5;
const DEATHS = 6;
const DEATHS_SEEN = 7;
/** The thread that is to end itself, and how often a connection was moved: the server's. */
const VICTIM = 8;
const MOVES = 9;
/** Of each group, the thread that it is in: its own. */
const THREADS = 10;
/** Words of each side. All but `READ` are its own, and `FULL`, which the judge clears. */
const SIDE_WORDS = THREADS + MAX_GROUPS;
const NOTED = 0;
const READ = 1;
const STOPPED = 2;
const MISCOUNTS = 3;
const LINKS = 4;
const FULL = 5;
const WORDS_PER_SIDE = 6;
const WORDS = SIDE_WORDS + 2 * WORDS_PER_SIDE;
/** Doubles of each side. */
const BEGAN = 0;
const PUSHED = 1;
const DOUBLES_PER_SIDE = 2;

const DOUBLES_OFFSET = (WORDS * 4 + 7) & -8;
const LOGS_OFFSET = DOUBLES_OFFSET + 2 * DOUBLES_PER_SIDE * 8;
export const BOARD_BYTES = LOGS_OFFSET + 2 * LOG_LENGTH * 8;

export class Board {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #logs: Float64Array;
  readonly #file: MappedFile | null;

  constructor(buffer: ArrayBufferLike, file: MappedFile | null = null) {
    this.#words = new Int32Array(buffer, 0, WORDS);
    this.#doubles = new Float64Array(buffer, DOUBLES_OFFSET, 2 * DOUBLES_PER_SIDE);
    this.#logs = new Float64Array(buffer, LOGS_OFFSET, 2 * LOG_LENGTH);
    this.#file = file;
  }

  /** In a file, for processes: the judge creates it, the sides open it. */
  static map(path: string, create: boolean): Board {
    const file = native().mapFile(path, { create, sizeBytes: BOARD_BYTES });
    return new Board(file.buffer, file);
  }

  close(): void {
    this.#file?.close();
  }

  /** No more messages shall be sent. */
  get stopping(): boolean {
    return Atomics.load(this.#words, STOP) === 1;
  }
  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  /** The sides shall end. */
  get ending(): boolean {
    return Atomics.load(this.#words, END) === 1;
  }
  end(): void {
    Atomics.store(this.#words, END, 1);
  }

  /** What flows; `both` in a new board. */
  get flow(): Flow {
    return FLOWS[Atomics.load(this.#words, FLOW)] as Flow;
  }
  set flow(flow: Flow) {
    Atomics.store(this.#words, FLOW, FLOWS.indexOf(flow));
  }

  /** Nothing shall be received. */
  get paused(): boolean {
    return Atomics.load(this.#words, PAUSED) === 1;
  }
  set paused(paused: boolean) {
    Atomics.store(this.#words, PAUSED, paused ? 1 : 0);
  }

  /** Where the server listens; 0 while it does not. */
  get port(): number {
    return Atomics.load(this.#words, PORT);
  }
  set port(port: number) {
    Atomics.store(this.#words, PORT, port);
  }

  /** The thread of a group shall die. */
  wantDeath(): void {
    Atomics.add(this.#words, DEATHS_WANTED, 1);
  }
  get deathsWanted(): number {
    return Atomics.load(this.#words, DEATHS_WANTED);
  }

  /** It is dead, and what it has noted is on the board. */
  died(): void {
    // PUBLISH the death; observed by `deaths`.
    Atomics.add(this.#words, DEATHS, 1);
  }
  get deaths(): number {
    return Atomics.load(this.#words, DEATHS);
  }

  /** The judge has taken what it has noted: it may have a successor. */
  deathSeen(): void {
    Atomics.add(this.#words, DEATHS_SEEN, 1);
  }
  get deathsSeen(): number {
    return Atomics.load(this.#words, DEATHS_SEEN);
  }

  /** The thread that is to end itself; 0 for none. */
  get victim(): number {
    return Atomics.load(this.#words, VICTIM);
  }
  set victim(thread: number) {
    Atomics.store(this.#words, VICTIM, thread);
  }

  /** The thread that a group is in. */
  threadOf(group: number): number {
    return Atomics.load(this.#words, THREADS + group);
  }
  setThread(group: number, thread: number): void {
    Atomics.store(this.#words, THREADS + group, thread);
  }

  /** How often the connection was moved to another group. */
  get moves(): number {
    return Atomics.load(this.#words, MOVES);
  }
  moved(): void {
    Atomics.add(this.#words, MOVES, 1);
  }

  /** Whether the log of a side has room for one more number. */
  hasRoom(role: Role): boolean {
    const at = wordsOf(role);
    return ((this.#words[at + NOTED] - Atomics.load(this.#words, at + READ)) | 0) < LOG_LENGTH;
  }

  note(role: Role, number: number): void {
    const at = wordsOf(role) + NOTED;
    const noted = this.#words[at];
    this.#logs[logOf(role, noted)] = number;
    // PUBLISH the number; observed by take().
    Atomics.store(this.#words, at, noted + 1);
  }

  /** Hands the numbers that a side has noted since the last call to the judge. */
  take(role: Role, judge: (number: number) => void): void {
    const at = wordsOf(role);
    const noted = Atomics.load(this.#words, at + NOTED);
    let read = this.#words[at + READ];
    for (; read !== noted; read = (read + 1) | 0) judge(this.#logs[logOf(role, read)]);
    Atomics.store(this.#words, at + READ, read);
  }

  /** `connection.popped` was not the number of the message that came. */
  miscounted(role: Role): void {
    Atomics.add(this.#words, wordsOf(role) + MISCOUNTS, 1);
  }
  miscounts(role: Role): number {
    return Atomics.load(this.#words, wordsOf(role) + MISCOUNTS);
  }

  /** What a side had pushed when it was last connected; -1 before it was. */
  began(role: Role): number {
    return this.#doubles[doublesOf(role) + BEGAN];
  }
  setBegan(role: Role, pushed: number): void {
    this.#doubles[doublesOf(role) + BEGAN] = pushed;
  }

  /** How often a side was connected. */
  links(role: Role): number {
    return Atomics.load(this.#words, wordsOf(role) + LINKS);
  }
  linked(role: Role, pushed: number): void {
    this.setBegan(role, pushed);
    // PUBLISH what was pushed; observed by links().
    Atomics.add(this.#words, wordsOf(role) + LINKS, 1);
  }

  /** Whether a side has found its queue full, since the judge has last said that it is not. */
  isFull(role: Role): boolean {
    return Atomics.load(this.#words, wordsOf(role) + FULL) === 1;
  }
  setFull(role: Role, full: boolean): void {
    Atomics.store(this.#words, wordsOf(role) + FULL, full ? 1 : 0);
  }

  /** What a side has pushed in all, once it has stopped; else null. */
  pushed(role: Role): number | null {
    if (Atomics.load(this.#words, wordsOf(role) + STOPPED) === 0) return null;
    return this.#doubles[doublesOf(role) + PUSHED];
  }
  setPushed(role: Role, pushed: number): void {
    this.#doubles[doublesOf(role) + PUSHED] = pushed;
    // PUBLISH the count; observed by pushed().
    Atomics.store(this.#words, wordsOf(role) + STOPPED, 1);
  }
}

function wordsOf(role: Role): number {
  return SIDE_WORDS + (role === 'server' ? 0 : WORDS_PER_SIDE);
}

function doublesOf(role: Role): number {
  return role === 'server' ? 0 : DOUBLES_PER_SIDE;
}

function logOf(role: Role, index: number): number {
  return (role === 'server' ? 0 : LOG_LENGTH) + (index & (LOG_LENGTH - 1));
}
