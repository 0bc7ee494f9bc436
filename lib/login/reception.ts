import { TcpshmError } from '../errors.js';
import type { Guard, Listener, Wire } from '../wire/wire.js';
import { Gate, type GateLimits, originOf } from './gate.js';
import type { Door, LoginHost, Seat } from './loginHost.js';
import { ServerLogin } from './serverLogin.js';

/** How long a listener is left alone after it could not accept. */
const ACCEPT_RETRY_MS = 100;

/** Limits of logins that are under way. */
export interface ReceptionLimits extends GateLimits {
  readonly maxPendingLogins: number;
  readonly loginTimeoutMs: number;
}

interface Entrance {
  readonly listener: Listener;
  readonly door: Door;
  retryAt: number;
}

interface Pending {
  since: number | null;
  /** Where it comes from; null where it is not known. */
  readonly origin: string | null;
}

/** Where clients come in: accepts them, and bounds how many may take how long to log in. */
export class Reception {
  readonly #host: LoginHost;
  readonly #limits: ReceptionLimits;
  readonly #listeners: Entrance[] = [];
  /** Since when each has been silent, by the caller's clock; unknown until the poll after it spoke. */
  readonly #logins = new Map<ServerLogin, Pending>();

  readonly #gate: Gate;
  readonly #guard: Guard = {
    admits: (address) => this.#gate.admits(originOf(address), this.#now),
    failed: (address, error) => {
      this.#host.failed(error);
      this.#blame(originOf(address));
    },
  };
  #now = 0;

  constructor(host: LoginHost, limits: ReceptionLimits) {
    this.#host = host;
    this.#limits = limits;
    this.#gate = new Gate(limits);
  }

  /** `door` is what a client must do that comes there. */
  add(listener: Listener, door: Door): void {
    if (listener.guard !== undefined) listener.guard = this.#guard;
    this.#listeners.push({ listener, door, retryAt: Number.NEGATIVE_INFINITY });
  }

  /** How long until a connection is accepted again, where one could not be. */
  retryMs(now: number): number {
    return Math.max(0, ...this.#listeners.map(({ retryAt }) => retryAt - now));
  }

  /** Whether logins are under way. */
  get busy(): boolean {
    return this.#logins.size > 0;
  }

  /** How many. */
  get pending(): number {
    return this.#logins.size;
  }

  /** The places of clients who have not attached yet. */
  get seats(): readonly Seat[] {
    return [...this.#logins.keys()].flatMap(({ seat }) => seat ?? []);
  }

  /** Whether a client of this name is in the middle of a login: it may have hung up, or be complete by now. */
  isLoggingIn(client: string): boolean {
    return [...this.#logins.keys()].some((login) => login.offer?.hello.client === client && login.poll());
  }

  /**
   * Takes the connections that wait, and what has come from those that are logging in. `each` is called after every
   * step, and says whether to go on.
   */
  poll(now: number, each: () => boolean): void {
    this.#now = now;
    for (const entry of this.#listeners) {
      if (now >= entry.retryAt) this.#accept(entry, now);
      if (!each()) return;
    }
    for (const login of this.#logins.keys()) {
      this.#serve(login, now);
      if (!each()) return;
    }
  }

  /** Ends all logins, and gives the addresses up. */
  async close(): Promise<void> {
    for (const login of this.#logins.keys()) login.abandon();
    this.#logins.clear();
    await Promise.all(this.#listeners.splice(0).map(({ listener }) => listener.close()));
  }

  /** A connection that cannot be accepted, for want of descriptors say, is tried again later. */
  #accept(entry: Entrance, now: number): void {
    try {
      for (;;) {
        const waitMs = this.#gate.waitMs(now);
        if (waitMs > 0) {
          entry.retryAt = now + waitMs;
          return;
        }
        const wire = entry.listener.accept();
        if (wire === null) return;
        this.#gate.begun(now);
        this.#greet(wire, entry.door);
      }
    } catch (cause) {
      entry.retryAt = now + ACCEPT_RETRY_MS;
      const reason = `a connection cannot be accepted: ${(cause as Error).message}`;
      this.#host.failed(new TcpshmError('ERR_SYSTEM', reason, cause));
    }
  }

  #greet(wire: Wire, door: Door): void {
    const origin = originOf(addressOf(wire));
    const login = new ServerLogin(wire, this.#host, door);
    if (this.#gate.admits(origin, this.#now)) this.#begin(login, origin);
    else {
      // It passes: an honest client that shares the address with an offender tries again.
      login.turnAway({ code: 'ERR_CONNECT', reason: 'too many logins from this address have failed' });
    }
  }

  /** Lets a login speak at once, so that it is known whom to drop when too many are pending: one that is silent. */
  #begin(login: ServerLogin, origin: string | null): void {
    this.#logins.set(login, { since: null, origin });
    if (!login.poll()) this.#end(login);
    else if (this.#logins.size > this.#limits.maxPendingLogins) this.#dropOldest();
  }

  #serve(login: ServerLogin, now: number): void {
    const { offer } = login;
    if (!login.poll()) {
      this.#end(login);
      return;
    }
    const entry = this.#logins.get(login);
    if (entry === undefined) return;
    // Making a large session takes its time, which is not the client's: it counts from the next poll.
    if (login.offer !== offer) entry.since = null;
    else entry.since ??= now;
    if (entry.since === null || now - entry.since < this.#limits.loginTimeoutMs) return;
    const { origin } = entry;
    const silent = login.seat === null;
    this.#drop(login, `a login was not complete after ${this.#limits.loginTimeoutMs} ms`);
    if (silent) this.#blame(origin);
  }

  /**
   * Makes room for the one that has just come, and may not have had the time to say anything: drops the oldest of the
   * others that is silent, or of those that were offered a session and do not answer; of those, one from where the most
   * come.
   */
  #dropOldest(): void {
    const all = [...this.#logins].slice(0, -1);
    const silent = all.filter(([{ seat }]) => seat === null);
    const others = silent.length > 0 ? silent : all;
    const counts = new Map<string | null, number>();
    for (const [, { origin }] of others) counts.set(origin, (counts.get(origin) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const [oldest] = others.find(([, { origin }]) => counts.get(origin) === most) as [ServerLogin, Pending];
    this.#drop(oldest, `more than ${this.#limits.maxPendingLogins} logins are pending: the oldest goes`);
  }

  #end(login: ServerLogin): void {
    const pending = this.#logins.get(login);
    this.#logins.delete(login);
    if (pending !== undefined && login.offence) this.#blame(pending.origin);
  }

  /** A login from there has failed for what an honest client does not do. */
  #blame(origin: string | null): void {
    if (!this.#gate.failed(origin, this.#now)) return;
    const { maxFailedLogins, failedLoginWindowMs } = this.#limits;
    const reason = `${maxFailedLogins} logins from ${origin} have failed: it is refused for up to ${failedLoginWindowMs} ms`;
    this.#host.failed(new TcpshmError('ERR_LOGIN_REJECTED', reason));
  }

  #drop(login: ServerLogin, reason: string): void {
    this.#logins.delete(login);
    login.fail(new TcpshmError('ERR_LOGIN_TIMEOUT', reason));
  }
}

/** Empty for one that has gone before anybody looked. */
function addressOf(wire: Wire): string {
  try {
    return wire.remoteAddress();
  } catch {
    return '';
  }
}
