import { TcpshmError } from '../errors.js';
import type { DisconnectReason } from '../session/disconnect.js';
import type { Link, LinkState } from './link.js';

/** A link that has ended in another thread: what came before its end is here to be handed out. */
export class EndedLink implements Link {
  readonly connected = false;
  readonly wire = null;
  readonly traffic = null;
  readonly ended: DisconnectReason;
  readonly error: TcpshmError | null;
  readonly #state: LinkState;

  constructor(state: Extract<LinkState, { readonly kind: 'ended' }>) {
    const { reason, error } = state;
    this.ended = reason;
    this.error = error && new TcpshmError(error.code, error.message);
    this.#state = state;
  }

  poll(): void {}
  close(): void {}
  abandon(): void {}

  handOver(): LinkState {
    return this.#state;
  }
}
