/** What a message to a destination is promised. The flags may be combined; none is the default. */
export interface DeliveryMode {
  /** One after another, in the order in which they were given, on the main connection. */
  readonly synchronous?: boolean;
  /** May run twice: sent again, over another connection or server, until answered or cancelled. */
  readonly idempotent?: boolean;
  /** Goes out now or fails, and is never sent again. */
  readonly oneShot?: boolean;
}

/** A message on its way through a pool: its place in the queue, or in a connection. */
export interface Ticket<T> {
  readonly item: T;
  readonly mode: DeliveryMode;
  /** Its place among all messages of the pool: what is sent again goes where it was. */
  readonly order: number;
  state: 'queued' | 'in flight' | 'settled';
  /** Whether a byte of it may have left this process. */
  left: boolean;
}

/**
 * Messages that wait for a connection, in the order in which they were given: synchronous ones apart, as they wait for
 * each other and for one connection, and must not hold up the rest.
 */
export class TicketQueue<T> {
  readonly #plain: Ticket<T>[] = [];
  readonly #synchronous: Ticket<T>[] = [];

  get size(): number {
    return this.#plain.length + this.#synchronous.length;
  }

  /** Those that need not wait for each other. */
  get plain(): number {
    return this.#plain.length;
  }

  get firstPlain(): Ticket<T> | null {
    return this.#plain[0] ?? null;
  }

  get firstSynchronous(): Ticket<T> | null {
    return this.#synchronous[0] ?? null;
  }

  [Symbol.iterator](): IterableIterator<Ticket<T>> {
    return [...this.#synchronous, ...this.#plain].values();
  }

  /** In its order: one that comes again goes before those that were given after it. */
  add(ticket: Ticket<T>): void {
    const line = this.#lineOf(ticket);
    let at = line.length;
    while (at > 0 && (line[at - 1] as Ticket<T>).order > ticket.order) at--;
    line.splice(at, 0, ticket);
    ticket.state = 'queued';
  }

  remove(ticket: Ticket<T>): void {
    const line = this.#lineOf(ticket);
    if (line[0] === ticket) {
      line.shift();
      return;
    }
    const at = line.indexOf(ticket);
    if (at >= 0) line.splice(at, 1);
  }

  #lineOf(ticket: Ticket<T>): Ticket<T>[] {
    return ticket.mode.synchronous ? this.#synchronous : this.#plain;
  }
}
