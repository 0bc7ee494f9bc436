import { type ErrorCode, TcpshmError } from '../errors.js';

/** How long to wait between attempts to connect again. Times are in milliseconds of the clock that `poll` is given. */
export interface BackoffOptions {
  /** Longest delay before the first attempt. Default 100. */
  readonly initialDelayMs?: number;
  /** No delay is longer. Default 30000. */
  readonly maxDelayMs?: number;
  /** Each delay is so many times the one before, at least 1. Default 2. */
  readonly factor?: number;
  /**
   * The share of each delay, from 0 to 1, that is left to chance, so that clients that lost the same server do not all
   * come back at once: a delay of 100 with 0.5 is one between 50 and 100. Default 0.5.
   */
  readonly jitter?: number;
  /** Attempts after the end of a connection before it is given up. Default: no limit. */
  readonly maxAttempts?: number;
}

export type BackoffSettings = Required<BackoffOptions>;

const DEFAULTS: BackoffSettings = {
  initialDelayMs: 100,
  maxDelayMs: 30_000,
  factor: 2,
  jitter: 0.5,
  maxAttempts: Number.POSITIVE_INFINITY,
};

/** What may be otherwise at the next attempt. All else stays as it is until somebody changes something. */
const PASSING: readonly ErrorCode[] = [
  'ERR_ALREADY_CONNECTED',
  'ERR_CONNECT',
  'ERR_FILE',
  'ERR_LOGIN_TIMEOUT',
  'ERR_NO_SPACE',
  'ERR_SYSTEM',
];

/** Whether a login that was refused with this code may be let in at the next attempt. */
export function mayPass(code: ErrorCode): boolean {
  return PASSING.includes(code);
}

/** Checks the option and fills in what was left out; null for off. Throws ERR_OPTION. */
export function backoffSettings(option: unknown): BackoffSettings | null {
  if (option === undefined || option === false) return null;
  if (option === true) return DEFAULTS;
  if (typeof option !== 'object' || option === null || Array.isArray(option)) {
    throw new TcpshmError('ERR_OPTION', `reconnect must be true, false or options, got ${String(option)}`);
  }
  const given = option as Record<string, unknown>;
  for (const key of Object.keys(given)) {
    if (key in DEFAULTS) continue;
    const known = Object.keys(DEFAULTS).join(', ');
    throw new TcpshmError('ERR_OPTION', `reconnect has the options ${known}, got ${JSON.stringify(key)}`);
  }
  const number = (key: keyof BackoffSettings, expected: string, fits: (n: number) => boolean): number => {
    const value = given[key];
    if (value === undefined) return DEFAULTS[key];
    if (typeof value === 'number' && fits(value)) return value;
    throw new TcpshmError('ERR_OPTION', `reconnect.${key} must be ${expected}, got ${String(value)}`);
  };
  const duration = (n: number): boolean => Number.isFinite(n) && n > 0;
  const settings = {
    initialDelayMs: number('initialDelayMs', 'a positive number of milliseconds', duration),
    maxDelayMs: number('maxDelayMs', 'a positive number of milliseconds', duration),
    factor: number('factor', 'a number of at least 1', (n) => Number.isFinite(n) && n >= 1),
    jitter: number('jitter', 'a number from 0 to 1', (n) => n >= 0 && n <= 1),
    maxAttempts: number('maxAttempts', 'an integer of at least 1', (n) => Number.isSafeInteger(n) && n >= 1),
  };
  if (settings.initialDelayMs > settings.maxDelayMs) {
    throw new TcpshmError(
      'ERR_OPTION',
      'reconnect.initialDelayMs must not be greater than maxDelayMs,' +
        ` got ${settings.initialDelayMs} and ${settings.maxDelayMs}`,
    );
  }
  return settings;
}

/**
 * The delay before an attempt, of which the first is 1: exponential, capped, less a random part. `random` is from 0 to
 * 1. After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): jitter 1 is its full, 0.5 its equal jitter.
 */
export function delayBefore(attempt: number, settings: BackoffSettings, random: number): number {
  const { initialDelayMs, maxDelayMs, factor, jitter } = settings;
  return Math.min(initialDelayMs * factor ** (attempt - 1), maxDelayMs) * (1 - jitter * random);
}

/** Decides when the next attempt is due, from the end of a connection until there is one again. */
export class Backoff {
  readonly #settings: BackoffSettings;
  #attempts = 0;
  #delayMs: number;
  /** NaN until the clock was seen: the first look starts the delay, as that of {@link Liveness} does. */
  #dueAt = Number.NaN;

  constructor(settings: BackoffSettings, random: number) {
    this.#settings = settings;
    this.#delayMs = delayBefore(1, settings, random);
  }

  /** Whether it is time for the next attempt. */
  due(now: number): boolean {
    if (Number.isNaN(this.#dueAt)) this.#dueAt = now + this.#delayMs;
    return now >= this.#dueAt;
  }

  /** An attempt begins: its number. */
  begin(): number {
    return ++this.#attempts;
  }

  /** The attempt failed: the delay until the next one, or null if there is no use in one or no more are allowed. */
  failed(code: ErrorCode, random: number): number | null {
    if (!mayPass(code) || this.#attempts >= this.#settings.maxAttempts) return null;
    this.#delayMs = delayBefore(this.#attempts + 1, this.#settings, random);
    this.#dueAt = Number.NaN;
    return this.#delayMs;
  }
}
