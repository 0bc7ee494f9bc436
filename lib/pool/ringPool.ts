import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { untilAborted } from '../connection/waiter.js';
import { Topic } from '../diagnostics/channels.js';
import { TcpshmError } from '../errors.js';
import { abortSignal, checkOptions, type WaitOptions } from '../options.js';
import { checkTransferable } from '../port/transfer.js';
import { Crew } from './crew.js';
import { HandlerNumbers } from './handlerNumbers.js';
import {
  file,
  type PoolSettings,
  poolSettings,
  type RingPoolOptions,
  text,
  threadOptions,
} from './poolOptions.js';
import type { RingPoolStats } from './poolStats.js';
import type { PoolThread, PoolThreadListener, Task, ThreadEnd } from './poolThread.js';
import { AbortError, type AbortSource, checkSignal, PoolTask, TaskQueue } from './task.js';

/** One task: what runs it, and what ends it. */
export interface RingPoolRunOptions {
  /** Another module than that of the pool. */
  readonly filename?: string | URL | null;
  /** Another export than that of the pool. */
  readonly name?: string | null;
  readonly signal?: AbortSource | null;
  /** Array buffers that are detached here once they were copied. */
  readonly transferList?: readonly unknown[];
}

interface Events {
  /** A thread has failed: ERR_WORKER. It is replaced when it is needed. */
  error: [error: TcpshmError];
  /** There is room for another task that need not wait, after there was none. */
  drain: [];
  needsDrain: [];
  /** What a thread has posted to its parent. */
  message: [value: unknown];
}

const STARTED = new Topic('tcpshm:pool-thread-started');
const DIED = new Topic('tcpshm:pool-thread-died');

/** So often a task may lose its thread, with `onCrash: 'retry'`. */
const MOST_LOSSES = 3;

/**
 * Runs tasks in threads, as piscina does: same options, same task modules, same `run`. Piscina starts and ends the
 * threads; tasks and results go through rings, which makes short tasks many times cheaper. A thread is given tasks ahead
 * as far as they are short, and they are taken back when it stalls.
 *
 *     const pool = new RingPool({ filename: new URL('./task.js', import.meta.url) });
 *     await pool.run({ a: 4, b: 6 });
 *     await pool.close();
 *
 * Every promise of `run` settles once: with what the task gives or throws (errors with their stacks and properties), an
 * AbortError, or a TcpshmError: ERR_CODEC (the task or its result cannot be sent: see {@link RingPort}), ERR_QUEUE_FULL,
 * ERR_WORKER (the thread died while it ran), ERR_CLOSED (the pool was closed or destroyed).
 *
 * Threads that end before they have run anything are replaced ever later, up to 10 s; what waits meanwhile rejects with
 * ERR_WORKER once none can be started.
 *
 * Keeps the process alive while there are tasks. Belongs to the thread that made it.
 */
export class RingPool extends EventEmitter<Events> {
  readonly #settings: PoolSettings;
  readonly #handlers: HandlerNumbers;
  readonly #crew: Crew;
  readonly #queue = new TaskQueue<PoolThread>();
  readonly #madeAt = performance.now();
  #serial = 0;
  #pending = 0;
  #completed = 0;
  #needsDrain = false;
  #closed = false;
  #whenIdle: (() => void)[] = [];
  #closing: Promise<void> | null = null;

