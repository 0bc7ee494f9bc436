import type { Connection } from '../connection/connection.js';
import { defaultSharedDirectory } from '../options.js';
import { Polled, RESTLESS_MS } from '../poll/polled.js';
import { drained } from '../poll/turns.js';
import { Waker } from '../poll/waker.js';

/** An end of shared memory that lives in the event loop of its thread. */
export interface DrivenEnd {
  readonly connection: Connection;
  /** Whether it keeps the process alive. */
  readonly refed: boolean;
  /** Whether messages are to wake it. */
  readonly delivers: boolean;
  /** Moves what there is to move. True if anything moved. What it throws is an uncaught exception. */
  poll(): boolean;
}

/** So long it polls after something has moved, in milliseconds, before the event loop turns: other work waits meanwhile. */
const SPIN_MS = 0.05;
/**
 * So long it waits awake, at the most and at the least, before it sleeps: after the first time above, by a poll in each
 * turn of the event loop. At the most where that has paid; less where what it waited for came only once it slept, as it does
 * when there are more threads than processors, and this one keeps its peer from running (1300 µs for a round trip instead
 * of 100).
 */
const PATIENCE_MS = 1;
const IMPATIENCE_MS = 0.02;
/** What comes so soon after it fell asleep has been waited for in vain. */
const SOON_MS = 1;
/** After so many of those it is patient again once: its peer may just need a little longer. */
const VAIN_WAITS = 32;
/** So long it goes on while messages flow, before the event loop turns. */
const TURN_MS = 1;
/** So often those that sleep are looked at: no bell rings when the thread of a peer dies. */
const LOOK_MS = 250;
/** Polls between two readings of the clock, which takes longer than they. */
const POLLS_PER_CLOCK = 16;

/**
 * Drives the ends of this thread in its event loop, however many there are: polls those where messages flow, lets the
 * others sleep until their peers ring, all in one kernel wait. Without the native module a timer of 1 ms stands in for
 * the bells.
 *
 * Before a poll that follows one in which something moved, promises and `process.nextTick` have their turn, so that what
 * awaits a message can answer it, or listen to the next one.
 *
 * An end that is not `refed` never keeps the process alive; one that is does, as long as it is here.
 */
class ThreadDriver {
  readonly #waker = new Waker(defaultSharedDirectory());
  readonly #members = new Map<DrivenEnd, Polled>();
  /** Those that are polled. */
  #hot: DrivenEnd[] = [];
  #running = false;
  /** Something was asked for that the next look at the ends must come before. */
  #stirred = false;
  /** So long it waits awake. */
  #patienceMs = PATIENCE_MS;
  #vainWaits = 0;
  /** When it fell asleep, if nothing has come since. */
  #sleptAt = Number.NaN;

  add(end: DrivenEnd): void {
    const polled = new Polled(end.connection, 0, this.#waker, () => this.#hot.push(end));
    this.#members.set(end, polled);
    this.#hot.push(end);
    this.#start();
  }

  remove(end: DrivenEnd): void {
    this.#members.get(end)?.leave();
    this.#members.delete(end);
    this.#hot = this.#hot.filter((other) => other !== end);
    this.#waker.wake();
  }

  /** Polls it from here on, for as long as something may move: for who has asked its peer for something. */
  stir(end: DrivenEnd): void {
    this.#stirred = true;
    this.#members.get(end)?.stir();
    this.#waker.wake();
  }

  /** `refed` of an end has changed. */
  changed(): void {
    this.#waker.wake();
  }

  get #alive(): boolean {
    for (const end of this.#members.keys()) if (end.refed) return true;
    return false;
  }

  #start(): void {
    this.#waker.wake();
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    // Those that were added in one go come together.
    await drained();
    let movedAt = performance.now();
    let turnedAt = movedAt;
    while (this.#members.size > 0) {
      const moved = this.#poll();
      const now = performance.now();
      if (this.#stirred) {
        this.#stirred = false;
        this.#sleptAt = Number.NaN;
        movedAt = now;
      }
      if (moved) {
        this.#learn(now - movedAt, now);
        movedAt = now;
        await drained();
        if (now - turnedAt < TURN_MS) continue;
      }
      const waitedMs = now - movedAt;
      const patient = waitedMs < this.#patienceMs;
      if (!moved && patient && waitedMs < SPIN_MS && now - turnedAt < TURN_MS) continue;
      const alive = this.#alive;
      if (moved || (alive && patient)) await nextTurn(alive);
      else await this.#sleep(alive, now);
      turnedAt = performance.now();
    }
    this.#running = false;
  }

