import { expect } from 'chai';
import { Lingering } from '../../lib/ring/lingering.js';

/** A side that finds its ring empty again and again. */
class Reader {
  readonly producer = { pushed: 5 };
  readonly #lingering: Lingering;
  #popped: number;

  constructor(popped = 0) {
    this.#popped = popped;
    this.#lingering = new Lingering(this, popped);
  }

  /** Cycles that it stays away behind so many messages of 72 bytes, of which it has answered so many. */
  read(messages: number, answered = 0, bytes = messages * 72): number {
    this.#popped += messages;
    this.producer.pushed += answered;
    return this.#lingering.cycles(this.#popped, bytes);
  }
}

describe('how long a consumer that has caught up stays away', () => {
  it('not after single messages, but for one try in 64', () => {
    const reader = new Reader();
    const stayed = Array.from({ length: 128 }, () => reader.read(1));
    expect(stayed.flatMap((cycles, i) => (cycles === 0 ? [] : [i]))).to.deep.equal([63, 127]);
  });

  it('in a flow the longer, the more has come, within bounds', () => {
    const reader = new Reader(1000);
    const few = reader.read(8);
    const more = reader.read(20);
    const larger = reader.read(20, 0, 20 * 256);
    expect(few).to.be.within(384, more - 1);
    expect(more).to.be.below(larger);
    expect(reader.read(1000, 0, 16384)).to.equal(4096);
    expect(reader.read(4, 0, 32)).to.equal(384);
  });

  it('not after a few messages that were answered, as their sender may wait for that', () => {
    const reader = new Reader();
    expect(reader.read(4, 4)).to.equal(0);
    expect(reader.read(15, 1)).to.equal(0);
    // Many on their way go better in batches.
    expect(reader.read(16, 16)).to.equal(384);
    expect(reader.read(500, 500)).to.equal(384);
    expect(reader.read(500), 'not answered').to.equal(4096);
  });
});
