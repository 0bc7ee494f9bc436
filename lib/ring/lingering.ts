/** So many messages since the ring was empty are a flow. */
const FLOW_MESSAGES = 4;
/** Where this side has pushed since: who sends has perhaps as many on their way as he may, and waits for an answer. */
const ANSWERED_FLOW_MESSAGES = 16;
/** Else it is tried once in so many times, a power of two. */
const TRY_EVERY = 64;
/** About 100 ns: some messages of a producer that does nothing else (README.md has what others come to). */
const LEAST_CYCLES = 384;
/** Otherwise about as long as it took to consume what has come since the ring was empty, and no more than a microsecond or so. */
const CYCLES_PER_MESSAGE = 64;
const CYCLES_PER_BYTE = 1 / 3;
const MOST_CYCLES = 4096;

/** Whose ring it is, with what it sends, in answer perhaps. */
interface Side {
  readonly producer: { readonly pushed: number };
}

/**
 * Whether a consumer in shared memory that has caught up with its producer stays away for a while, and how long. One that
 * has takes the line away in which the producer writes, again and again, and both are slow; one that stays some messages
 * behind is not. So in a flow it lingers before it looks again, longer the more has come: what it is behind by then is a
 * little more each time, until it no longer catches up. In between it tries that now and then, as a flow that is slow for
 * this reason looks like single messages.
 *
 * Round trips are no flows, nor are a few messages that are answered.
 */
export class Lingering {
  readonly #side: Side;
  /** What was popped when the ring was found empty last, and what was pushed when there was a flow last. */
  #popped: number;
  #pushed: number;
  /** How often the ring was found empty without a flow. */
  #empties = 0;

  constructor(side: Side, popped: number) {
    this.#side = side;
    this.#popped = popped;
    this.#pushed = side.producer.pushed;
  }

  /**
   * For how many cycles of the processor to stay away from a ring that has just become empty. `popped` is how many
   * messages were popped so far, and `bytes` what of them was not handed back yet.
   */
  cycles(popped: number, bytes: number): number {
    const messages = popped - this.#popped;
    this.#popped = popped;
    if (messages < FLOW_MESSAGES) return this.#tried();
    const { pushed } = this.#side.producer;
    const answered = pushed !== this.#pushed;
    this.#pushed = pushed;
    if (answered) return messages < ANSWERED_FLOW_MESSAGES ? this.#tried() : LEAST_CYCLES;
    const cycles = messages * CYCLES_PER_MESSAGE + bytes * CYCLES_PER_BYTE;
    return Math.min(Math.max(cycles, LEAST_CYCLES), MOST_CYCLES);
  }

  #tried(): number {
    return (++this.#empties & (TRY_EVERY - 1)) === 0 ? LEAST_CYCLES : 0;
  }
}
