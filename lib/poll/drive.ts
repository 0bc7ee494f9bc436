import { setImmediate as nextTurn } from 'node:timers/promises';
import { TcpshmError } from '../errors.js';
import { abortSignal, flag } from '../options.js';
import { type IdleOptions, type IdleStrategy, Idling } from './idling.js';
import type { Service } from './service.js';
import { drained } from './turns.js';
import type { Waker } from './waker.js';

/** How `run` waits, and until when. */
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

/** A driver at work: resolves when it has stopped, rejects when a handler throws. */
export interface Run extends Promise<void>, AsyncDisposable {
  /** Stops it. Gives the same promise. With `busy` only a handler can, as nothing else gets to run. */
  stop(): Promise<void>;
}

/** What can be driven. */
export interface Pollable {
  readonly closed: boolean;
  readonly waker: Waker;
  /** Whether it keeps the process alive while it sleeps. */
  readonly alive: boolean;
  /** Messages, of whatever transport. True if anything moved. */
  pollMessages(now: number): boolean;
  /** What its polls do for its connections. */
  readonly service: Service;
  /** Logins, and the liveness of shared segments. */
  pollControl(now: number): void;
  /** Gets ready to sleep, and gives for how many milliseconds at most: 0 when there is something to do. */
  park(now: number): number;
}

/** Most polls between two turns of the event loop. */
const POLLS_PER_TURN = 200;
/** Polls for messages between two readings of the clock, which serve logins and liveness: it costs more than they. */
const POLLS_PER_CLOCK = 50;
/** One that has settled promises counts as so many more: what they go on with takes its time, up to 256 values of a loop. */
const POLLS_OF_SETTLED = 32;
/** So often one that sleeps with the whole thread lets the event loop turn. */
const BLOCK_MS = 100;

/** Polls until stopped: resolves when the signal aborts or what is driven was closed, rejects when a handler throws. */
export function drive(subject: Pollable, options: RunOptions = {}): Run {
  let over = false;
  const running = pollOn(subject, options, () => over);
  return asRun(running, () => {
    over = true;
    subject.waker.wake();
  });
}

/** A run that could not begin. */
export function failedRun(error: unknown): Run {
  return asRun(Promise.reject(error), () => {});
}

function asRun(running: Promise<void>, end: () => void): Run {
  const stop = (): Promise<void> => {
    end();
    return running;
  };
  return Object.assign(running, { stop, [Symbol.asyncDispose]: stop });
}

async function pollOn(subject: Pollable, options: RunOptions, over: () => boolean): Promise<void> {
  if (subject.closed) throw new TcpshmError('ERR_CLOSED', 'what is closed cannot run');
  const idling = new Idling(options.idle);
  const blocking = flag(options.blocking, 'blocking', false);
  const signal = abortSignal(options.signal);
  const { waker, service } = subject;
  const stopped = (): boolean => subject.closed || signal?.aborted === true || over();
  const wake = (): void => waker.wake();
  signal?.addEventListener('abort', wake);
  try {
    let polls = 0;
    /** Of the event loop; and whether something has moved since, of which its turn may make something. */
    let turnedAt = performance.now();
    let fresh = true;
    /** Whether what has woken it is still to be taken. */
    let untaken = false;
    while (!stopped()) {
      const now = performance.now();
      let moved = false;
      // Messages first: who was woken was woken for them.
      for (let i = 0; i < POLLS_PER_CLOCK && !subject.closed; i++) {
        polls++;
        if (subject.pollMessages(now)) moved = true;
        else if (idling.hasty) break;
        // What awaits a message goes on at once, with 'busy' too.
        if (service.takeSettled()) {
          await drained();
          i += POLLS_OF_SETTLED;
          polls += POLLS_OF_SETTLED;
        }
      }
      if (service.awaited) await null;
      if (stopped()) return;
      subject.pollControl(now);
      if (stopped()) return;
      if (moved) fresh = true;
      const idle = idling.next(moved, now);
      if (idle === 'busy' || (idle !== 'park' && polls < POLLS_PER_TURN)) continue;
      polls = 0;
      if (idle === 'park' && !(blocking && fresh)) {
        if (untaken) waker.take();
        untaken = false;
        const ms = subject.park(now);
        if (ms > 0) {
          const woken = blocking ? waker.block(Math.min(ms, BLOCK_MS)) : await waker.sleep(ms, subject.alive);
          if (stopped()) return;
          if (woken) untaken = service.rouse();
          if (woken && !untaken) waker.take();
          if (!blocking || (woken && now - turnedAt < BLOCK_MS)) continue;
        }
      }
      await nextTurn();
      turnedAt = performance.now();
      fresh = false;
    }
  } finally {
    signal?.removeEventListener('abort', wake);
  }
}
