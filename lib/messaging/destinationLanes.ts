import type { Ticket } from './destinationQueue.js';

/** A connection of a pool, from the first attempt to its end. */
export interface Lane<T> {
  /** In its name: no other one of the pool has it meanwhile. */
  readonly number: number;
  readonly address: string;
  /** 'lost': its link has ended, and its session waits for the server; 'resuming': an attempt is under way. */
  state: 'pending' | 'active' | 'lost' | 'resuming' | 'gone';
  readonly inFlight: Set<Ticket<T>>;
  /** Since when it is what it is: idle, or lost. */
  since: number;
  /** Attempts to resume that have failed, and when the next one is due. */
  failures: number;
  dueAt: number;
  /** Attempts before the one that led to it, which count on if it ends without having been of any use. */
  attempts: number;
}

/** The connections of a pool, and the main one of them. */
export class Lanes<T> {
  readonly #lanes = new Set<Lane<T>>();
  #main: Lane<T> | null = null;

  get size(): number {
    return this.#lanes.size;
  }

  /** Of a copy: who goes through them may drop some. */
  [Symbol.iterator](): IterableIterator<Lane<T>> {
    return [...this.#lanes].values();
  }

  /** Where synchronous messages go: the one that has been there for longest. */
  get main(): Lane<T> | null {
    return this.#main;
  }

  add(number: number, address: string, now: number): Lane<T> {
    const lane: Lane<T> = {
      number,
      address,
      state: 'pending',
      inFlight: new Set(),
      since: now,
      failures: 0,
      dueAt: now,
      attempts: 0,
    };
    this.#lanes.add(lane);
    return lane;
  }

  drop(lane: Lane<T>): void {
    lane.state = 'gone';
    this.#lanes.delete(lane);
  }

  /** Looks for another main one, unless that is still up, or `held`: what is under way on it must come to its end first. */
  chooseMain(held: boolean): void {
    const main = this.#main;
    if (main?.state === 'active' || (held && main !== null && main.state !== 'gone')) return;
    this.#main = [...this.#lanes].find(({ state }) => state === 'active') ?? null;
  }

  count(state: Lane<T>['state']): number {
    let count = 0;
    for (const lane of this.#lanes) if (lane.state === state) count++;
    return count;
  }

  countAt(address: string): number {
    let count = 0;
    for (const lane of this.#lanes) if (lane.address === address) count++;
    return count;
  }

  /** Messages in flight on those that are up. */
  get inFlight(): number {
    let count = 0;
    for (const lane of this.#lanes) if (lane.state === 'active') count += lane.inFlight.size;
    return count;
  }

  /** The one that is up and has the fewest messages in flight, fewer than `most`. */
  leastBusy(most: number): Lane<T> | null {
    let best: Lane<T> | null = null;
    for (const lane of this.#lanes) {
      if (lane.state !== 'active' || lane.inFlight.size >= (best?.inFlight.size ?? most)) continue;
      best = lane;
    }
    return best;
  }
}
