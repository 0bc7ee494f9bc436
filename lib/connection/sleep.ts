import type { Transport } from '../session/loginMessages.js';
import type { Bell } from '../session/parking.js';
import type { Wire } from '../wire/wire.js';
import type { Copies } from './copies.js';
import type { Ends } from './ends.js';
import type { Inlet } from './inlet.js';
import type { Peer } from './peer.js';

/** The parts of a side that have something to do while nobody polls it. */
export interface Sleepers {
  readonly ends: Ends;
  readonly peer: Peer;
  readonly delivery: { readonly restless: boolean; awaits(delivers: boolean): boolean };
  readonly inlet: Inlet;
  readonly copies: Copies | null;
}

/** How a side sleeps while nobody polls it: what keeps it awake, and who wakes it. */
export class Sleep {
  readonly #parts: Sleepers;
  /** Whether it shares memory with its peer, which rings then. */
  readonly #shared: boolean;
  #onStir: (() => void) | null = null;

  constructor(parts: Sleepers, transport: Transport) {
    this.#parts = parts;
    this.#shared = transport !== 'tcp';
  }

  /** What to call when a push or a pop needs a poll to go out, while nobody polls. */
  set onStir(call: (() => void) | null) {
    this.#onStir = call;
    const { pump } = this.#parts.ends;
    if (pump !== null) pump.onStir = call;
  }

  /** There is something for a poll to do, which may sleep. */
  stir(): void {
    this.#onStir?.();
  }

  /** The socket of the link, if it has one. */
  get wire(): Wire | null {
    return this.#parts.peer.link?.wire ?? null;
  }

  /** Whether something is to be sent that the socket did not take yet. */
  get sending(): boolean {
    return this.#parts.ends.pump?.sending ?? false;
  }

  /**
   * Whether more polls are needed before it may sleep: to hand out messages, or to acknowledge what was popped. Without
   * `delivers` it is its user who looks for messages, when he likes, unless he has somebody read them.
   */
  awaited(delivers: boolean): boolean {
    const { ends, delivery } = this.#parts;
    return ends.pump?.owes === true || delivery.awaits(delivers);
  }

  /** Whether there is something to do that no bell and no socket will tell of. */
  get restless(): boolean {
    const { ends, peer, delivery, inlet, copies } = this.#parts;
    return (
      ends.fence !== null ||
      delivery.restless ||
      inlet.waiting ||
      ends.violation !== null ||
      (peer.link !== null && peer.link.ended !== null) ||
      copies?.unsafe === true
    );
  }

  /** Whether others ring when it sleeps: its peer, or its writers. */
  get rung(): boolean {
    return this.#shared || this.#parts.inlet.used;
  }

  /**
   * Goes to sleep: from here on the peer that shares memory with it rings `bell` when it has published something or
   * handed space back. It stays awake when there is something already ('stirring'), or when bells cannot be relied on
   * ('restless'). `delivers` as for `awaited`.
   */
  park(bell: Bell, delivers: boolean): 'parked' | 'stirring' | 'restless' {
    const { ends, inlet, delivery } = this.#parts;
    const relied = !this.#shared || ends.park(bell);
    inlet.park(bell);
    const stirring = (this.#shared && (delivery.awaits(delivers) || ends.stirs)) || inlet.waiting;
    if (relied && !stirring) return 'parked';
    this.unpark();
    return stirring ? 'stirring' : 'restless';
  }

  /** Awake again. */
  unpark(): void {
    const { ends, inlet } = this.#parts;
    if (ends.closed) return;
    if (this.#shared) ends.unpark();
    inlet.unpark();
  }
}
