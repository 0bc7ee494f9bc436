import { TcpshmError } from '../errors.js';
import type { Guard, Listener } from '../wire/wire.js';
import { type LoginHost, type Seat, ServerLogin } from './serverLogin.js';

/** How long a listener is left alone after it could not accept. */
const ACCEPT_RETRY_MS = 100;

/** Limits of logins that are under way. */
export interface ReceptionLimits {
  readonly maxPendingLogins: number;
  readonly loginTimeoutMs: number;
}

/** Where clients come in: accepts them, and bounds how many may take how long to log in. */
export class Reception {
  readonly #host: LoginHost;
  readonly #limits: ReceptionLimits;
  readonly #listeners: { readonly listener: Listener; retryAt: number }[] = [];
  /** Since when each has been silent, by the caller's clock; unknown until the poll after it spoke. */
  readonly #logins = new Map<ServerLogin, { since: number | null }>();

  readonly #guard: Guard = {
    admits: () => true,
    failed: (_, error) => this.#host.failed(error),
  };

  constructor(host: LoginHost, limits: ReceptionLimits) {
    this.#host = host;
    this.#limits = limits;
  }

  add(listener: Listener): void {
    if (listener.guard !== undefined) listener.guard = this.#guard;
    this.#listeners.push({ listener, retryAt: Number.NEGATIVE_INFINITY });
  }

  /** How long until a connection is accepted again, where one could not be. */
  retryMs(now: number): number {
    return Math.max(0, ...this.#listeners.map(({ retryAt }) => retryAt - now));
  }

  /** Whether logins are under way. */
  get busy(): boolean {
    return this.#logins.size > 0;
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
  #accept(entry: { readonly listener: Listener; retryAt: number }, now: number): void {
    try {
      for (let wire = entry.listener.accept(); wire !== null; wire = entry.listener.accept()) {
        this.#begin(new ServerLogin(wire, this.#host));
      }
    } catch (cause) {
      entry.retryAt = now + ACCEPT_RETRY_MS;
      const reason = `a connection cannot be accepted: ${(cause as Error).message}`;
      this.#host.failed(new TcpshmError('ERR_SYSTEM', reason, cause));
    }
  }

  /** Lets a login speak at once, so that it is known whom to drop when too many are pending: one that is silent. */
  #begin(login: ServerLogin): void {
    this.#logins.set(login, { since: null });
    if (!login.poll()) this.#logins.delete(login);
    else if (this.#logins.size > this.#limits.maxPendingLogins) this.#dropOldest();
  }

  #serve(login: ServerLogin, now: number): void {
    const { offer } = login;
    if (!login.poll()) {
      this.#logins.delete(login);
      return;
    }
    const entry = this.#logins.get(login);
    if (entry === undefined) return;
    // Making a large session takes its time, which is not the client's: it counts from the next poll.
    if (login.offer !== offer) entry.since = null;
    else entry.since ??= now;
    if (entry.since === null || now - entry.since < this.#limits.loginTimeoutMs) return;
    this.#drop(login, `a login was not complete after ${this.#limits.loginTimeoutMs} ms`);
  }

  /**
   * Makes room for the one that has just come, and may not have had the time to say anything: drops the oldest of the
   * others that is silent, or of those that were offered a session and do not answer.
   */
  #dropOldest(): void {
    const others = [...this.#logins.keys()].slice(0, -1);
    const oldest = others.find(({ seat }) => seat === null) ?? (others[0] as ServerLogin);
    this.#drop(oldest, `more than ${this.#limits.maxPendingLogins} logins are pending: the oldest goes`);
  }

  #drop(login: ServerLogin, reason: string): void {
    this.#logins.delete(login);
    login.fail(new TcpshmError('ERR_LOGIN_TIMEOUT', reason));
  }
}
