import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { type Doorbell, type Epoll, FULL_DOORBELL_TOKENS, nativeOrNull } from '../memory/native.js';
import { type Bell, MAX_BELL_PATH } from '../session/parking.js';
import { ensureFolder } from '../store/folders.js';

/** Somebody whom a token of a {@link Waker} stands for. */
export interface Sleeper {
  /** Something has come for it. */
  stir(): void;
}

/** What an event tells of. */
export const READABLE = 1;
export const WRITABLE = 2;
/** The peer sends nothing more. */
export const ENDED = 4;
const ONCE = 8;

const BELL_TOKEN = 0;
const EVENTS_AT_ONCE = 256;

/** Makes paths unlike those of other threads of this process, which count for themselves. */
let serial = threadId << 16;
const SUFFIX = '.bell';

/**
 * The one kernel wait of a thread, over its sockets and its doorbell. A token stands for each {@link Sleeper}; `take`
 * has those stirred that something has come for. Sleeps in the event loop, where all else goes on meanwhile, or with
 * the thread. Without the native module it sleeps by timer only.
 */
export class Waker {
  /** Made with the first sleep: null before, and without the native module. */
  #made: Epoll | null = null;
  readonly #folder: string;
  readonly #events = new Uint32Array(2 * EVENTS_AT_ONCE);
  readonly #tokens = new Uint32Array(FULL_DOORBELL_TOKENS);
  readonly #sleepers = new Map<number, Sleeper>();
  #bell: Doorbell | null = null;
  #nextToken = BELL_TOKEN + 1;
  /** Ends the sleep in the event loop. */
  #awake: (() => void) | null = null;
  #watching = false;
  /** How often it has slept, and how often something woke it before its time was up. */
  sleeps = 0;
  wakeups = 0;
  #closed = false;

  /** `folder` is for the doorbell, and is made with the first one. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get #epoll(): Epoll | null {
    if (!this.#closed) this.#made ??= nativeOrNull()?.createEpoll() ?? null;
    return this.#made;
  }

  /** Whether sockets and bells wake it. */
  get hears(): boolean {
    return nativeOrNull() !== null;
  }

