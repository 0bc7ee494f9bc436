import { TcpshmError } from '../errors.js';
import { checkOptions, choice } from '../options.js';

/**
 * What a driver does when nothing moves:
 *
 * - `busy` polls on, and never returns to the event loop until it is stopped, from a handler or by closing what it
 *   drives: the lowest latency, for a thread of its own;
 * - `yield` polls some hundred times, then lets the event loop turn;
 * - `backoff` (the default) polls for a while, lets the event loop turn for a while, then sleeps;
 * - `park` sleeps as soon as a poll finds nothing.
 *
 * Who sleeps is woken by the next message; a sleeping processor takes about 50 µs for that.
 */
export const IDLE_STRATEGIES = ['busy', 'yield', 'backoff', 'park'] as const;
/** One of {@link IDLE_STRATEGIES}. */
export type IdleStrategy = (typeof IDLE_STRATEGIES)[number];

/** The same with the times of `backoff`, from the last time that something moved. */
export interface IdleOptions {
  readonly strategy: IdleStrategy;
  /** So long it polls without letting the event loop turn, in milliseconds. Default 0.05. */
  readonly spinMs?: number;
  /** So long after that it polls and lets the event loop turn, before it sleeps. Default 1. */
  readonly yieldMs?: number;
}

export type Idle = 'busy' | 'spin' | 'yield' | 'park';

/** Decides what to do next, from whether something moved and the time: pure. */
export class Idling {
  readonly #strategy: IdleStrategy;
  readonly #spinMs: number;
  readonly #yieldMs: number;
  #movedAt = Number.NaN;
  #slept = false;

  /** Throws ERR_OPTION. */
  constructor(options: IdleStrategy | IdleOptions = 'backoff') {
    const given: IdleOptions = typeof options === 'string' ? { strategy: options } : options;
    checkOptions(given);
    this.#strategy = choice(given.strategy, 'idle', IDLE_STRATEGIES) ?? 'backoff';
    this.#spinMs = time(given.spinMs, 'idle.spinMs', 0.05);
    this.#yieldMs = time(given.yieldMs, 'idle.yieldMs', 1);
  }

  /** Whether one poll in which nothing moves is enough to know: for who is to sleep then, or has just slept. */
  get hasty(): boolean {
    return this.#strategy === 'park' || this.#slept;
  }

  /** What to do after some polls. `now` in milliseconds. */
  next(moved: boolean, now: number): Idle {
    const idle = this.#decide(moved, now);
    this.#slept = idle === 'park';
    return idle;
  }

  #decide(moved: boolean, now: number): Idle {
    if (this.#strategy === 'busy' || this.#strategy === 'yield') return this.#strategy;
    if (this.#strategy === 'park') return moved ? 'spin' : 'park';
    if (moved || Number.isNaN(this.#movedAt)) this.#movedAt = now;
    const idleMs = now - this.#movedAt;
    if (idleMs < this.#spinMs) return 'spin';
    return idleMs < this.#spinMs + this.#yieldMs ? 'yield' : 'park';
  }
}

function time(value: unknown, what: string, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new TcpshmError('ERR_OPTION', `${what} must be a number of milliseconds, got ${String(value)}`);
}
