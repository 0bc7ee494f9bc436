import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { RingProducer } from '../../lib/ring/producer.js';
import { Naps } from '../support/nap.js';
import { mix, sizeOf } from '../support/traffic.js';
import { Watchdog } from '../support/until.js';
import { claim, newRing } from './rings.js';

const POPPER = new URL('./popper.js', import.meta.url);

describe('a producer that is opened again while the consumer pops on in another thread', () => {
  for (const capacity of [4096, 65536]) {
    it(`knows exactly what it had pushed, in a ring of ${capacity} bytes`, async () => {
      const count = 60_000;
      const largest = 200;
      const memory = newRing(-65536, 0, capacity, true);
      const worker = new Worker(POPPER, {
        workerData: { buffer: memory.view.buffer, capacity, count, largest },
      });
      const answer = once(worker, 'message');
      let producer = new RingProducer(memory);
      let reopened = 0;
      const naps = new Naps();
      const watchdog = new Watchdog('the consumer');
      while (producer.pushed < count) {
        const n = producer.pushed;
        // A batch of some messages, or one that is never published: the producer dies with it.
        const batch = Math.min(1 + (mix(n) % 8), count - n);
        let done = 0;
        while (done < batch && claim(producer, n + done, sizeOf(n + done, largest))) {
          producer.pushMore();
          done++;
        }
        if (mix(n + reopened) % 16 === 0) {
          producer = new RingProducer(memory);
          expect(producer.pushed).to.equal(n);
          reopened++;
        } else {
          producer.publish();
          expect(producer.pushed).to.equal(n + done);
        }
        if (done === 0) watchdog.check();
        naps.turned(done > 0);
      }
      const [result] = await answer;
      expect(result).to.deep.equal({ popped: count, wrong: null });
      expect(reopened).to.be.above(300);
      await worker.terminate();
    });
  }
});
