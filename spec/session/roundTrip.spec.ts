import { expect } from 'chai';
import { RoundTrip } from '../../lib/session/roundTrip.js';

/** Two sides with clocks of their own, and a network that takes its time. */
class Pair {
  readonly #clocks = [0, 1e9 + 0.25] as const;
  readonly sides: readonly RoundTrip[];
  #now = 0;

  constructor(intervalMs = 100, number = 0) {
    this.sides = [new RoundTrip(intervalMs, number), new RoundTrip(intervalMs, number)];
  }

  wait(ms: number): void {
    this.#now += ms;
  }

  clock(side: 0 | 1): number {
    return this.#now + this.#clocks[side];
  }

  /** A heartbeat of one side, which is under way for so long. */
  beat(from: 0 | 1, ms: number): void {
    const sender = this.sides[from] as RoundTrip;
    const word = sender.word(this.clock(from));
    sender.sent(this.clock(from));
    this.wait(ms);
    const to = from === 0 ? 1 : 0;
    (this.sides[to] as RoundTrip).received(word, this.clock(to));
  }

  last(side: 0 | 1): number | null {
    return (this.sides[side] as RoundTrip).lastMs;
  }
}

describe('the round trip of heartbeats, by the clocks of both sides', () => {
  it('is not known before one was answered', () => {
    const pair = new Pair();
    expect([pair.last(0), pair.last(1)]).to.deep.equal([null, null]);
    pair.beat(0, 3);
    expect([pair.last(0), pair.last(1)]).to.deep.equal([null, null]);
  });

  it('is the way there and back, without the time for which the other side held it', () => {
    const pair = new Pair();
    pair.beat(0, 3);
    pair.wait(70);
    pair.beat(1, 5);
    expect(pair.last(0)).to.be.closeTo(8, 1 / 64);
    expect(pair.last(1)).to.equal(null);
    pair.wait(20);
    pair.beat(0, 1);
    expect(pair.last(1)).to.be.closeTo(6, 1 / 64);
    expect(pair.last(0)).to.be.closeTo(8, 1 / 64);
  });

  it('goes on over more heartbeats than have numbers of their own', () => {
    const pair = new Pair();
    for (let i = 0; i < 100; i++) {
      pair.beat(0, i);
      pair.wait(30);
      pair.beat(1, 1);
      expect(pair.last(0), `round ${i}`).to.be.closeTo(i + 1, 1 / 64);
    }
  });

  it('is smoothed as that of TCP is', () => {
    const pair = new Pair();
    const [side] = pair.sides as [RoundTrip, RoundTrip];
    for (const ms of [8, 16, 16]) {
      pair.beat(0, ms / 2);
      pair.beat(1, ms / 2);
    }
    expect(side.smoothedMs).to.be.closeTo(8 + 1 + 7 / 8, 0.05);
  });

  it('is not told before an answer has come, where heartbeats meet on their way, nor twice by one', () => {
    const [a, b] = new Pair().sides as [RoundTrip, RoundTrip];
    const fromA = a.word(0);
    a.sent(0);
    const fromB = b.word(0);
    b.sent(0);
    a.received(fromB, 2);
    b.received(fromA, 2);
    expect([a.lastMs, b.lastMs]).to.deep.equal([null, null]);
    const answer = b.word(10);
    b.sent(10);
    a.received(answer, 13);
    expect(a.lastMs).to.be.closeTo(5, 1 / 64);
    a.received(b.word(20), 1000);
    expect(a.lastMs).to.be.closeTo(5, 1 / 64);
  });

  it('is not told by the answer to one that is long ago, whose number others have by now', () => {
    const [a, b] = new Pair().sides as [RoundTrip, RoundTrip];
    b.received(a.word(0), 0);
    for (let now = 0; now < 500; now += 100) a.sent(now);
    a.received(b.word(450), 450);
    expect(a.lastMs).to.equal(null);
  });

  it('is told by heartbeats that meet on their way all the time', () => {
    const [a, b] = new Pair().sides as [RoundTrip, RoundTrip];
    for (let now = 0; now < 3000; now += 100) {
      const [fromA, fromB] = [a.word(now), b.word(now)];
      a.sent(now);
      b.sent(now);
      a.received(fromB, now + 30);
      b.received(fromA, now + 40);
      const expected = now === 0 ? null : 70;
      expect([a.lastMs, b.lastMs], `at ${now}`).to.deep.equal([expected, expected]);
    }
  });

  it('is not told by one that was held for longer than can be said', () => {
    const pair = new Pair();
    pair.beat(0, 3);
    pair.wait(200_000);
    pair.beat(1, 3);
    expect(pair.last(0)).to.equal(null);
  });

  it('is never less than nothing, however seldom clocks are read', () => {
    const [a, b] = new Pair().sides as [RoundTrip, RoundTrip];
    b.received(a.word(0), 0);
    a.sent(0);
    a.received(b.word(50), 40);
    expect(a.lastMs).to.equal(0);
  });

  it('goes on in another thread with the numbers that the other side knows, and not with its clock', () => {
    const [a, b] = new Pair().sides as [RoundTrip, RoundTrip];
    b.received(a.word(0), 1);
    a.sent(0);
    const next = new RoundTrip(100, a.number);
    next.received(b.word(2), 1e6);
    expect(next.lastMs).to.equal(null);
    b.received(next.word(1e6), 10);
    next.sent(1e6);
    next.received(b.word(12), 1e6 + 5);
    expect(next.lastMs).to.be.closeTo(3, 1 / 64);
  });

  it('has heartbeats due once in an interval, whatever else is sent', () => {
    const side = new RoundTrip(100);
    expect(side.due(5000)).to.equal(false);
    expect(side.due(5099.9)).to.equal(false);
    expect([side.due(5100), side.due(5150)]).to.deep.equal([true, true]);
    side.sent(5150);
    expect([side.due(5249), side.due(5250)]).to.deep.equal([false, true]);
  });

  it('takes acknowledgements, which have no word, for no heartbeats', () => {
    const [a, b] = new Pair().sides as [RoundTrip, RoundTrip];
    a.word(0);
    a.sent(0);
    a.received(0, 1);
    a.received(0x7fffffff, 1);
    expect(a.lastMs).to.equal(null);
    expect(b.word(1) < 0).to.equal(true);
  });
});
