import { isIP } from 'node:net';

/** How many addresses are remembered: of one more, the oldest is forgotten. Some 100 bytes each. */
export const MAX_ORIGINS = 10_000;

/** Limits of who may begin a login. Times are of the clock that `poll` is given. */
export interface GateLimits {
  readonly maxLoginsPerSecond: number;
  /** An address from which so many logins have failed within so long is refused for the rest of that time. */
  readonly maxFailedLogins: number;
  readonly failedLoginWindowMs: number;
}

/** Decides who may begin a login now: by how many have, and by what has come from there before. */
export class Gate {
  readonly #limits: GateLimits;
  /** Failed logins by origin, those that began to fail first in front. */
  readonly #failures = new Map<string, { count: number; readonly since: number }>();
  /** Logins that may begin at once. */
  #tokens: number;
  #filledAt = Number.NEGATIVE_INFINITY;

  constructor(limits: GateLimits) {
    this.#limits = limits;
    this.#tokens = limits.maxLoginsPerSecond;
  }

  /** How many addresses it remembers. */
  get size(): number {
    return this.#failures.size;
  }

  /** How long until one more login may begin: 0 if it may now. */
  waitMs(now: number): number {
    // Asked by every poll, and seldom otherwise than so.
    if (this.#tokens >= 1) return 0;
    this.#refill(now);
    return this.#tokens >= 1 ? 0 : Math.max(1, ((1 - this.#tokens) * 1000) / this.#limits.maxLoginsPerSecond);
  }

  /** A login has begun. */
  begun(now: number): void {
    this.#refill(now);
    this.#tokens--;
  }

  /** Whether one from there may come in. One whose origin is not known may. */
  admits(origin: string | null, now: number): boolean {
    if (origin === null) return true;
    return (this.#recent(origin, now)?.count ?? 0) < this.#limits.maxFailedLogins;
  }

  /** A login from there has failed. True if it was the last that is allowed. */
  failed(origin: string | null, now: number): boolean {
    if (origin === null) return false;
    const failures = this.#recent(origin, now) ?? { count: 0, since: now };
    failures.count++;
    this.#failures.set(origin, failures);
    if (this.#failures.size > MAX_ORIGINS) {
      const [oldest] = this.#failures.keys();
      this.#failures.delete(oldest as string);
    }
    return failures.count === this.#limits.maxFailedLogins;
  }

  #refill(now: number): void {
    const { maxLoginsPerSecond: rate } = this.#limits;
    const passedMs = Math.max(0, now - this.#filledAt);
    this.#tokens = Math.min(rate, this.#tokens + (passedMs * rate) / 1000);
    this.#filledAt = now;
  }

  #recent(origin: string, now: number): { count: number; readonly since: number } | null {
    const failures = this.#failures.get(origin);
    if (failures === undefined) return null;
    if (now - failures.since < this.#limits.failedLoginWindowMs) return failures;
    this.#failures.delete(origin);
    return null;
  }
}

/**
 * Who is meant by an address like '127.0.0.1:80' or '[::1]:80': the host, of IPv6 its network of 64 bits, within which
 * one host has as many addresses as it likes. Null for what is no address of a network.
 */
export function originOf(address: string): string | null {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1];
  if (mapped !== undefined) return mapped;
  const version = isIP(host);
  if (version === 0) return null;
  return version === 4 ? host : network(host);
}

/** The first four groups of an IPv6 address. */
function network(host: string): string {
  const [head = '', tail] = (host.split('%')[0] as string).split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeroes = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeroes).fill('0'), ...after];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
