import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { RingChannel } from '../channel/ringChannel.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { Inbox } from '../port/inbox.js';
import { Outbox } from '../port/outbox.js';
import { Scratch } from '../port/scratch.js';
import { structured } from '../port/structured.js';
import { type DrivenEnd, driveEnd, refChanged, stirEnd, undriveEnd } from '../port/threadDriver.js';
import { detachBuffers } from '../port/transfer.js';
import { type PlainError, revivedError } from '../thread/plainError.js';
import { SoloThread, type SoloThreadOptions } from '../thread/soloThread.js';
import type { HandlerNumbers } from './handlerNumbers.js';
import { Claim, FromThread, type PoolWork, SLOTS, slotOf, sortOf, ToThread, tagFor } from './protocol.js';
import type { PoolTask } from './task.js';

const MAIN = fileURLToPath(new URL('./threadMain.js', import.meta.url));

/** So much work a thread is given ahead, in milliseconds, by how long its tasks took. */
const AHEAD_MS = 1;
const MOST_AHEAD = 1024;
/** A thread that has not come to the end of a task for so long may keep others from running that were given to it. */
const STALLED_MS = 5;
/** How much the last tasks count in how long tasks take. */
const SHARE = 0.25;
/** Results that are taken before promises have their turn. */
const RESULTS_PER_POLL = 128;

/** As the threads of a pool have it. */
export type Task = PoolTask<PoolThread>;

export interface PoolThreadSettings {
  readonly handlers: HandlerNumbers;
  readonly concurrency: number;
  readonly capacityBytes: number;
  readonly solo: Omit<SoloThreadOptions, 'filename' | 'name'>;
}

export interface PoolThreadListener {
  /** It can be given tasks. */
  up(thread: PoolThread): void;
  /** So many tasks were settled. */
  settled(count: number): void;
  /** Some tasks are over: it can be given others. */
  advanced(thread: PoolThread): void;
  /**
   * It has ended, and is of no use any more: with the tasks that it had started, and those that it had not. `wasUp` tells
   * whether it could be given tasks before.
   */
  ended(thread: PoolThread, end: ThreadEnd): void;
  /** What it has posted to its parent. */
  message(value: unknown): void;
}

export interface ThreadEnd {
  readonly error: TcpshmError;
  readonly wasUp: boolean;
  readonly started: readonly Task[];
  readonly given: readonly Task[];
}

/** A thread of a pool, from its start to its end, as the pool has it: tasks go in, and are settled with what comes out. */
export class PoolThread implements DrivenEnd {
  readonly connection: Connection;
  readonly delivers = true;
  readonly #settings: PoolThreadSettings;
  readonly #listener: PoolThreadListener;
  readonly #channel: RingChannel;
  readonly #solo: SoloThread;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #scratch = new Scratch();
  readonly #claims = new Int32Array(new SharedArrayBuffer(4 * SLOTS));
  readonly #tasks: (Task | null)[] = new Array<Task | null>(SLOTS).fill(null);
  readonly #free: number[] = [];
  /** Slots of tasks that were taken back, and that the thread has not met yet. */
  #takenBack: number[] = [];
  /** Handlers up to this number are known there. */
  #told = 1;
  #state: 'starting' | 'up' | 'ended' = 'starting';
  #threadId = 0;
  #load = 0;
  /** How long a task takes, in milliseconds; NaN until one has. */
  #taskMs = Number.NaN;
  /** Since when it is at what it is at. */
  #since = performance.now();
  #busyMs = 0;
  #ending: Promise<void> | null = null;
  #why: TcpshmError | null = null;
  thread: Worker | null = null;
  /** It has a task that is to run alone. */
  exclusive = false;

