/** Messages of a peer one way, as fast as they go. */
import { measureBatches, type Timed } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { Limit, Measurable } from '../subject.js';
import { PAYLOAD_BYTES, Tally } from '../tally.js';
import { endMessage, type Link, type Peer, viewOf } from './link.js';

const BATCH = 10_000;
/** Messages from one turn of the event loop to the next. */
const TURN = 500;

/** `floor` is that of one way. */
export function oneWayOf(peer: Peer, floor: Limit): Measurable {
  const name = `${peer.name}/${PAYLOAD_BYTES}`;
  return {
    name,
    limit: peer.limit,
    floor,
    busyThreads: 0,
    batch: BATCH,
    rate: { unit: '/s', bytes: PAYLOAD_BYTES },
    async measure(cpus, batch, effort) {
      const flow = new LinkFlow(await peer.connect(cpus[1], 'sink'));
      const timed: Timed = { asynchronous: true, run: (count) => flow.move(count) };
      return pinnedWhile(cpus, flow, () => measureBatches(name, timed, batch, effort));
    },
  };
}

export class LinkFlow {
  readonly #link: Link;
  readonly #seen = new Tally();
  readonly #end = endMessage();
  #failure: Error | null = null;
  #answered: (message: Uint8Array) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(link: Link) {
    this.#link = link;
    link.listen(
      (message) => this.#answered(message),
      (error) => {
        this.#failure ??= error;
        this.#reject(error);
      },
    );
  }

  /** Resolves when the other side has verified the last of `count` messages, and both have the same checksum. */
  async move(count: number): Promise<void> {
    const answer = new Promise<Uint8Array>((resolve, reject) => {
      this.#answered = resolve;
      this.#reject = reject;
      if (this.#failure !== null) reject(this.#failure);
    });
    // Its failure is for whoever waits for it below, also if it comes before.
    answer.catch(() => {});
    // What is held on to gets bytes of its own for each message.
    const slab = new Uint8Array(PAYLOAD_BYTES * (this.#link.keeps ? count : 1));
    const view = viewOf(slab);
    for (let i = 1; i <= count && this.#failure === null; i++) {
      const offset = this.#link.keeps ? (i - 1) * PAYLOAD_BYTES : 0;
      this.#seen.write({ view, offset });
      const sent = this.#link.send(this.#link.keeps ? slab.subarray(offset, offset + PAYLOAD_BYTES) : slab);
      if (sent !== undefined) await sent;
      if (i % TURN === 0) await new Promise(setImmediate);
    }
    await this.#link.send(this.#end);
    this.#seen.check({ view: viewOf(await answer), offset: 0 });
  }

  stop(): Promise<void> {
    return this.#link.stop();
  }
}
