import { setImmediate as nextTurn } from 'node:timers/promises';
import { TcpshmError } from '../errors.js';
import { flag } from '../options.js';
import { type IdleOptions, type IdleStrategy, Idling } from './idling.js';
import type { Waker } from './waker.js';

export interface RunOptions {
  /** What to do when nothing moves. Default 'backoff'. */
  readonly idle?: IdleStrategy | IdleOptions;
  /**
   * Sleeps with the whole thread rather than in its event loop: for a thread that does nothing else. It wakes a little
   * faster; timers and I/O of the application wait until it does, at least some times a second. Default false.
   */
  readonly blocking?: boolean;
  /** Stops the driver. With `busy` only a handler can abort it, as nothing else gets to run. */
  readonly signal?: AbortSignal;
}

/** What can be driven. */
export interface Pollable {
  readonly closed: boolean;
  readonly waker: Waker;
  /** Whether it keeps the process alive while it sleeps. */
  readonly alive: boolean;
  /** Messages, of whatever transport. True if anything moved. */
  pollMessages(now: number): boolean;
  /** Logins, and the liveness of shared segments. */
  pollControl(now: number): void;
  /** Gets ready to sleep, and gives for how many milliseconds at most: 0 when there is something to do. */
  park(now: number): number;
}

/** Most polls between two turns of the event loop. */
const POLLS_PER_TURN = 200;
/** Polls for messages between two readings of the clock, which serve logins and liveness: it costs more than they. */
const POLLS_PER_CLOCK = 50;
/** So often one that sleeps with the whole thread lets the event loop turn. */
const BLOCK_MS = 100;

/** Polls until stopped: resolves when the signal aborts or what is driven was closed, rejects when a handler throws. */
export async function drive(subject: Pollable, options: RunOptions = {}): Promise<void> {
  const idling = new Idling(options.idle);
  const blocking = flag(options.blocking, 'blocking', false);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TcpshmError('ERR_OPTION', `signal must be an AbortSignal, got ${typeof signal}`);
  }
  const { waker } = subject;
  const stopped = (): boolean => subject.closed || signal?.aborted === true;
  const wake = (): void => waker.wake();
  signal?.addEventListener('abort', wake);
  try {
    let polls = 0;
    while (!stopped()) {
      const now = performance.now();
      subject.pollControl(now);
      let moved = false;
      for (let i = 0; i < POLLS_PER_CLOCK && !subject.closed; i++) {
        if (subject.pollMessages(now)) moved = true;
      }
      if (stopped()) return;
      polls += POLLS_PER_CLOCK;
      const idle = idling.next(moved, now);
      if (idle === 'busy' || (idle === 'spin' && polls < POLLS_PER_TURN)) continue;
      polls = 0;
      const ms = idle === 'park' ? subject.park(now) : 0;
      if (ms > 0 && blocking) waker.block(Math.min(ms, BLOCK_MS));
      if (ms > 0 && !blocking) await waker.sleep(ms, subject.alive);
      else await nextTurn();
    }
  } finally {
    signal?.removeEventListener('abort', wake);
  }
}
