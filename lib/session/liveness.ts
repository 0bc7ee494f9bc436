/** When to speak and when to give up. */
export interface LivenessOptions {
  /** A side that has sent nothing for so long sends a heartbeat. */
  readonly heartbeatIntervalMs: number;
  /** A side that has received nothing for so long takes the other one for dead. */
  readonly connectionTimeoutMs: number;
  /** Heartbeats of the other side within `connectionTimeoutMs`: more are too many. Default: any number. */
  readonly maxHeartbeats?: number;
  /** A connection over which no message has gone for so long is idle. Default: never. */
  readonly idleTimeoutMs?: number;
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
  readonly #maxHeartbeats: number;
  #heartbeats = 0;
  /** Since when they are counted. */
  #countedFrom = Number.NEGATIVE_INFINITY;

  /** Since when nothing had come when this began: known where it goes on with a connection of another clock. */
  #silentMs = 0;

  /**
   * With `silentMs`, goes on with a connection on which nothing had come for so long, by another clock; a heartbeat is
   * due at once then, as nobody could send any on the way from the one to the other.
   */
  constructor(options: LivenessOptions, silentMs: number | null = null) {
    this.#heartbeatIntervalMs = options.heartbeatIntervalMs;
    this.#connectionTimeoutMs = options.connectionTimeoutMs;
    this.#maxHeartbeats = options.maxHeartbeats ?? Number.POSITIVE_INFINITY;
    if (silentMs === null) return;
    this.#silentMs = silentMs;
    this.#lastSent = Number.NEGATIVE_INFINITY;
  }

  /** For how long nothing has come. */
  silence(now: number): number {
    return Number.isNaN(this.#lastReceived) ? this.#silentMs : now - this.#lastReceived;
  }

  received(now: number): void {
    this.#lastReceived = now;
  }

  /** A heartbeat has come. False if there were too many. */
  heartbeat(now: number): boolean {
    if (now - this.#countedFrom >= this.#connectionTimeoutMs) {
      this.#countedFrom = now;
      this.#heartbeats = 0;
    }
    return ++this.#heartbeats <= this.#maxHeartbeats;
  }

  sent(now: number): void {
    this.#lastSent = now;
  }

  /** To be asked after all input that has arrived was taken. */
  check(now: number): 'fine' | 'heartbeat due' | 'timed out' {
    if (Number.isNaN(this.#lastReceived)) this.#lastReceived = now - this.#silentMs;
    if (Number.isNaN(this.#lastSent)) this.#lastSent = now;
    if (now - this.#lastReceived >= this.#connectionTimeoutMs) return 'timed out';
    return now - this.#lastSent >= this.#heartbeatIntervalMs ? 'heartbeat due' : 'fine';
  }
}
