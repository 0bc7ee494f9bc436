import { RingConsumer } from '../ring/consumer.js';
import type { RingMemory } from '../ring/memory.js';
import { RingReplica } from '../ring/replica.js';
import { Durability, type JournalEnds } from '../session/durability.js';
import { Replication, type ReplicationState } from '../session/replication.js';
import type { SideState } from '../session/state.js';
import { Flusher } from '../store/flusher.js';
import type { Ends } from './ends.js';

/**
 * What a side has where it does not share memory with its peer, over tcp: the ends that stand in for the peer in its own
 * copies of the queues, and with durability 'disk' what of them is safe there. (A journal never moves, so its ends stay.)
 */
export class Copies {
  readonly #ends: JournalEnds;
  readonly #replica: RingReplica;
  readonly #durability: Durability | null = null;
  /** What writes them to the disk. */
  readonly flusher: Flusher | null = null;

  /** With `replicated`, goes on where another thread was. `written` is called when a write has ended. */
  constructor({ open, producer, consumer }: Ends, replicated: ReplicationState | null, written: () => void) {
    const { segment, role, journal, where } = open;
    const outgoing = segment.outgoing(role);
    const incoming = segment.incoming(role);
    this.#ends = { outgoing, producer, acknowledger: new RingConsumer(outgoing), incoming, consumer };
    this.#replica = new RingReplica(incoming, replicated?.unfinished ?? null);
    if (journal !== null && journal.disk !== null) {
      this.#durability = new Durability(this.#ends, journal.checkpoints);
      this.flusher = new Flusher(this.#durability, journal.disk, where, written);
    }
  }

  /** The queue that is sent. */
  get outgoing(): RingMemory {
    return this.#ends.outgoing;
  }

  /** Whether a write to the disk is under way, or due. */
  get unsafe(): boolean {
    return this.#durability !== null && (this.#durability.writing || !this.#durability.clean);
  }

  /** What the peer may be told of `state`: it frees what it is told to be popped. */
  told(state: SideState): SideState {
    if (this.#durability === null) return state;
    const { position, popped } = this.#durability;
    return { ...state, popped: { position: position >>> 0, sequence: popped } };
  }

  /** Keeps the copies equal from where the peer has them. */
  begin(peer: SideState): Replication {
    const { acknowledger, producer } = this.#ends;
    acknowledger.popUpTo(peer.popped.position | 0, producer.published);
    if (this.#durability === null) acknowledger.reclaim();
    return this.#replicate(peer.received.position | 0);
  }

  /** Goes on in the middle of whatever another thread was at. */
  resume(state: ReplicationState): Replication {
    return this.#replicate(state);
  }

  #replicate(from: number | ReplicationState): Replication {
    return new Replication({ ...this.#ends, replica: this.#replica, durability: this.#durability }, from);
  }
}
