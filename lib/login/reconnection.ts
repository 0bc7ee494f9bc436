import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { Backoff, type BackoffSettings } from '../session/backoff.js';
import type { DisconnectReason } from '../session/disconnect.js';
import type { Target } from './dial.js';

/** What became of an attempt to connect again. The first after the end of a connection has the number 1. */
export type ReconnectAttempt =
  | { readonly outcome: 'connected'; readonly number: number; readonly connection: Connection }
  /** The next attempt comes after this delay, from this call on. */
  | {
      readonly outcome: 'failed';
      readonly number: number;
      readonly error: TcpshmError;
      readonly delayMs: number;
    }
  /** There will be no next one: the error does not pass by itself, or this was the last attempt that is allowed. */
  | { readonly outcome: 'given up'; readonly number: number; readonly error: TcpshmError };

/** An attempt to connect again: under way, or over and not reported yet. */
export interface Attempt {
  readonly number: number;
  result: Connection | TcpshmError | null;
  /** What a handler of the user threw meanwhile, to be thrown by the next poll. */
  readonly thrown: unknown[];
  stopped: boolean;
  done: Promise<void>;
}

/** Ends that would come again. */
const FINAL: readonly DisconnectReason[] = ['idle', 'protocol violated', 'taken over', 'memory lost'];

/** When a client connects again by itself, and what it tells of that. */
export class Reconnection {
  /** Null where a client does not connect again. */
  readonly #settings: BackoffSettings | null;
  readonly #open: (target: Target, attempt: Attempt) => Promise<Connection>;
  readonly #tell: (attempt: ReconnectAttempt) => void;
  /** What to connect to again when the connection ends. */
  #target: Target | null = null;
  /** Set from the end of a connection until there is one again, or it was given up. */
  #backoff: Backoff | null = null;
  #attempt: Attempt | null = null;

  /** `open` stops with an error as soon as its attempt was stopped. */
  constructor(
    settings: BackoffSettings | null,
    open: (target: Target, attempt: Attempt) => Promise<Connection>,
    tell: (attempt: ReconnectAttempt) => void,
  ) {
    this.#settings = settings;
    this.#open = open;
    this.#tell = tell;
  }

  /** Whether an attempt is under way. */
  get trying(): boolean {
    return this.#attempt !== null;
  }

  /** There is a connection, by an attempt or by the user. */
  connected(target: Target, connection: Connection, attempt: Attempt | null): void {
    this.#target = target;
    if (attempt !== null) attempt.result = connection;
  }

  /** The connection has ended: the delay counts from the next `look` or `poll` on. */
  ended(reason: DisconnectReason): void {
    if (this.#settings === null || this.#target === null || FINAL.includes(reason)) return;
    this.#backoff = new Backoff(this.#settings, Math.random());
  }

  /** Shows it the time. */
  look(now: number): void {
    this.#backoff?.due(now);
  }

  /** Begins an attempt when one is due. */
  poll(now: number): void {
    if (this.#backoff === null || this.#attempt !== null || !this.#backoff.due(now)) return;
    const attempt: Attempt = {
      number: this.#backoff.begin(),
      result: null,
      thrown: [],
      stopped: false,
      done: Promise.resolve(),
    };
    this.#attempt = attempt;
    attempt.done = this.#open(this.#target as Target, attempt).then(
      () => {},
      (error: Error) => {
        attempt.result =
          error instanceof TcpshmError
            ? error
            : new TcpshmError('ERR_CONNECT', `the login failed: ${error.message}`, error);
      },
    );
  }

  /** Tells of the attempt that has ended, if one has. */
  report(): void {
    const attempt = this.#attempt;
    if (attempt === null || attempt.result === null) return;
    if (attempt.thrown.length > 0) throw attempt.thrown.pop();
    const { number, result } = attempt;
    this.#attempt = null;
    if (!(result instanceof TcpshmError)) {
      this.#backoff = null;
      this.#tell({ outcome: 'connected', number, connection: result });
      return;
    }
    const delayMs = this.#backoff?.failed(result.code, Math.random()) ?? null;
    if (delayMs === null) {
      this.stop();
      this.#tell({ outcome: 'given up', number, error: result });
    } else {
      this.#tell({ outcome: 'failed', number, error: result, delayMs });
    }
  }

  /** No attempts from here on. Null, or a promise, never rejected, for the end of the one that is under way. */
  stop(): Promise<void> | null {
    this.#target = null;
    this.#backoff = null;
    const attempt = this.#attempt;
    // One that was successful will still be told of.
    if (attempt === null || (attempt.result !== null && !(attempt.result instanceof TcpshmError)))
      return null;
    attempt.stopped = true;
    this.#attempt = null;
    return attempt.done;
  }
}