  /** Something has come after so long a wait: how long is the next one to be awake? */
  #learn(waitedMs: number, now: number): void {
    if (Number.isNaN(this.#sleptAt)) {
      this.#patienceMs = Math.max(this.#patienceMs, Math.min(PATIENCE_MS, 4 * waitedMs));
    } else if (now - this.#sleptAt < SOON_MS) {
      this.#vainWaits++;
      const again = this.#vainWaits % VAIN_WAITS === 0;
      this.#patienceMs = again ? PATIENCE_MS : Math.max(IMPATIENCE_MS, this.#patienceMs / 4);
    }
    this.#sleptAt = Number.NaN;
  }

  /** Some polls of those that are hot, until something moves. */
  #poll(): boolean {
    for (let i = 0; i < POLLS_PER_CLOCK; i++) {
      const { length } = this.#hot;
      if (length === 0) return false;
      let moved = false;
      for (let k = 0; k < length; k++) {
        const end = this.#hot[k];
        if (end === undefined) break;
        try {
          if (end.poll()) moved = true;
        } catch (error) {
          moved = true;
          process.nextTick(() => {
            throw error;
          });
        }
      }
      if (moved) return true;
    }
    return false;
  }

  /** Lets all become cold, and sleeps until one of them is stirred, or for as long as that can wait. */
  async #sleep(alive: boolean, now: number): Promise<void> {
    let restless = false;
    const staying: DrivenEnd[] = [];
    for (const end of this.#hot) {
      const rest = this.#members.get(end)?.cool(end.delivers);
      if (rest === 'restless') restless = true;
      if (rest === 'restless' || rest === 'stirring') staying.push(end);
    }
    this.#hot = staying;
    if (staying.length > 0 && !restless) {
      if (!alive) await nextTurn(alive);
      return;
    }
    if (!restless && Number.isNaN(this.#sleptAt)) this.#sleptAt = now;
    const woken = await this.#waker.sleep(restless ? RESTLESS_MS : LOOK_MS, alive);
    if (woken) this.#waker.take();
    else if (!restless) for (const polled of this.#members.values()) polled.stir();
  }
}

/** The one of this thread: it is made when it is first needed, and runs while it has ends. */
let driver: ThreadDriver | null = null;

/** Drives an end in this thread's event loop, from here on until `undrive`. */
export function driveEnd(end: DrivenEnd): void {
  driver ??= new ThreadDriver();
  driver.add(end);
}

export function undriveEnd(end: DrivenEnd): void {
  driver?.remove(end);
}

/** Its peer was asked for something: the answer is waited for awake. */
export function stirEnd(end: DrivenEnd): void {
  driver?.stir(end);
}

/** Its `refed` has changed. */
export function refChanged(): void {
  driver?.changed();
}

/** Lets the event loop turn. Who does not keep it alive must not hold it up either: a millisecond then, at most. */
function nextTurn(alive: boolean): Promise<void> {
  return new Promise((resolve) => {
    if (alive) {
      setImmediate(resolve);
      return;
    }
    const immediate = setImmediate(() => {
      clearTimeout(timer);
      resolve();
    }).unref();
    const timer = setTimeout(() => {
      clearImmediate(immediate);
      resolve();
    }, 1).unref();
  });
}
