import type { Connection } from '../../lib/connection/connection.js';
import type { Random } from '../support/random.js';
import { type Direction, must } from './model.js';

/** Tells what happens, for a trace. */
export type Trace = ((line: string) => void) | null;

/** One side's use of its connection, checked against the model after everything that it does. */
export class Endpoint {
  readonly name: string;
  readonly outgoing: Direction;
  readonly incoming: Direction;
  connection: Connection | null = null;
  /** The same, once its user has it: from the first complete login on. */
  #users: Connection | null = null;
  readonly #random: Random;
  readonly #trace: Trace;
  /** Who waits for a flush, by the connection that he asked, and what was found wrong when one was answered. */
  #flushes = 0;
  #wrong: unknown = null;

  constructor(name: string, outgoing: Direction, incoming: Direction, random: Random, trace: Trace) {
    this.name = name;
    this.outgoing = outgoing;
    this.incoming = incoming;
    this.#random = random;
    this.#trace = trace;
  }

  /** A connection of the session was made: nothing of the past may be missing. */
  opened(connection: Connection): void {
    this.connection = connection;
    this.outgoing.senderOpened(connection.pushed);
    this.incoming.receiverOpened(connection.popped);
  }

  /** A login is complete: its user has the connection from here on, also while it is disconnected. */
  given(): void {
    this.#users = this.connection;
  }

  /** It was closed, or its process died. */
  gone(): void {
    this.connection = null;
    this.#users = null;
    this.#flushes = 0;
    this.outgoing.senderDied();
  }

  /** Power is lost, after the process is gone. */
  losesPower(): void {
    this.outgoing.senderLosesPower();
    this.incoming.receiverLosesPower();
  }

  /** Whether all who have asked for a flush were answered. */
  get flushed(): boolean {
    return this.#flushes === 0;
  }

  /** Asks for all to be safe, and checks that it is when the answer has come. */
  flush(): void {
    const connection = this.#users;
    if (connection === null) return;
    const { pushed } = this.outgoing;
    const { popped } = this.incoming;
    this.#trace?.(`${this.name}: flush() of ${pushed} and ${popped}`);
    this.#flushes++;
    const answered = (error: unknown): void => {
      // A process that is dead by now hears of nothing.
      if (this.#users !== connection) return;
      this.#flushes--;
      this.#trace?.(`${this.name}: flushed ${pushed} and ${popped}`);
      try {
        if (error !== null) throw error;
        // Memory is as safe as it can be.
        if (connection.side.ends.open.journal === null) return;
        this.outgoing.pushesWereFlushed(pushed);
        this.incoming.popsWereFlushed(popped);
      } catch (wrong) {
        this.#wrong ??= wrong;
      }
    };
    connection.flush().then(() => answered(null), answered);
  }

  /** Pushes a message, and what was batched with it. False when the queue is full. */
  push(size = this.#size(), certainly = false): boolean {
    const connection = this.#users;
    if (connection === null) return false;
    const message = connection.alloc(size);
    this.#trace?.(`${this.name}: alloc(${size})${message === null ? ': full' : ''}`);
    if (message === null) {
      this.publish();
      return false;
    }
    this.outgoing.fill(message, this.#random);
    // One that was allocated need not be pushed.
    if (!certainly && this.#random.once(16)) return true;
    this.outgoing.pushBegins(1);
    connection.push();
    this.outgoing.pushEnds();
    return true;
  }

  /** Adds up to `count` messages to the batch. */
  batch(count: number): void {
    const connection = this.#users;
    if (connection === null) return;
    for (let i = 0; i < count; i++) {
      const size = this.#size();
      const message = connection.alloc(size);
      this.#trace?.(`${this.name}: alloc(${size}), batched${message === null ? ': full' : ''}`);
      if (message === null) return;
      this.outgoing.fill(message, this.#random);
      connection.pushMore();
      this.outgoing.batched++;
    }
  }

  publish(): void {
    const connection = this.#users;
    if (connection === null) return;
    this.outgoing.pushBegins(0);
    connection.publish();
    this.outgoing.pushEnds();
  }

  /** Takes up to `count` messages; one is looked at and left, now and then. */
  pop(count: number, certainly = false): number {
    const connection = this.#users;
    if (connection === null) return 0;
    for (let i = 0; i < count; i++) {
      const message = connection.front();
      this.#trace?.(`${this.name}: front(): ${message === null ? 'none' : `${message.size} bytes`}`);
      if (message === null) return i;
      this.incoming.arrives(message);
      if (!certainly && this.#random.once(16)) return i;
      this.incoming.popBegins();
      connection.pop();
      this.incoming.popEnds();
    }
    return count;
  }

  /** The counters of a live connection are exact. */
  check(): void {
    if (this.#wrong !== null) throw this.#wrong;
    const { connection } = this;
    if (connection === null) return;
    const { outgoing, incoming } = this;
    must(
      connection.pushed === outgoing.pushed,
      () => `${outgoing.name}: pushed is ${connection.pushed}, should be ${outgoing.pushed}`,
    );
    must(
      connection.popped === incoming.popped,
      () => `${incoming.name}: popped is ${connection.popped}, should be ${incoming.popped}`,
    );
  }

  #size(): number {
    const random = this.#random;
    const largest = this.#users?.maxMessageBytes ?? 0;
    switch (random.below(8)) {
      case 0:
        return random.below(2) * largest;
      case 1:
        return random.below(largest + 1);
      case 2:
        return random.below(9);
      default:
        return random.below(160);
    }
  }
}
