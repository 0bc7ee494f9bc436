import { OpenIds } from './openIds.js';
import { LEAST_REQUESTS } from './packet.js';

/** Just made; waits for its turn; may go out; has gone out in part or whole; has its end. */
export type Stage = 'new' | 'waiting' | 'released' | 'open' | 'settled';

/** A request of this side, as far as it has to be decided what becomes of it. */
export class Exchange {
  id = 0;
  stage: Stage = 'new';
  /** Whether any of it has ever gone out. */
  left = false;
  /** Number of the first message of the ring that it went out in, this time. */
  firstMessage = 0;
  readonly idempotent: boolean;
  readonly synchronous: boolean;
  /** 0 to 2, the most urgent first. */
  readonly level: number;

  constructor(level: number, idempotent: boolean, synchronous: boolean) {
    this.level = level;
    this.idempotent = idempotent;
    this.synchronous = synchronous;
  }
}

/** What a peer's new incarnation makes of the requests of this side. */
export interface Lost<E> {
  /** Were with the one that is gone, and may have run. */
  readonly unanswered: readonly E[];
  /** The same, and go out again, from their start. */
  readonly again: readonly E[];
}

/**
 * The requests of this side: who may go out, under which ids, and what a death or a close makes of them. Pure; README.md
 * has what is promised.
 */
export class Exchanges<E extends Exchange> {
  /** Most that are out at once. */
  limit = LEAST_REQUESTS;
  /** Whether none may go out. */
  held = false;
  readonly #open = new OpenIds<E>();
  /** Of each priority, in order. Those that were settled meanwhile are passed over. */
  readonly #waiting: readonly Fifo<E>[] = [new Fifo<E>(), new Fifo<E>(), new Fifo<E>()];
  readonly #ordered = new Fifo<E>();
  /** Those that go out again. */
  readonly #again = new Fifo<E>();
  /** The synchronous one whose end the next one waits for. */
  #synchronous: E | null = null;
  readonly #released = new Set<E>();
  #waits = 0;
  #lastId = 0;

  /** Those that are released or open, and those that wait. */
  get underWay(): number {
    return this.#released.size + this.#open.size;
  }
  /** Those of which nothing is out. */
  get waiting(): number {
    return this.#waits + this.#released.size;
  }
  get open(): number {
    return this.#open.size;
  }

  /** Whether one that is new need not wait: it may be released, or leave at once. */
  admits(exchange: E): boolean {
    return this.#waits === 0 && this.#free && !(exchange.synchronous && this.#synchronous !== null);
  }

  /** One that is admitted may go out, and does so later. */
  release(exchange: E): void {
    exchange.stage = 'released';
    this.#released.add(exchange);
    if (exchange.synchronous) this.#synchronous = exchange;
  }

