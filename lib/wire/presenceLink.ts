import type { DisconnectReason } from '../session/disconnect.js';
import { isPresent, Presence } from '../session/presence.js';
import type { Link, LinkState } from './link.js';

/**
 * A link between threads that share a segment: each sees the other's presence in it. The other end may be opened
 * again after it has gone, so `ended` tells of the last change only.
 */
export class PresenceLink implements Link {
  readonly #peer: Int32Array;
  /** As last seen: a peer that came and went between two polls was there all the same. */
  #seen: number = Presence.none;
  #ended: DisconnectReason | null = null;
  readonly error = null;
  readonly wire = null;
  readonly traffic = null;

  constructor(peer: Int32Array) {
    this.#peer = peer;
  }

  get connected(): boolean {
    return isPresent(this.#peer);
  }
  get ended(): DisconnectReason | null {
    return this.#ended;
  }

  poll(): void {
    const presence = Atomics.load(this.#peer, 0);
    if (presence === this.#seen || presence === Presence.open || presence === Presence.passed)
      this.#ended = null;
    else this.#ended = presence === Presence.closed ? 'closed by peer' : 'peer ended';
    this.#seen = presence;
  }

  close(): void {}
  abandon(): void {}

  handOver(): LinkState {
    return this.#ended === null ? { kind: 'presence' } : { kind: 'ended', reason: this.#ended, error: null };
  }
}
