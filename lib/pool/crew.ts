import type { Worker } from 'node:worker_threads';
import { NO_TALLY, sumOf, type Tally, totalOf } from '../connection/tally.js';
import { TcpshmError } from '../errors.js';
import type { PoolSettings } from './poolOptions.js';
import { PoolThread, type PoolThreadListener, type PoolThreadSettings, type Task } from './poolThread.js';
import { Restarts } from './restarts.js';

const NONE: readonly Task[] = [];

/** The threads of a pool: when one is started and let go, and which one a task is for. */
export class Crew {
  readonly #settings: PoolSettings;
  readonly #threadSettings: PoolThreadSettings;
  readonly #listener: PoolThreadListener;
  readonly #restarts: Restarts;
  readonly #threads = new Set<PoolThread>();
  /** Those that are to end, and are not given anything any more. */
  readonly #leaving = new Set<PoolThread>();
  readonly #idleTimers = new Map<PoolThread, NodeJS.Timeout>();
  #died = 0;
  #started = 0;
  #over = false;
  /** Of threads that have ended. */
  #busyMs = 0;
  #gone = NO_TALLY;

  /** `due` is called when threads may be started again, after they could not. */
  constructor(
    settings: PoolSettings,
    threadSettings: PoolThreadSettings,
    listener: PoolThreadListener,
    due: () => void,
  ) {
    this.#settings = settings;
    this.#threadSettings = threadSettings;
    this.#listener = listener;
    this.#restarts = new Restarts(due);
  }

  // What there is.

  get size(): number {
    return this.#threads.size;
  }