  /** One that waits until `next` gives it. */
  wait(exchange: E): void {
    exchange.stage = 'waiting';
    this.#waits++;
    if (exchange.synchronous) this.#ordered.push(exchange);
    else (this.#waiting[exchange.level] as Fifo<E>).push(exchange);
  }

  /** The next one that may go out now, which is released with this. */
  next(): E | null {
    if (this.#waits === 0 || !this.#free) return null;
    const exchange =
      firstOf(this.#again) ??
      (this.#synchronous === null ? firstOf(this.#ordered) : null) ??
      firstOf(this.#waiting[0] as Fifo<E>) ??
      firstOf(this.#waiting[1] as Fifo<E>) ??
      firstOf(this.#waiting[2] as Fifo<E>);
    if (exchange === null) return null;
    this.#waits--;
    this.release(exchange);
    return exchange;
  }

  /** One that was admitted or released goes out in the message of this number, and gets an id. */
  leaves(exchange: E, message: number): number {
    do this.#lastId = (this.#lastId + 1) >>> 0;
    while (this.#lastId === 0 || this.#open.find(this.#lastId) !== undefined);
    if (exchange.stage === 'released') this.#released.delete(exchange);
    else if (exchange.synchronous) this.#synchronous = exchange;
    exchange.id = this.#lastId;
    exchange.stage = 'open';
    exchange.left = true;
    exchange.firstMessage = message;
    this.#open.add(exchange.id, exchange);
    return exchange.id;
  }

  /** The one with this id that is open. */
  find(id: number): E | undefined {
    return this.#open.find(id);
  }

  /** Whether one with this id was open once. */
  knew(id: number): boolean {
    return id !== 0 && this.#lastId !== 0 && ((this.#lastId - id) | 0) >= 0;
  }

  /** It has its end, whatever that is. False if it had it before. */
  settle(exchange: E): boolean {
    if (exchange.stage === 'settled') return false;
    if (exchange.stage === 'waiting') this.#waits--;
    else if (exchange.stage === 'released') this.#released.delete(exchange);
    else if (exchange.stage === 'open') this.#open.remove(exchange.id);
    exchange.stage = 'settled';
    if (this.#synchronous === exchange) this.#synchronous = null;
    return true;
  }

  /** The peer has begun anew, with so many messages taken before. Those that wait again do so from here on. */
  peerBegan(popped: number): Lost<E> {
    const unanswered: E[] = [];
    const again: E[] = [];
    for (const exchange of this.#open.values(this.#lastId)) {
      if (exchange.firstMessage >= popped) continue;
      if (!exchange.idempotent) {
        unanswered.push(exchange);
        continue;
      }
      this.#open.remove(exchange.id);
      exchange.stage = 'waiting';
      this.#waits++;
      this.#again.push(exchange);
      again.push(exchange);
    }
    return { unanswered, again };
  }

  /** All that have no end yet. */
  all(): E[] {
    const waiting = [this.#again, this.#ordered, ...this.#waiting].flatMap((fifo) => fifo.items());
    return [
      ...this.#open.values(this.#lastId),
      ...this.#released,
      ...waiting.filter(({ stage }) => stage === 'waiting'),
    ];
  }

  get #free(): boolean {
    return !this.held && this.#released.size + this.#open.size < this.limit;
  }
}

/** What an `open` of the peer is. */
export type Arrival = 'new' | 'duplicate' | 'too many';

/** The requests of the peer that are under way here. Pure. */
export class Arrivals<S> {
  readonly #limit: number;
  readonly #open = new OpenIds<S>();
  #lastId = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get open(): number {
    return this.#open.size;
  }

  /** An `open` with this id has come. */
  arrives(id: number): Arrival {
    if (id === 0 || this.knew(id)) return 'duplicate';
    this.#lastId = id;
    return this.#open.size < this.#limit ? 'new' : 'too many';
  }

  add(id: number, served: S): void {
    this.#open.add(id, served);
  }

  find(id: number): S | undefined {
    return this.#open.find(id);
  }

  knew(id: number): boolean {
    return this.#lastId !== 0 && ((this.#lastId - id) | 0) >= 0;
  }

  /** False if it has ended before. */
  end(id: number): boolean {
    return this.#open.remove(id);
  }

  /** The peer has begun anew: gives those of the incarnation that is gone. */
  peerBegan(): S[] {
    const gone = this.all();
    this.#lastId = 0;
    return gone;
  }

  /** Ends all, and gives them. */
  all(): S[] {
    const gone = this.#open.values(this.#lastId);
    this.#open.clear();
    return gone;
  }
}

/** The first one that still waits. */
function firstOf<E extends Exchange>(fifo: Fifo<E>): E | null {
  for (;;) {
    const exchange = fifo.shift();
    if (exchange === null || exchange.stage === 'waiting') return exchange;
  }
}

class Fifo<E> {
  #items: E[] = [];
  #first = 0;

  push(item: E): void {
    this.#items.push(item);
  }

  shift(): E | null {
    if (this.#first === this.#items.length) return null;
    const item = this.#items[this.#first++] as E;
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  items(): E[] {
    return this.#items.slice(this.#first);
  }
}
