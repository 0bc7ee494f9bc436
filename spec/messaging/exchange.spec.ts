import { expect } from 'chai';
import { Arrivals, Exchange, Exchanges } from '../../lib/messaging/exchange.js';

const normal = (): Exchange => new Exchange(1, false, false);

describe('exchanges', () => {
  it('are out at once as far as the peer takes them, the others in order of priority', () => {
    const exchanges = new Exchanges<Exchange>();
    exchanges.limit = 1;
    const first = normal();
    expect(exchanges.admits(first)).to.equal(true);
    expect(exchanges.leaves(first, 0)).to.equal(1);
    const low = new Exchange(2, false, false);
    const high = new Exchange(0, false, false);
    for (const one of [low, high]) {
      expect(exchanges.admits(one)).to.equal(false);
      exchanges.wait(one);
    }
    expect(exchanges.next()).to.equal(null);
    exchanges.settle(first);
    expect(exchanges.next()).to.equal(high);
    expect(exchanges.next()).to.equal(null);
    exchanges.settle(high);
    expect(exchanges.next()).to.equal(low);
  });

  it('that are synchronous are out one at a time, and hold up no others', () => {
    const exchanges = new Exchanges<Exchange>();
    const [first, second] = [new Exchange(1, false, true), new Exchange(1, false, true)] as const;
    exchanges.leaves(first, 0);
    expect(exchanges.admits(second)).to.equal(false);
    exchanges.wait(second);
    expect(exchanges.next()).to.equal(null);
    const other = normal();
    exchanges.wait(other);
    expect(exchanges.next()).to.equal(other);
    exchanges.settle(first);
    expect(exchanges.next()).to.equal(second);
  });

  it('that a peer took and died with are unanswered, or go out again before all others', () => {
    const exchanges = new Exchanges<Exchange>();
    const taken = normal();
    const again = new Exchange(1, true, false);
    const inRing = normal();
    for (const [at, one] of [taken, again, inRing].entries()) exchanges.leaves(one, at + 10);
    exchanges.wait(normal());
    expect(exchanges.peerBegan(12)).to.deep.equal({ unanswered: [taken], again: [again] });
    expect(exchanges.find(3)).to.equal(inRing);
    expect(exchanges.next()).to.equal(again);
    expect(again.left).to.equal(true);
    expect(exchanges.leaves(again, 20)).to.equal(4);
    expect(exchanges.find(2)).to.equal(undefined);
    expect([0, 2, 4, 5].map((id) => exchanges.knew(id))).to.deep.equal([false, true, true, false]);
  });

  it('are settled once', () => {
    const exchanges = new Exchanges<Exchange>();
    const [waits, released, open] = [normal(), normal(), normal()] as const;
    exchanges.wait(waits);
    exchanges.release(released);
    exchanges.leaves(open, 0);
    expect(exchanges.all()).to.have.members([waits, released, open]);
    for (const one of [waits, released, open]) {
      expect(exchanges.settle(one)).to.equal(true);
      expect(exchanges.settle(one)).to.equal(false);
    }
    expect([exchanges.waiting, exchanges.open, exchanges.all().length]).to.deep.equal([0, 0, 0]);
    expect(exchanges.next()).to.equal(null);
  });
});

describe('arrivals', () => {
  it('have each id once, and so many at a time', () => {
    const arrivals = new Arrivals<string>(1);
    expect(arrivals.arrives(5)).to.equal('new');
    arrivals.add(5, 'five');
    expect([arrivals.arrives(5), arrivals.arrives(4), arrivals.arrives(0)]).to.deep.equal(
      Array(3).fill('duplicate'),
    );
    expect(arrivals.arrives(6)).to.equal('too many');
    arrivals.end(5);
    expect(arrivals.arrives(6), 'it was refused').to.equal('duplicate');
    expect(arrivals.arrives(7)).to.equal('new');
    arrivals.add(7, 'seven');
    expect(arrivals.peerBegan()).to.deep.equal(['seven']);
    expect(arrivals.arrives(1)).to.equal('new');
  });

  it('go on where ids wrap', () => {
    const arrivals = new Arrivals<string>(10);
    expect(arrivals.arrives(2 ** 32 - 1)).to.equal('new');
    expect(arrivals.arrives(1)).to.equal('new');
    expect(arrivals.arrives(2 ** 32 - 1)).to.equal('duplicate');
  });
});
