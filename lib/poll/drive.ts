import { setImmediate as nextTurn } from 'node:timers/promises';
import { TcpshmError } from '../errors.js';
import { choice } from '../options.js';

/**
 * What a driver does when nothing moves: `busy` polls on and never returns to the event loop until it is stopped
 * (from a handler, or by closing what it drives), for the lowest latency on a thread of its own; `yield` polls some
 * hundred times, then lets the event loop turn.
 */
export const IDLE_STRATEGIES = ['busy', 'yield'] as const;
export type IdleStrategy = (typeof IDLE_STRATEGIES)[number];

export interface RunOptions {
  /** Default 'yield'. */
  readonly idle?: IdleStrategy;
  /** Stops the driver. With `busy` only a handler can abort it, as nothing else gets to run. */
  readonly signal?: AbortSignal;
}

/** What can be driven. */
export interface Pollable {
  readonly closed: boolean;
  /** Messages, of whatever transport. */
  pollMessages(now: number): void;
  /** Logins, and the liveness of shared segments. */
  pollControl(now: number): void;
}

/** Polls between two turns of the event loop. */
const POLLS_PER_TURN = 200;
/** Polls for messages between two readings of the clock, which serve logins and liveness: it costs more than they. */
const POLLS_PER_CLOCK = 50;

/** Polls until stopped: resolves when the signal aborts or what is driven was closed, rejects when a handler throws. */
export async function drive(subject: Pollable, options: RunOptions = {}): Promise<void> {
  const idle = choice(options.idle, 'idle', IDLE_STRATEGIES) ?? 'yield';
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TcpshmError('ERR_OPTION', `signal must be an AbortSignal, got ${typeof signal}`);
  }
  const stopped = (): boolean => subject.closed || signal?.aborted === true;
  while (!stopped()) {
    for (let polls = 0; polls < POLLS_PER_TURN && !stopped(); polls += POLLS_PER_CLOCK) {
      const now = performance.now();
      subject.pollControl(now);
      for (let i = 0; i < POLLS_PER_CLOCK && !subject.closed; i++) subject.pollMessages(now);
    }
    if (idle === 'yield') await nextTurn();
  }
}
