import type { Connection } from '../connection/connection.js';
import type { Reader } from '../connection/delivery.js';
import type { Message } from '../ring/message.js';
import type { DisconnectReason } from '../session/disconnect.js';

/** One direction of a relay: takes from one connection what the other one has room for. */
export class RelayLeg implements Reader {
  readonly #from: Connection;
  readonly #to: Connection;
  readonly #over: () => void;
  /** Whether it waits until the other queue has room. */
  #waits = false;
  /** Whether the other connection has failed, which is for its polls to tell; tried again with the next visit. */
  #fails = false;
  /** Whether its connection was closed by the other side: what has arrived is still forwarded. */
  #finishing = false;

  /** Reads the one connection from here on. `over` is called when either of both was closed. */
  constructor(from: Connection, to: Connection, over: () => void) {
    this.#from = from;
    this.#to = to;
    this.#over = over;
    from.side.delivery.reader = this;
    // One that sleeps does not know of it yet.
    from.side.sleep.stir();
  }

  get wants(): boolean {
    return !this.#waits && !this.#fails;
  }

  /** Nobody waits for it. */
  get settles(): boolean {
    return false;
  }

  visit(limit: number): boolean {
    const from = this.#from;
    this.#fails = false;
    let moved = 0;
    for (; moved < limit && !this.#waits && this.#to.state !== 'closed'; moved++) {
      const message = from.front();
      if (message === null) break;
      if (!this.#forward(message)) break;
      // In this order, so that a death in between loses none: the numbers tell of the one that is there twice.
      from.pop();
    }
    return moved > 0;
  }

  ended(reason: DisconnectReason): void {
    if (reason !== 'closed by peer') return;
    this.#finishing = true;
    this.#finish();
  }

  closed(): void {
    this.#over();
    if (this.#to.state !== 'closed') this.#to.close();
  }

  #forward(message: Message): boolean {
    const to = this.#to;
    try {
      const copy = to.alloc(message.size);
      if (copy === null) {
        this.#await(message.size);
        return false;
      }
      copy.type = message.type;
      copy.copyFrom(message);
      to.push();
      return true;
    } catch (error) {
      if (to.state !== 'closed' && !to.side.ends.isTold(error)) throw error;
      this.#fails = true;
      return false;
    }
  }

  #await(sizeBytes: number): void {
    this.#waits = true;
    this.#to.writable(sizeBytes).then(
      () => {
        this.#waits = false;
        if (this.#from.state === 'closed') return;
        if (this.#finishing) this.#finish();
        else this.#from.side.sleep.stir();
      },
      // It was closed, and this one with it.
      () => {},
    );
  }

  /** Nobody polls the connection any more, unless its client has come back. */
  #finish(): void {
    if (this.#from.state === 'connected') {
      this.#finishing = false;
      this.#from.side.sleep.stir();
      return;
    }
    this.visit(Number.POSITIVE_INFINITY);
    if (this.#waits || this.#to.state === 'closed') return;
    // The other leg hears of it, and closes this connection too.
    this.#to.close();
  }
}
