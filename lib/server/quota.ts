import { originOf } from '../login/gate.js';
import type { Login } from '../login/loginHost.js';

/** Bounds how many sessions one client may have by giving himself many names. */
export class Quota {
  readonly #limit: number;
  readonly #isOpen: (client: string) => boolean;
  /** The names of each identity: those with sessions, as far as was looked. */
  readonly #names = new Map<string, Set<string>>();

  /** `isOpen` tells whether a client of that name has a session, or is logging in. */
  constructor(limit: number, isOpen: (client: string) => boolean) {
    this.#limit = limit;
    this.#isOpen = isOpen;
  }

  /** Why a client cannot have a session, null if it can: then it has one more. */
  whyOver(login: Login): string | null {
    const identity = this.#limit === Number.POSITIVE_INFINITY ? null : identityOf(login);
    if (identity === null) return null;
    const names = this.#names.get(identity) ?? new Set();
    this.#names.set(identity, names);
    if (names.has(login.name)) return null;
    // Only when it is full: so what this costs, who has so many sessions has caused.
    if (names.size >= this.#limit) for (const name of names) if (!this.#isOpen(name)) names.delete(name);
    if (names.size >= this.#limit) return `${identity} has its ${this.#limit} sessions`;
    names.add(login.name);
    return null;
  }
}

/** Who a client is, by the best that is known of it; null where nothing is. */
export function identityOf({ tls, keyId, process, address }: Login): string | null {
  if (tls?.authorized && tls.certificate !== null) return `certificate ${tls.certificate.fingerprint256}`;
  if (keyId !== null) return `key ${keyId}`;
  if (process !== null) return `user ${process.uid}`;
  const origin = originOf(address);
  return origin === null ? null : `address ${origin}`;
}
