import { TcpshmError } from '../errors.js';
import { count } from '../options.js';
import type { RingProducer } from '../ring/producer.js';
import { Turn } from './turn.js';
import { refusedBy, Waiter } from './waiter.js';

/** Above how much the outgoing queue is too full, and who hears of it. Told by the polls of the connection. */
export interface Watermarks {
  /** Bytes in the queue (records with headers, padding, and what was popped but not handed back) that are too many. */
  readonly high: number;
  /** So few, after that, are in order again. Default half of `high`. */
  readonly low?: number;
  /** At least `high` are taken up, for the first time since there were few. */
  onHigh?(bytes: number): void;
  /** After that no more than `low` are. */
  onLow?(bytes: number): void;
}

/** So many find room at once. */
const SENDS_PER_TURN = 64;

interface Entry {
  readonly waiter: Waiter<void>;
  /** False while there is no room. */
  readonly attempt: () => boolean;
}

/** Those who wait for room in the outgoing queue of a connection, in their order, and who watches how full it is. */
export class Room {
  readonly #producer: () => RingProducer;
  readonly #entries: Entry[] = [];
  #marks: { high: number; low: number; onHigh: Watermarks['onHigh']; onLow: Watermarks['onLow'] } | null =
    null;
  #high = false;
  readonly #turn = new Turn(SENDS_PER_TURN, () => {
    if (this.waiting && !this.#producer().busy) this.#attempt();
  });

  constructor(producer: () => RingProducer) {
    this.#producer = producer;
  }

  /** Whether somebody waits: who comes now is behind him. */
  get waiting(): boolean {
    return this.#entries.length > 0;
  }

  /** Whether only polls see what is to come: that the queue empties, or that a message which is allocated is pushed. */
  get restless(): boolean {
    return this.#high || (this.waiting && this.#producer().busy);
  }

  /** Attempts something until there is room for it, after those who wait already. Rejects with what `attempt` throws. */
  add(attempt: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    const refused = refusedBy(signal);
    if (refused !== null) return refused;
    if (!this.waiting && this.#turn.take()) {
      try {
        if (attempt()) return Promise.resolve();
      } catch (error) {
        return Promise.reject(error);
      }
    }
    const waiter = new Waiter<void>(signal, () => {
      const first = this.#entries[0]?.waiter === waiter;
      this.#entries.splice(
        this.#entries.findIndex((entry) => entry.waiter === waiter),
        1,
      );
      // The next one may need less.
      if (first) this.#attempt();
    });
    this.#entries.push({ waiter, attempt });
    return waiter.promise;
  }

  watch(marks: Watermarks): void {
    const high = count(marks.high, 'high', 0);
    const low = count(marks.low, 'low', Math.floor(high / 2), 0);
    if (low > high) throw new TcpshmError('ERR_OPTION', `low must be at most high (${high}), got ${low}`);
    this.#marks = { high, low, onHigh: marks.onHigh, onLow: marks.onLow };
    this.#high = false;
  }

  /** A visit of a poll. True if a promise was settled. */
  tend(): boolean {
    if (this.#marks !== null) this.#measure();
    this.#turn.renew();
    if (!this.waiting) return false;
    const producer = this.#producer();
    // What the user has allocated is not to be replaced.
    if (producer.busy) return false;
    // Who has claimed since, or a move to a fresh file, has taken the question for room back.
    if (producer.waits && !producer.relieved) return false;
    return this.#attempt();
  }

  end(error: TcpshmError): void {
    for (const { waiter } of this.#entries.splice(0)) waiter.reject(error);
  }

  #attempt(): boolean {
    let settled = false;
    for (let entry = this.#entries[0]; entry !== undefined; entry = this.#entries[0]) {
      try {
        if (!entry.attempt()) break;
        entry.waiter.resolve();
      } catch (error) {
        entry.waiter.reject(error);
      }
      // Unless it is the attempt that has closed the connection.
      if (this.#entries[0] === entry) this.#entries.shift();
      settled = true;
    }
    return settled;
  }

  #measure(): void {
    const marks = this.#marks;
    if (marks === null) return;
    const { usedBytes } = this.#producer();
    if (!this.#high && usedBytes >= marks.high) {
      this.#high = true;
      marks.onHigh?.(usedBytes);
    } else if (this.#high && usedBytes <= marks.low) {
      this.#high = false;
      marks.onLow?.(usedBytes);
    }
  }
}