  /** Throws ERR_OPTION, ERR_CAPACITY. The first `minThreads` are started at once. */
  constructor(options: RingPoolOptions = {}) {
    super();
    const settings = poolSettings(options);
    const { filename, name, concurrentTasksPerWorker: concurrency, capacityBytes } = settings;
    this.#settings = settings;
    this.#handlers = new HandlerNumbers(filename === null ? null : { filename, name });
    const threadSettings = {
      handlers: this.#handlers,
      concurrency,
      capacityBytes,
      solo: threadOptions(options),
    };
    this.#crew = new Crew(settings, threadSettings, this.#listener, () => {
      if (!this.#closed) this.#crew.fillUp();
      this.#advance();
    });
    this.#crew.fillUp();
  }

  /** Runs a task in one of the threads, as soon as one is free. */
  run<R = unknown>(value?: unknown, options: RingPoolRunOptions = {}): Promise<R> {
    try {
      return this.#run(value, options).promise as Promise<R>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes no tasks any more, waits for those that there are (with `drain: false`, or piscina's `force: true`, only for
   * those that run: the others reject with ERR_CLOSED), and ends the threads. Rejects with the signal's reason: it goes on
   * closing then, and `destroy` ends what is left.
   */
  async close(
    options: { readonly drain?: boolean; readonly force?: boolean } & WaitOptions = {},
  ): Promise<void> {
    checkOptions(options);
    const signal = abortSignal(options.signal);
    this.#closed = true;
    if (options.drain === false || options.force === true) this.#dropWaiting();
    this.#closing ??= this.#idle().then(() => this.#end());
    return untilAborted(this.#closing, signal);
  }

  /** Ends the threads, whatever they are at: all tasks that there are reject with ERR_CLOSED. */
  async destroy(): Promise<void> {
    this.#closed = true;
    this.#dropWaiting();
    await this.#end();
  }

  /** For `await using`: as `close`, what was given to the pool is run before. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What was asked for, with what is the default. */
  get options(): PoolSettings {
    return this.#settings;
  }

  /** So many threads are kept, also when there is nothing to run. */
  get minThreads(): number {
    return this.#settings.minThreads;
  }

  /** So many threads are started at the most. */
  get maxThreads(): number {
    return this.#settings.maxThreads;
  }

  /** The threads that there are, for their events and ids. */
  get threads(): Worker[] {
    return this.#crew.workers;
  }

  /** Tasks that no thread can have started. */
  get queueSize(): number {
    return this.#queue.size + this.#crew.ahead;
  }

  /** Tasks that are settled, in whatever way. */
  get completed(): number {
    return this.#completed;
  }

  /** Milliseconds since the pool was made. */
  get duration(): number {
    return performance.now() - this.#madeAt;
  }

  /** Which part of the time that there was for `maxThreads` threads had tasks in it: 0 to 1. */
  get utilization(): number {
    return Math.min(1, this.#crew.busyMs / (this.duration * this.#settings.maxThreads));
  }

  /** Whether every thread that there may be has as much to run as it can run at once. */
  get needsDrain(): boolean {
    return this.#needsDrain;
  }

  /** What the pool has done. Takes some microseconds. May be called at any time, also after `close`. Never throws. */
  stats(): RingPoolStats {
    const crew = this.#crew;
    const tasksQueued = this.queueSize;
    return Object.freeze({
      threads: crew.size,
      threadsUp: crew.up,
      threadsStarted: crew.started,
      threadsDied: crew.died,
      tasksQueued,
      tasksRunning: Math.max(0, this.#pending - tasksQueued),
      tasksCompleted: this.#completed,
      utilization: this.utilization,
      total: crew.tally,
    });
  }

  #run(value: unknown, options: RingPoolRunOptions): Task {
    if (this.#closed) throw new TcpshmError('ERR_CLOSED', 'the pool is closed');
    const task = new PoolTask<PoolThread>(
      this.#serial,
      value,
      this.#handlerOf(options),
      options.transferList ?? NOTHING,
      checkSignal(options.signal),
    );
    const { signal } = task;
    if (signal?.aborted === true) throw new AbortError(signal.reason);
    if (task.transferList !== NOTHING) checkTransferable(task.transferList);
    const { maxQueue } = this.#settings;
    if (maxQueue !== Number.POSITIVE_INFINITY && this.#pending >= this.#capacity + maxQueue) {
      throw new TcpshmError(
        'ERR_QUEUE_FULL',
        maxQueue === 0
          ? 'No task queue available and all Workers are busy'
          : `Task queue is at limit: ${maxQueue} tasks wait`,
      );
    }
    this.#serial++;
    this.#pending++;
    this.#crew.keep(true);
    task.listen(() => this.#abort(task));
    this.#queue.push(task);
    this.#advance();
    this.#lookAtDrain();
    return task;
  }

  #handlerOf({ filename, name }: RingPoolRunOptions): number {
    const { main } = this.#handlers;
    if (
      (filename === undefined || filename === null) &&
      (name === undefined || name === null) &&
      main !== null
    )
      return 0;
    const module = filename === undefined || filename === null ? this.#settings.filename : file(filename);
    if (module === null)
      throw new TcpshmError('ERR_OPTION', 'filename must be provided to run() or in options object');
    return this.#handlers.of({ filename: module, name: text(name, 'name', this.#settings.name) });
  }

  /** Tasks that can run at once. */
  get #capacity(): number {
    return this.#settings.maxThreads * this.#settings.concurrentTasksPerWorker;
  }

  /** Gives out what waits, as far as that can be. */
  #advance(): void {
    for (let task = this.#queue.first; task !== null; task = this.#queue.first) {
      const thread = this.#crew.threadFor(task);
      if (thread === null) break;
      this.#queue.shift();
      try {
        thread.give(task);
      } catch (error) {
        this.#reject(task, error);
        continue;
      }
      this.#crew.employed(thread);
    }
    this.#crew.grow(this.#queue.size);
  }

  readonly #listener: PoolThreadListener = {
    up: (thread) => {
      this.#crew.cameUp();
      if (STARTED.listened) STARTED.tell({ pool: this, threadId: thread.threadId });
      this.#balance();
      this.#advance();
      if (thread.load === 0) this.#crew.rest(thread);
    },
    settled: (count) => this.#settled(count),
    advanced: (thread) => {
      if (thread.load === 0) this.#crew.rest(thread);
      this.#balance();
      this.#advance();
      this.#lookAtDrain();
    },
    ended: (thread, end) => this.#ended(thread, end),
    message: (value) => this.emit('message', value),
  };

  /** Has threads that have nothing to do take over what others cannot come to. */
  #balance(): void {
    this.#queue.putBack(this.#crew.takeStalled());
    if (this.#queue.size === 0) this.#queue.putBack(this.#crew.takeSurplus());
  }

  #abort(task: Task): void {
    const { thread } = task;
    if (thread === null) {
      this.#queue.dropped();
    } else if (thread.takeBack(task)) {
      if (thread.load === 0) this.#crew.rest(thread);
    } else {
      // What it is at cannot be stopped in any other way.
      this.#queue.putBack(this.#crew.dismiss(thread, 'a task that it ran was aborted'));
      this.#crew.fillUp();
    }
    this.#reject(task, new AbortError(task.signal?.reason));
    // It may have been in the way of others.
    this.#advance();
  }

  #ended(thread: PoolThread, { error, wasUp, started, given }: ThreadEnd): void {
    const crew = this.#crew;
    // One that was ended by the pool is no failure, and one that a task has ended says nothing of the next one.
    const died = crew.remove(thread, started.length === 0, this.#pending > 0);
    const again: Task[] = given.filter((task) => !task.settled);
    for (const task of started) {
      if (task.settled) continue;
      task.losses++;
      if (!this.#closed && this.#settings.onCrash === 'retry' && task.losses <= MOST_LOSSES) again.push(task);
      else this.#reject(task, error);
    }
    if (crew.over) for (const task of again) this.#reject(task, error);
    else this.#queue.putBack(again);
    if (died) {
      if (DIED.listened) DIED.tell({ pool: this, threadId: thread.threadId, wasUp, error });
      this.#failed(error, wasUp);
    }
    if (!crew.over && (!this.#closed || this.#queue.size > 0)) {
      if (wasUp) crew.fillUp();
      this.#advance();
    }
    this.#lookAtIdle();
  }

  #failed(error: TcpshmError, wasUp: boolean): void {
    // If none can be started, nobody will ever run what waits.
    if (!wasUp && !this.#crew.promising) this.#rejectWaiting(error);
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }

  #reject(task: Task, error: unknown): void {
    if (task.reject(error)) this.#settled(1);
  }

  #settled(count: number): void {
    this.#completed += count;
    this.#pending -= count;
    this.#lookAtIdle();
  }

  #lookAtIdle(): void {
    if (this.#pending > 0) return;
    this.#crew.keep(false);
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #lookAtDrain(): void {
    const full = this.#pending >= this.#capacity;
    if (full === this.#needsDrain) return;
    this.#needsDrain = full;
    if (this.listenerCount(full ? 'needsDrain' : 'drain') > 0)
      queueMicrotask(() => this.emit(full ? 'needsDrain' : 'drain'));
  }

  #idle(): Promise<void> {
    return this.#pending === 0
      ? Promise.resolve()
      : new Promise((resolve) => {
          this.#whenIdle.push(resolve);
        });
  }

  /** Rejects what has not started. */
  #dropWaiting(): void {
    this.#queue.putBack(this.#crew.takeAll());
    this.#rejectWaiting(new TcpshmError('ERR_CLOSED', 'the pool was closed before the task could run'));
  }

  #rejectWaiting(error: TcpshmError): void {
    for (let task = this.#queue.shift(); task !== null; task = this.#queue.shift()) this.#reject(task, error);
  }

  #end(): Promise<void> {
    return this.#crew.end(new TcpshmError('ERR_CLOSED', 'the pool was destroyed while the task ran'));
  }
}

const NOTHING: readonly unknown[] = [];