  register(sleeper: Sleeper): number {
    // Tokens are not used again for long: a bell may still be rung for one that has gone.
    do this.#nextToken = (this.#nextToken + 1) >>> 0;
    while (this.#nextToken === BELL_TOKEN || this.#sleepers.has(this.#nextToken));
    this.#sleepers.set(this.#nextToken, sleeper);
    return this.#nextToken;
  }

  forget(token: number): void {
    this.#sleepers.delete(token);
  }

  /** What others ring to wake a sleeper here; null where there is no doorbell to be had. */
  bellFor(token: number): Bell | null {
    if (this.#epoll === null) return null;
    if (this.#bell === null) {
      const native = nativeOrNull();
      const path = join(this.#folder, `${process.pid}-${Date.now().toString(36)}-${serial++}${SUFFIX}`);
      if (native === null || path.length > MAX_BELL_PATH) return null;
      ensureFolder(this.#folder);
      if (!swept.has(this.#folder)) removeDeadBells(this.#folder);
      swept.add(this.#folder);
      this.#bell = native.createDoorbell(path);
      this.#epoll.add(this.#bell.fd, BELL_TOKEN, READABLE);
    }
    return { path: this.#bell.path, token };
  }

  /** Makes what it will sleep with now, rather than with its first sleep: for a thread that will, and may die at any time. */
  prepare(): void {
    if (this.hears) this.bellFor(BELL_TOKEN);
  }

  /** From here on one event of the descriptor stirs the sleeper. `known` tells whether it was listened to before. */
  listen(fd: number, token: number, interest: number, known: boolean): void {
    if (known) this.#epoll?.modify(fd, token, interest | ONCE);
    else this.#epoll?.add(fd, token, interest | ONCE);
  }

  /** For a descriptor that stays open. One that is closed goes by itself. */
  unlisten(fd: number): void {
    this.#made?.remove(fd);
  }

  /** Stirs those that something has come for. A system call. */
  take(): void {
    if (this.#made !== null && !this.#closed) this.#stir(this.#made.wait(this.#events, 0), true);
  }

  /** Ends the sleep that is under way, or is about to begin in this turn of the event loop. */
  wake(): void {
    this.#awake?.();
  }

  /**
   * Sleeps in the event loop until something comes, which is to be taken then, or for so long: then it gives false.
   * `alive` tells whether that keeps the process.
   */
  async sleep(ms: number, alive: boolean): Promise<boolean> {
    const epoll = this.#epoll;
    if (epoll !== null && !this.#watching) {
      this.#watching = true;
      epoll.watch(() => this.wake());
    }
    if (epoll !== null && alive) epoll.ref();
    let timer: NodeJS.Timeout | undefined;
    const woken = await new Promise<boolean>((resolve) => {
      this.#awake = () => resolve(true);
      timer = setTimeout(resolve, ms, false);
      if (!alive || epoll !== null) timer.unref();
    });
    clearTimeout(timer);
    this.#awake = null;
    this.sleeps++;
    if (woken) this.wakeups++;
    // While it is awake, what it does keeps the process.
    epoll?.unref();
    return woken;
  }

  /** The same, with the whole thread. */
  block(ms: number): boolean {
    this.sleeps++;
    if (this.#epoll === null) {
      Atomics.wait(NOTHING, 0, 0, ms);
      return false;
    }
    const count = this.#epoll.wait(this.#events, Math.ceil(ms));
    // The bell rings on until it is answered; a socket has told what it was asked for once.
    this.#stir(count, false);
    if (count > 0) this.wakeups++;
    return count > 0;
  }

  /** Closes bell and epoll. Twice is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wake();
    if (this.#bell !== null) {
      this.#bell.close();
      removeDeadBells(this.#folder);
    }
    this.#made?.close();
  }

  #stir(count: number, answering: boolean): void {
    for (let i = 0; i < count; i++) {
      const token = this.#events[2 * i] as number;
      if (token !== BELL_TOKEN) this.#sleepers.get(token)?.stir();
      else if (answering) this.#answer();
    }
  }

  #answer(): void {
    const count = this.#tokensOf(this.#bell);
    if (count === FULL_DOORBELL_TOKENS) {
      for (const sleeper of this.#sleepers.values()) sleeper.stir();
      return;
    }
    for (let i = 0; i < count; i++) this.#sleepers.get(this.#tokens[i] as number)?.stir();
  }

  /** How many tokens wait, and takes them: as many as there can be if some may have been lost. */
  #tokensOf(bell: Doorbell | null): number {
    try {
      return bell?.answer(this.#tokens) ?? 0;
    } catch {
      // Somebody of this user's has written other bytes into the pipe.
      return FULL_DOORBELL_TOKENS;
    }
  }
}

/** Folders that this thread has looked through: once, as there may be a bell for each of a thousand clients. */
const swept = new Set<string>();

/** Removes the doorbells of processes that were killed. Their names begin with their processes' ids. */
function removeDeadBells(folder: string): void {
  const dead = new Map<number, boolean>([[process.pid, false]]);
  for (const name of readdirSync(folder)) {
    const processId = name.endsWith(SUFFIX) ? Number.parseInt(name, 10) : 0;
    if (!(processId > 0)) continue;
    if (!dead.has(processId)) dead.set(processId, isDead(processId));
    if (!dead.get(processId)) continue;
    try {
      const path = join(folder, name);
      const bell = nativeOrNull()?.openDoorbell(path);
      // Processes of other containers have ids of their own.
      if (bell === null) rmSync(path, { force: true });
      bell?.close();
    } catch {
      // Another kind of file, or another one's.
    }
  }
}

function isDead(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

const NOTHING = new Int32Array(new SharedArrayBuffer(4));