  get workers(): Worker[] {
    return [...this.#threads].flatMap(({ thread }) => (thread === null ? [] : [thread]));
  }

  /** How many can be given tasks. */
  get up(): number {
    let up = 0;
    for (const thread of this.#threads) if (thread.up) up++;
    return up;
  }

  /** Whether there are some that can be given tasks, or will be. */
  get promising(): boolean {
    return [...this.#threads].some((thread) => thread.up || thread.starting);
  }

  /** Whether all were ended. */
  get over(): boolean {
    return this.#over;
  }

  /** Tasks that they have and cannot have started. */
  get ahead(): number {
    let ahead = 0;
    for (const thread of this.#threads) ahead += thread.ahead;
    return ahead;
  }

  /** Milliseconds in which they had tasks, all together, with those that have ended. */
  get busyMs(): number {
    let busyMs = this.#busyMs;
    for (const thread of this.#threads) busyMs += thread.busyMs;
    return busyMs;
  }

  /** How many have come up, and how many have ended by themselves. */
  get started(): number {
    return this.#started;
  }

  get died(): number {
    return this.#died;
  }

  /** What has gone through all their rings. */
  get tally(): Tally {
    const threads = [...this.#leaving, ...this.#threads];
    return totalOf(
      this.#gone,
      threads.map(({ connection }) => connection),
    );
  }

  // Starting and ending.

  /** Starts as many as there are to be at least. */
  fillUp(): void {
    while (this.#threads.size < this.#settings.minThreads && !this.#restarts.waiting) this.#start();
  }

  /** Starts one more where those that there are cannot run all that waits: so many tasks, and those they have ahead. */
  grow(waiting: number): void {
    const { maxThreads, concurrentTasksPerWorker } = this.#settings;
    if (this.#threads.size >= maxThreads || this.#restarts.waiting) return;
    let room = 0;
    for (const thread of this.#threads)
      room += thread.exclusive ? 0 : Math.max(0, concurrentTasksPerWorker - (thread.up ? thread.load : 0));
    if (waiting + this.ahead > room) this.#start();
  }

  /** One can be given tasks from here on. */
  cameUp(): void {
    this.#started++;
  }

  /** Whether waiting to start threads again keeps the process alive. */
  keep(awaited: boolean): void {
    this.#restarts.keep(awaited);
  }

  /** One has nothing to do. */
  rest(thread: PoolThread): void {
    if (!this.#threads.has(thread)) return;
    thread.exclusive = false;
    const { idleTimeout, minThreads } = this.#settings;
    if (idleTimeout === Number.POSITIVE_INFINITY || this.#threads.size <= minThreads) return;
    if (this.#idleTimers.has(thread)) return;
    const timer = setTimeout(() => {
      this.#idleTimers.delete(thread);
      if (thread.load === 0 && this.#threads.size > minThreads) this.dismiss(thread, 'it was idle');
    }, idleTimeout);
    this.#idleTimers.set(thread, timer.unref());
  }

  /** Ends one, which is not the pool's any more from here on. Gives the tasks that it had not started. */
  dismiss(thread: PoolThread, why: string): readonly Task[] {
    this.#threads.delete(thread);
    this.#leaving.add(thread);
    this.employed(thread);
    const tasks = thread.takeBackSome(Number.POSITIVE_INFINITY);
    void thread.end(new TcpshmError('ERR_WORKER', `the thread was ended: ${why}`));
    return tasks;
  }

  /**
   * One has ended. True where it did so by itself: then others are started later, where it had done nothing and it was no
   * task that has ended it (`idle`). `awaited` as of `keep`.
   */
  remove(thread: PoolThread, idle: boolean, awaited: boolean): boolean {
    const died = this.#threads.delete(thread);
    this.#leaving.delete(thread);
    this.employed(thread);
    this.#busyMs += thread.busyMs;
    this.#gone = sumOf(this.#gone, thread.connection.side.tally);
    if (!died) return false;
    this.#died++;
    if (idle && !this.#over && !thread.proven) this.#restarts.failed(awaited);
    return true;
  }

  /** Ends all, whatever they are at. */
  async end(why: TcpshmError): Promise<void> {
    const threads = [...this.#threads];
    this.#over = true;
    this.#restarts.stop();
    this.#threads.clear();
    for (const thread of threads) this.#leaving.add(thread);
    for (const timer of this.#idleTimers.values()) clearTimeout(timer);
    this.#idleTimers.clear();
    await Promise.all(threads.map((thread) => thread.end(why)));
  }

  // Who does what.

  /** Where a task is to run: of those with the fewest tasks that which was at it last. Null when it has to wait. */
  threadFor(task: Task): PoolThread | null {
    // An abort ends the thread, so it is to cost no other task.
    const alone = task.signal !== null && this.#settings.concurrentTasksPerWorker > 1;
    let best: PoolThread | null = null;
    for (const thread of this.#threads) {
      if (!thread.up || thread.full || thread.exclusive || (alone && thread.load > 0)) continue;
      if (
        best === null ||
        thread.load < best.load ||
        (thread.load === best.load && thread.since > best.since)
      )
        best = thread;
    }
    if (best !== null && alone) best.exclusive = true;
    return best;
  }

  /** One was given a task. */
  employed(thread: PoolThread): void {
    const timer = this.#idleTimers.get(thread);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#idleTimers.delete(thread);
  }

  /** Takes back what was given ahead to threads that do not come to it. */
  takeStalled(): readonly Task[] {
    let tasks = NONE;
    if (this.#threads.size < 2) return tasks;
    for (const thread of this.#threads) {
      if (thread.ahead > 0 && thread.stalled) tasks = [...tasks, ...thread.takeBackSome(thread.ahead)];
    }
    return tasks;
  }

  /** For each thread that has nothing to do, takes back half of what the busiest one was given ahead. */
  takeSurplus(): readonly Task[] {
    let tasks = NONE;
    if (this.#threads.size < 2) return tasks;
    for (const idle of this.#threads) {
      if (!idle.up || idle.load > 0) continue;
      let busiest: PoolThread | null = null;
      for (const thread of this.#threads) if (thread.ahead > (busiest?.ahead ?? 0)) busiest = thread;
      if (busiest === null) return tasks;
      tasks = [...tasks, ...busiest.takeBackSome(Math.ceil(busiest.ahead / 2))];
    }
    return tasks;
  }

  /** Takes back all that was not started. */
  takeAll(): readonly Task[] {
    return [...this.#threads].flatMap((thread) => thread.takeBackSome(Number.POSITIVE_INFINITY));
  }

  #start(): void {
    this.#threads.add(new PoolThread(this.#threadSettings, this.#listener));
  }
}
