import { expect } from 'chai';
import { Lingering } from '../../lib/ring/lingering.js';

describe('how long a consumer that has caught up stays away', () => {
  /** Finds the ring empty behind so many messages, each time, and gives the cycles of each. */
  function emptied(lingering: Lingering, times: number, messages: number, bytes: number): number[] {
    let popped = 0;
    return Array.from({ length: times }, () => lingering.cycles((popped += messages), messages * bytes));
  }

  it('not after single messages, but for one try in 64', () => {
    const cycles = emptied(new Lingering({ producer: { pushed: 0 } }, 0), 128, 1, 72);
    expect(cycles.map((most, i) => (most === 0 ? -1 : i)).filter((i) => i >= 0)).to.deep.equal([63, 127]);
  });

  it('in a flow the longer, the more has come, within bounds', () => {
    const lingering = new Lingering({ producer: { pushed: 5 } }, 0);
    let popped = 0;
    const after = (messages: number, bytes: number) => lingering.cycles((popped += messages), bytes);
    const few = after(8, 8 * 72);
    const more = after(20, 20 * 72);
    const large = after(20, 20 * 256);
    expect(few).to.be.within(384, more - 1);
    expect(more).to.be.below(large);
    expect(after(1000, 16384)).to.equal(4096);
    expect(after(4, 32)).to.equal(384);
  });

  it('not after a few messages that were answered, as their sender may wait for that', () => {
    const producer = { pushed: 0 };
    const lingering = new Lingering({ producer }, 100);
    let popped = 100;
    const answered = (messages: number) => {
      producer.pushed += messages;
      return lingering.cycles((popped += messages), messages * 72);
    };
    expect(answered(4)).to.equal(0);
    expect(answered(15)).to.equal(0);
    // Many on their way go better in batches.
    expect(answered(16)).to.equal(384);
    expect(answered(500)).to.equal(384);
    expect(lingering.cycles((popped += 500), 36_000), 'not answered').to.equal(4096);
  });

  it('goes on with what was popped before', () => {
    expect(new Lingering({ producer: { pushed: 0 } }, 1000).cycles(1001, 72)).to.equal(0);
  });
});
