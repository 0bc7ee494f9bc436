import { expect } from 'chai';
import { Outgoing, OutgoingFlow } from '../../lib/messaging/outgoing.js';
import { FRAGMENT_COST } from '../../lib/messaging/packet.js';
import { Random, randomSeed } from '../support/random.js';

const FRAGMENT = 100;

function flow(bytes: number, level = 1, credit = 1_000_000): OutgoingFlow {
  const one = new OutgoingFlow(false, level, credit);
  one.bytes = new Uint8Array(bytes);
  one.ends = true;
  return one;
}

/** Sends the next fragment, and gives whose it was. */
function step(outgoing: Outgoing, large = true): OutgoingFlow | null {
  const next = outgoing.next(large);
  if (next === null) return null;
  next.sent(next.fragmentBytes(FRAGMENT));
  outgoing.went(next);
  return next;
}

describe('the turns of outgoing flows', () => {
  it('are taken one fragment after the other', () => {
    const outgoing = new Outgoing(8);
    const flows = [flow(300), flow(300), flow(300)];
    for (const one of flows) outgoing.stir(one);
    const order = Array.from({ length: 9 }, () => flows.indexOf(step(outgoing) as OutgoingFlow));
    expect(order).to.deep.equal([0, 1, 2, 0, 1, 2, 0, 1, 2]);
    expect(step(outgoing)).to.equal(null);
    expect(outgoing.empty).to.equal(true);
  });

  it('come after those that begin, but for one in five', () => {
    const outgoing = new Outgoing(8);
    const large = flow(10_000);
    outgoing.stir(large);
    step(outgoing);
    for (let i = 0; i < 20; i++) outgoing.stir(flow(10));
    const order = Array.from({ length: 10 }, () => (step(outgoing) === large ? 'L' : 's')).join('');
    // The large one was itself the first of five.
    expect(order).to.equal('sssLssssLs');
  });

  it('are those of so many, and the others wait until one of them ends its value', () => {
    const outgoing = new Outgoing(2);
    const flows = [flow(300), flow(300), flow(300), flow(300)];
    for (const one of flows) outgoing.stir(one);
    const order = Array.from({ length: 12 }, () => flows.indexOf(step(outgoing) as OutgoingFlow));
    expect(order.slice(0, 4)).to.deep.equal([0, 1, 2, 3]);
    expect(new Set(order.slice(4, 8))).to.deep.equal(new Set([0, 1]));
    expect(new Set(order.slice(8))).to.deep.equal(new Set([2, 3]));
  });

  it('are of the most urgent, and now and then of the others', () => {
    const outgoing = new Outgoing(8);
    const urgent = flow(100_000, 0);
    const low = flow(100_000, 2);
    outgoing.stir(low);
    outgoing.stir(urgent);
    const order = Array.from({ length: 30 }, () => (step(outgoing) === urgent ? 'u' : 'l')).join('');
    expect(order).to.match(/^(u{8}l)+u*$/);
  });

  it('pass over a flow without credit, until it has some', () => {
    const outgoing = new Outgoing(8);
    const poor = flow(300, 1, 100 + FRAGMENT_COST);
    const rich = flow(300);
    outgoing.stir(poor);
    outgoing.stir(rich);
    const order = Array.from({ length: 4 }, () => (step(outgoing) === poor ? 'p' : 'r')).join('');
    expect(order).to.equal('prrr');
    expect(step(outgoing)).to.equal(null);
    poor.credit += 1000;
    outgoing.stir(poor);
    expect([step(outgoing), step(outgoing), step(outgoing)]).to.deep.equal([poor, poor, null]);
    expect(poor.done).to.equal(true);
  });

  const seed = randomSeed();
  it(`have all sent that is not given up, whatever comes when (seed ${seed})`, () => {
    const random = new Random(seed);
    for (let run = 0; run < 200; run++) {
      const outgoing = new Outgoing(random.between(1, 5));
      const all: { one: OutgoingFlow; gone: boolean }[] = [];
      for (let i = 0; i < 200; i++) {
        const act = random.below(10);
        if (act < 3) {
          const one = flow(random.below(1000), random.below(3), random.between(0, 500));
          all.push({ one, gone: false });
          outgoing.stir(one);
        } else if (act < 8) {
          const next = outgoing.next(random.once(2));
          if (next === null) continue;
          expect(next.ready).to.equal(true);
          next.sent(next.fragmentBytes(FRAGMENT));
          expect(next.credit).to.be.at.least(0);
          outgoing.went(next);
        } else if (all.length > 0) {
          const picked = random.pick(all);
          if (random.once(3)) {
            picked.gone = true;
            outgoing.remove(picked.one);
          } else {
            picked.one.credit += random.below(1000);
            outgoing.stir(picked.one);
          }
        }
      }
      for (const { one } of all) {
        one.credit += 100_000;
        outgoing.stir(one);
      }
      let left = 10_000;
      while (step(outgoing) !== null && --left > 0);
      expect(outgoing.empty).to.equal(true);
      expect(all.filter(({ one }) => !one.done)).to.deep.equal([]);
    }
  });
});