  constructor(settings: PoolThreadSettings, listener: PoolThreadListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#channel = new RingChannel({ capacityBytes: settings.capacityBytes });
    this.connection = this.#channel.local;
    this.#outbox = new Outbox(this.connection, structured, this.#scratch, []);
    this.#inbox = new Inbox(this.connection, structured, this.#scratch);
    this.#solo = new SoloThread({ filename: MAIN, name: 'beginPool', ...settings.solo }, (value) =>
      listener.message(value),
    );
    for (let slot = SLOTS - 1; slot >= 0; slot--) this.#free.push(slot);
    driveEnd(this);
    void this.#live();
  }

  /** The id that it has, or had; 0 if it never came to be. */
  get threadId(): number {
    return this.#threadId;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  get starting(): boolean {
    return this.#state === 'starting';
  }

  /** Tasks that it has. */
  get load(): number {
    return this.#load;
  }

  /** Tasks among them that cannot have started. */
  get ahead(): number {
    return Math.max(0, this.#load - this.#settings.concurrency);
  }

  /** Whether it has as many tasks as it should have. */
  get full(): boolean {
    if (this.#state !== 'up') return true;
    const { concurrency } = this.#settings;
    if (this.#load < concurrency) return false;
    if (Number.isNaN(this.#taskMs) || this.#free.length === 0 || this.stalled) return true;
    return this.#load >= concurrency + Math.min(MOST_AHEAD, Math.floor(AHEAD_MS / this.#taskMs));
  }

  /** Whether what it was given ahead had better run elsewhere. */
  get stalled(): boolean {
    return performance.now() - this.#since >= STALLED_MS;
  }

  /** When it last came to the end of a task, or began. */
  get since(): number {
    return this.#since;
  }

  /** Whether it has come to the end of a task. */
  get proven(): boolean {
    return !Number.isNaN(this.#taskMs);
  }

  /** Milliseconds in which it had tasks. */
  get busyMs(): number {
    return this.#load === 0 ? this.#busyMs : this.#busyMs + performance.now() - this.#since;
  }

  get refed(): boolean {
    return this.#load > 0;
  }

  /** Gives it a task. Throws ERR_CODEC when that cannot be sent: then it does not have it. */
  give(task: Task): void {
    const slot = this.#free.pop() as number;
    this.#tell(task.handler);
    // GIVE; observed by the thread when it claims it, after the task came through the ring.
    Atomics.store(this.#claims, slot, Claim.given);
    try {
      this.#send(task, slot);
    } catch (error) {
      Atomics.store(this.#claims, slot, Claim.free);
      this.#free.push(slot);
      throw error;
    }
    task.thread = this;
    task.slot = slot;
    this.#tasks[slot] = task;
    if (this.#load++ === 0) {
      this.#since = performance.now();
      refChanged();
    }
    stirEnd(this);
  }

  /** Takes a task back, if the thread has not started it. */
  takeBack(task: Task): boolean {
    const { slot } = task;
    if (Atomics.compareExchange(this.#claims, slot, Claim.given, Claim.takenBack) !== Claim.given)
      return false;
    this.#takenBack.push(slot);
    this.#forget(task);
    return true;
  }

  /** Takes back so many of the tasks that it has not started, the youngest ones. */
  takeBackSome(count: number): Task[] {
    const tasks = this.#held.sort((a, b) => b.number - a.number);
    const taken: Task[] = [];
    for (const task of tasks) {
      if (taken.length === count) break;
      if (this.takeBack(task)) taken.push(task);
    }
    return taken;
  }

  /** Ends it, whatever it is at. Resolves when it has ended, after `ended` was called. */
  end(why: TcpshmError): Promise<void> {
    this.#why ??= why;
    this.#ending ??= this.#solo.destroy();
    return this.#over;
  }

  poll(): boolean {
    let moved = this.#outbox.flush();
    if (this.#takeResults(RESULTS_PER_POLL)) {
      moved = true;
      this.#listener.advanced(this);
    }
    return moved;
  }

  #isOver: () => void = () => {};
  readonly #over = new Promise<void>((resolve) => {
    this.#isOver = resolve;
  });

  async #live(): Promise<void> {
    const { handlers, concurrency } = this.#settings;
    const handler = handlers.main;
    let cause: unknown;
    try {
      await this.#solo.load();
      if (this.#why !== null) throw this.#why;
      const work: PoolWork = { handle: this.#channel.remote, claims: this.#claims, handler, concurrency };
      const { task, gone, thread } = this.#solo.begin(work);
      this.thread = thread;
      this.#threadId = thread?.threadId ?? 0;
      const begun = task.then(
        () => true,
        (error: unknown) => {
          cause = error;
          return false;
        },
      );
      const began = await Promise.race([begun, gone.then(() => false)]);
      if (began && this.#why === null) {
        this.#state = 'up';
        this.#since = performance.now();
        this.#listener.up(this);
      } else {
        await this.#solo.destroy();
      }
      const code = await gone;
      cause ??= this.#solo.failure ?? new Error(`the thread has ended with exit code ${code}`);
    } catch (error) {
      cause = error;
    }
    this.#finish(cause);
  }

  #finish(cause: unknown): void {
    const wasUp = this.#state === 'up';
    // What it has sent before its end counts.
    if (wasUp) this.#takeResults(Number.POSITIVE_INFINITY);
    this.#state = 'ended';
    undriveEnd(this);
    const started: Task[] = [];
    const given: Task[] = [];
    for (const task of this.#held.sort((a, b) => a.number - b.number)) {
      const claim = Atomics.load(this.#claims, task.slot);
      (claim === Claim.started ? started : given).push(task);
      this.#forget(task);
    }
    this.connection.close();
    const what = wasUp ? 'has ended' : 'could not be started';
    const error =
      this.#why ??
      new TcpshmError('ERR_WORKER', `a thread of the pool ${what}: ${(cause as Error).message}`, cause);
    this.#listener.ended(this, { error, wasUp, started, given });
    this.#isOver();
  }

  get #held(): Task[] {
    return this.#tasks.filter((task) => task !== null);
  }

  /** False when there were none. */
  #takeResults(limit: number): boolean {
    let count = 0;
    let settled = 0;
    for (; count < limit && this.#inbox.next(); count++) if (this.#settle()) settled++;
    if (count === 0) return false;
    const now = performance.now();
    const each = (now - this.#since) / count;
    this.#taskMs = Number.isNaN(this.#taskMs) ? each : this.#taskMs + SHARE * (each - this.#taskMs);
    this.#busyMs += now - this.#since;
    this.#since = now;
    if (this.#takenBack.length > 0) this.#takenBack = this.#takenBack.filter((slot) => !this.#freed(slot));
    if (settled > 0) this.#listener.settled(settled);
    return true;
  }

  #freed(slot: number): boolean {
    if (Atomics.load(this.#claims, slot) !== Claim.free) return false;
    this.#free.push(slot);
    return true;
  }

  #settle(): boolean {
    const { tag, value, error } = this.#inbox;
    const slot = slotOf(tag);
    const task = this.#tasks[slot] ?? null;
    this.#inbox.value = undefined;
    if (task === null) return false;
    this.#forget(task);
    this.#free.push(slot);
    if (error !== null) return task.reject(error);
    if (sortOf(tag) === FromThread.result) return task.resolve(value);
    return task.reject(sortOf(tag) === FromThread.error ? revivedError(value as PlainError) : value);
  }

  #forget(task: Task): void {
    this.#tasks[task.slot] = null;
    task.thread = null;
    if (--this.#load === 0) refChanged();
  }

  /** Tells the thread what the number of a handler stands for. */
  #tell(number: number): void {
    const { handlers } = this.#settings;
    for (; this.#told <= number; this.#told++) {
      this.#outbox.post(handlers.at(this.#told), tagFor(ToThread.handler, 0));
    }
  }

  #send(task: Task, slot: number): void {
    const number = task.handler;
    const tag = tagFor(number === 0 ? ToThread.task : ToThread.named, slot);
    if (task.bytes !== null) {
      this.#outbox.postBytes(task.bytes, tag);
      return;
    }
    const value = number === 0 ? task.value : [number, task.value];
    if (task.transferList.length === 0) {
      this.#outbox.post(value, tag);
      return;
    }
    // Another thread may have to be given it after this one, when the value is gone here.
    const bytes = this.#scratch.encode(structured, value);
    detachBuffers(task.transferList);
    task.bytes = bytes;
    this.#outbox.postBytes(bytes, tag);
  }
}
