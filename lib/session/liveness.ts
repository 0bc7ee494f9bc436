/** When to speak and when to give up. */
export interface LivenessOptions {
  /** A side that has sent nothing for so long sends a heartbeat. */
  readonly heartbeatIntervalMs: number;
  /** A side that has received nothing for so long takes the other one for dead. */
  readonly connectionTimeoutMs: number;
}

/**
 * Decides about heartbeats and death by the caller's clock: any milliseconds that do not go backwards. The first
 * call starts both measures, so the clock needs no relation to that of the login.
 */
export class Liveness {
  readonly #heartbeatIntervalMs: number;
  readonly #connectionTimeoutMs: number;
  #lastReceived = Number.NaN;
  #lastSent = Number.NaN;

  constructor(options: LivenessOptions) {
    this.#heartbeatIntervalMs = options.heartbeatIntervalMs;
    this.#connectionTimeoutMs = options.connectionTimeoutMs;
  }

  received(now: number): void {
    this.#lastReceived = now;
  }

  sent(now: number): void {
    this.#lastSent = now;
  }

  /** To be asked after all input that has arrived was taken. */
  check(now: number): 'fine' | 'heartbeat due' | 'timed out' {
    if (Number.isNaN(this.#lastReceived)) this.#lastReceived = now;
    if (Number.isNaN(this.#lastSent)) this.#lastSent = now;
    if (now - this.#lastReceived >= this.#connectionTimeoutMs) return 'timed out';
    return now - this.#lastSent >= this.#heartbeatIntervalMs ? 'heartbeat due' : 'fine';
  }
}
