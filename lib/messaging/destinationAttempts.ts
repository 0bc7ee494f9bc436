import type { TcpshmError } from '../errors.js';
import { type BackoffSettings, delayBefore } from '../session/backoff.js';
import { AddressBook } from './destinationAddresses.js';

/** When the next attempt to connect is due, and where it goes. */
export class Attempts {
  readonly #backoff: BackoffSettings;
  readonly #resolveMs: number;
  readonly #random: () => number;
  readonly #addresses = new AddressBook();
  #resolving = false;
  #resolvedAt = Number.NEGATIVE_INFINITY;
  /** In a row, connections that were of no use among them. */
  #failures = 0;
  /** Those of them that have led to no connection, and why the last one has not. */
  #refusals = 0;
  #lastError: TcpshmError | null = null;
  #dueAt = Number.NEGATIVE_INFINITY;
  #givenUp = false;

  /** Addresses older than `resolveMs` are resolved again. */
  constructor(backoff: BackoffSettings, resolveMs: number, random: () => number) {
    this.#backoff = backoff;
    this.#resolveMs = resolveMs;
    this.#random = random;
  }

  /** Attempts in a row that have failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Why there are no attempts any more, until `encourage`. */
  get givenUp(): TcpshmError | null {
    return this.#givenUp ? this.#lastError : null;
  }

  /** When the next one may begin; never while there is no address to be had before the resolver has answered. */
  get dueAt(): number {
    if (this.#givenUp || (this.#resolving && this.#addresses.size === 0)) return Number.POSITIVE_INFINITY;
    return this.#dueAt;
  }

  /** There is something new to send. */
  encourage(): void {
    this.#givenUp = false;
  }

  /** Whether a resolver must be asked now. From then on, until it has answered, it need not. */
  takeResolve(now: number): boolean {
    if (this.#resolving || now < this.dueAt) return false;
    this.#resolving = this.#addresses.size === 0 || now - this.#resolvedAt >= this.#resolveMs;
    return this.#resolving;
  }

  resolved(addresses: readonly string[], now: number): void {
    this.#resolving = false;
    this.#resolvedAt = now;
    this.#addresses.replace(addresses, this.#random());
  }

  unresolved(error: TcpshmError, now: number): void {
    this.#resolving = false;
    this.failed(error, this.#failures + 1, now);
  }

  /** Where the attempt goes that is due; null if none is, or there are no addresses. */
  address(preferred: string | null, connectionsAt: (address: string) => number, now: number): string | null {
    return now < this.dueAt ? null : this.#addresses.choose(preferred, connectionsAt);
  }

  /** The `number`th in a row has failed: with an error, or after it had led to a connection. */
  failed(error: TcpshmError | null, number: number, now: number): void {
    this.#failures = number;
    this.#dueAt = Math.max(this.#dueAt, now + this.delayMs(number));
    // Perhaps they are others by now.
    if (number >= this.#addresses.size) this.#resolvedAt = Number.NEGATIVE_INFINITY;
    if (error === null) return;
    this.#lastError = error;
    if (++this.#refusals < this.#backoff.maxAttempts) return;
    this.#refusals = 0;
    this.#failures = 0;
    this.#givenUp = true;
  }

  succeeded(now: number): void {
    this.#failures = 0;
    this.#refusals = 0;
    this.#dueAt = now;
  }

  delayMs(attempt: number): number {
    return delayBefore(attempt, this.#backoff, this.#random());
  }
}
