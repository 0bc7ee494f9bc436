import { distance } from '../memory/wrap.js';
import type { RingConsumer } from '../ring/consumer.js';
import { WAITING } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import type { RingProducer } from '../ring/producer.js';
import type { Checkpoints, JournalState } from './checkpoint.js';

/**
 * What a session survives, in the words of SQLite's levels: with `process` what was pushed is durable over the death
 * of processes, and may be lost with the loss of power; with `disk` it is durable over that too, once it was flushed,
 * and nothing leaves this side before.
 */
export const DURABILITY_LEVELS = ['process', 'disk'] as const;
/** One of {@link DURABILITY_LEVELS}. */
export type DurabilityLevel = (typeof DURABILITY_LEVELS)[number];

/** The ends of a journal's rings. */
export interface JournalEnds {
  readonly outgoing: RingMemory;
  readonly producer: RingProducer;
  readonly acknowledger: RingConsumer;
  readonly incoming: RingMemory;
  readonly consumer: RingConsumer;
}

/**
 * Decides what of a journal is safe on the disk, and when to write: pure, the system call is its caller's.
 *
 * Group commit: `begin` writes a checkpoint of all there is, the caller has the file written to the disk, `complete`
 * says that it is there. Then `published` may be sent up to, `position` may be acknowledged, and what the peer has
 * acknowledged is cleared: not before, as the last safe checkpoint still speaks of those bytes.
 * Invariants: sent ≤ safe published ≤ published, told ≤ safe popped ≤ popped, reclaimed ≤ safe acknowledged.
 */
export class Durability {
  readonly #ends: JournalEnds;
  readonly #checkpoints: Checkpoints;
  #safe: JournalState;
  #begun: JournalState | null = null;
  /** Safe positions, as numbers for the hot path. */
  #published: number;
  #position: number;
  #popped: number;
  /** The consumer's position as last seen by `urgent`. */
  #seen: number;

  /** The checkpoint that was confirmed last is one of the present state. */
  constructor(ends: JournalEnds, checkpoints: Checkpoints) {
    this.#ends = ends;
    this.#checkpoints = checkpoints;
    this.#safe = this.#state();
    this.#published = ends.producer.published;
    this.#position = ends.consumer.position;
    this.#popped = ends.consumer.popped;
    this.#seen = this.#position;
  }

  /** Position up to which pushed messages are safe, and may be sent. */
  get published(): number {
    return this.#published;
  }

  /** Position and number of the messages whose pop is safe, and may be acknowledged. */
  get position(): number {
    return this.#position;
  }
  get popped(): number {
    return this.#popped;
  }

  /** Whether everything pushed and popped so far is safe. */
  get clean(): boolean {
    const { producer, consumer } = this.#ends;
    return producer.published === this.#published && consumer.position === this.#position;
  }

  /** How much was pushed that is not safe. */
  get unsafeBytes(): number {
    return distance(this.#published, this.#ends.producer.published);
  }

  /** Whether a checkpoint is being written. */
  get writing(): boolean {
    return this.#begun !== null;
  }

  /** Whether the one that is being written has everything pushed and popped so far. */
  get covered(): boolean {
    const { producer, consumer } = this.#ends;
    return (
      this.#begun !== null &&
      producer.published === (this.#begun.pushed.position | 0) &&
      consumer.position === (this.#begun.popped.position | 0)
    );
  }

  /**
   * Whether somebody waits for what a write would make safe: something to be sent, room in a queue, or pops to be
   * acknowledged, once they pause or have gathered. To be asked with every poll.
   */
  urgent(): boolean {
    const { producer, consumer, acknowledger, incoming, outgoing } = this.#ends;
    if (producer.published !== this.#published) return true;
    const { position } = consumer;
    const paused = position === this.#seen;
    this.#seen = position;
    const popped = distance(this.#position, position);
    if (popped > 0 && (paused || popped >= GATHER_FRACTION * incoming.capacity)) return true;
    const acknowledged = distance(this.#safe.acknowledged.position | 0, acknowledger.position);
    return (
      acknowledged >= GATHER_FRACTION * outgoing.capacity ||
      (acknowledged > 0 && Atomics.load(outgoing.words, WAITING) !== 0)
    );
  }

  /** Writes a checkpoint of the present state into the journal. */
  begin(): void {
    this.#begun = this.#state();
    // What was safe before is on the disk as it is: only what came since is in doubt.
    this.#checkpoints.write(this.#begun, this.#published);
  }

  /** The checkpoint that was begun, and all that it speaks of, is on the disk. */
  complete(): void {
    const safe = this.#begun as JournalState;
    this.#begun = null;
    this.#checkpoints.confirm();
    this.#safe = safe;
    this.#published = safe.pushed.position | 0;
    this.#position = safe.popped.position | 0;
    this.#popped = safe.popped.sequence;
    this.#ends.acknowledger.reclaim(safe.acknowledged.position | 0);
  }

  #state(): JournalState {
    const { producer, acknowledger, consumer } = this.#ends;
    return {
      acknowledged: { position: acknowledger.position, sequence: acknowledger.popped },
      pushed: { position: producer.published, sequence: producer.pushed },
      popped: { position: consumer.position, sequence: consumer.popped },
    };
  }
}

/** Of the capacity: so much that was popped or acknowledged is worth a write of its own. */
const GATHER_FRACTION = 1 / 4;
