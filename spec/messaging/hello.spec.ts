import { expect } from 'chai';
import { type Connection, messenger, RingChannel } from '../../lib/index.js';

/** What a poll does for a messenger, with so many messages at the most. */
function visit({ side }: Connection, limit: number): void {
  side.delivery.serve(undefined, limit);
}

describe('the hello of a peer', () => {
  /*
   *   far → near    hello (begins) | 40 requests that near has no handler for | hello (knows near)
   *   near → far    full, so what near has to say of the requests waits in it when it takes that second hello
   */
  it('that does not begin anew leaves what it is still to be told', async () => {
    const channel = new RingChannel({ capacityBytes: 4096 });
    const end = RingChannel.open(channel.remote);
    const near = messenger(channel.local);
    while (near.load.waiting === 0) near.notify('fill', 'x'.repeat(900)).catch(() => {});
    const far = messenger(end);
    const outcomes: string[] = [];
    for (let i = 0; i < 40; i++) {
      far.request('nobody', i).catch(({ code }: { code: string }) => outcomes.push(code));
    }
    // Far takes the hello of near, and says that it knows it.
    const { pushed } = end;
    visit(end, 1);
    expect(end.pushed).to.equal(pushed + 1);
    // Near takes all, in one go.
    const { popped } = channel.local;
    visit(channel.local, 1000);
    expect(channel.local.popped).to.equal(popped + 42);
    expect(outcomes).to.deep.equal([]);
    for (let i = 0; i < 50; i++) {
      visit(end, 1000);
      visit(channel.local, 1000);
      await null;
    }
    expect(outcomes).to.deep.equal(Array.from({ length: 40 }, () => 'ERR_ANSWER'));
    expect(far.load).to.deep.equal({ waiting: 0, open: 0 });
    end.close();
    channel.local.close();
  });
});
