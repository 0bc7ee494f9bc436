import { expect } from 'chai';
import { growthResults, measureClients, measureGrowth } from '../../bench/memory/run.js';
import { nativeOrNull } from '../../lib/memory/native.js';

const KIB = 1024;

describe('memory that a flow leaves behind', () => {
  it('is what both processes have more at its end, also where that is less', () => {
    const use = (residentBytes: number, heapBytes: number) => ({ residentBytes, heapBytes });
    const results = growthResults(
      'memory/shm',
      1000,
      { sender: use(100 * KIB, 10), receiver: use(50 * KIB, 5) },
      { sender: use(90 * KIB, 12), receiver: use(52 * KIB, 6) },
    );
    expect(results[0]).to.include({ name: 'memory/shm/growth', unit: 'B', n: 1000, mean: -8 * KIB });
    const byName = Object.fromEntries(results.map(({ name, mean }) => [name, mean]));
    expect(byName).to.include({
      'memory/shm/sender-resident-before': 100 * KIB,
      'memory/shm/sender-resident-after': 90 * KIB,
      'memory/shm/receiver-heap-before': 5,
      'memory/shm/receiver-heap-after': 6,
    });
  });

  it('is measured of every message, in both processes', async function () {
    if (nativeOrNull() === null) this.skip();
    const results = await measureGrowth('memory/shm', 1000, [0, 0]);
    expect(results).to.have.length(9);
    for (const { name, mean, n } of results) {
      expect(n).to.equal(1000);
      if (!name.endsWith('growth')) expect(mean, name).to.be.above(0);
    }
  });
});

describe('memory of a client', () => {
  it('is that of its process, beside one that does nothing', async function () {
    if (nativeOrNull() === null) this.skip();
    const [client, empty] = await measureClients();
    expect(client).to.include({ name: 'memory/client', unit: 'B', n: 3 });
    expect(empty).to.include({ name: 'memory/empty-node', unit: 'B', n: 3 });
    expect(client?.mean).to.be.above(0);
    expect(empty?.mean).to.be.above(0);
  });
});
