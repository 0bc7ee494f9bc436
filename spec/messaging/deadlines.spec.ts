import { expect } from 'chai';
import { Deadlines, TICK_MS, type Timed } from '../../lib/messaging/deadlines.js';
import { Random, randomSeed } from '../support/random.js';

function timed(): Timed {
  return { deadlineMs: 0, slot: -1, earlier: null, later: null };
}

describe('deadlines', () => {
  const seed = randomSeed();

  it(`are told once each, not before their time and not long after (seed ${seed})`, () => {
    const random = new Random(seed);
    for (let run = 0; run < 100; run++) {
      let now = random.below(100_000);
      const deadlines = new Deadlines(now);
      const waiting = new Set<Timed>();
      for (let i = 0; i < 500; i++) {
        const act = random.below(4);
        if (act < 2) {
          const one = timed();
          deadlines.add(
            one,
            now +
              random.weighted([
                [random.below(50), 3],
                [random.below(5000), 3],
                [random.below(100_000), 1],
              ]),
          );
          waiting.add(one);
        } else if (act === 2 && waiting.size > 0) {
          const one = random.pick([...waiting]);
          deadlines.remove(one);
          deadlines.remove(one);
          waiting.delete(one);
        } else {
          now += random.below(random.once(10) ? 10_000 : 30);
          for (const one of deadlines.expire(now)) {
            expect(one.deadlineMs).to.be.at.most(now);
            expect(waiting.delete(one), 'it waited').to.equal(true);
          }
          for (const one of waiting) expect(one.deadlineMs).to.be.above(now - 2 * TICK_MS);
        }
        expect(deadlines.size).to.equal(waiting.size);
      }
      const left = deadlines.expire(now + 1_000_000);
      expect(left).to.have.length(waiting.size);
      expect(left.every((one) => waiting.has(one))).to.equal(true);
    }
  });
});
