import { expect } from 'chai';
import { OpenIds } from '../../lib/messaging/openIds.js';
import { Random } from '../support/random.js';

describe('open ids', () => {
  it('are found where their slots were others before', () => {
    const ids = new OpenIds<string>();
    ids.add(128, 'stays');
    ids.add(129, 'goes');
    ids.remove(129);
    ids.add(192, 'has the slot of the first one');
    expect([ids.find(128), ids.find(129), ids.find(192)]).to.deep.equal([
      'stays',
      undefined,
      'has the slot of the first one',
    ]);
  });

  it('are found until they are removed, however many are open and however long', () => {
    const seed = (Math.random() * 2 ** 32) >>> 0;
    const random = new Random(seed);
    const ids = new OpenIds<string>();
    const model = new Map<number, string>();
    // Where ids wrap.
    let lastId = 2 ** 32 - 20_000;
    for (let step = 0; step < 60_000; step++) {
      // Few are open for most of the time, and more than there are slots in between.
      const most = step % 20_000 > 12_000 ? 10_000 : 100;
      if (model.size < most && random.below(5) > 0) {
        lastId = (lastId + 1 + random.below(3)) >>> 0;
        ids.add(lastId, `item ${lastId}`);
        model.set(lastId, `item ${lastId}`);
      } else {
        const [oldest] = model.keys();
        const id = model.has(lastId) && random.below(2) === 0 ? lastId : oldest;
        if (id === undefined) continue;
        expect(ids.remove(id), `seed ${seed}`).to.equal(true);
        expect(ids.remove(id), `seed ${seed}`).to.equal(false);
        model.delete(id);
      }
      const asked = (lastId - random.below(6000)) >>> 0;
      expect(ids.find(asked), `seed ${seed}`).to.equal(model.get(asked));
      expect(ids.size, `seed ${seed}`).to.equal(model.size);
    }
    expect(ids.values(lastId), `seed ${seed}`).to.deep.equal([...model.values()]);
    ids.clear();
    expect([ids.size, ids.find(lastId), ids.values(lastId)]).to.deep.equal([0, undefined, []]);
  });
});
