import { expect } from 'chai';
import { checkAllocation } from '../../bench/everyday/fields.js';
import { orderOf, quoteOf, verifyOrder, verifyQuote } from '../../bench/everyday/messages.js';
import { runMany } from '../../bench/everyday/pools.js';
import { AGENDA } from '../../bench/everyday/run.js';
import { HandlerTrips } from '../../bench/everyday/trips.js';
import type { Effort } from '../../bench/measure.js';
import { kindOf } from '../../bench/sections.js';
import { nativeOrNull } from '../../lib/memory/native.js';

const EFFORT: Effort = { warmUpMs: 0, batchesMs: 0, singleMs: 0 };

async function failureOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => String(error),
  );
}

describe('the benchmark of everyday use', () => {
  it('compares each of ours with a peer that it measures too', () => {
    const names = AGENDA.subjects.map(({ name }) => name);
    for (const subject of AGENDA.subjects) {
      if (kindOf(subject) === 'ours') expect(names, subject.name).to.include(subject.peer);
    }
  });

  describe('measures', () => {
    before(function () {
      if (nativeOrNull() === null) this.skip();
    });

    for (const { name, load } of AGENDA.subjects) {
      it(`${name}, and verifies all of it`, async () => {
        const subject = await load();
        expect(subject.name).to.equal(name);
        if ('start' in subject) {
          const trips = await subject.start([0, 0]);
          try {
            for (const count of [1, 4, 30]) await trips.roundTrips(count);
          } finally {
            await trips.stop();
          }
          return;
        }
        // Memory is looked at once code is compiled, which the effort of a spec does not suffice for.
        if (name.includes('fields') || name.includes('data-view')) return;
        const { samples } = await subject.measure([0, 0], 200, EFFORT);
        for (const ns of samples) expect(ns).to.be.above(0);
      });
    }
  });

  it('notices an order or a quote that is another one, in any field', () => {
    verifyOrder(orderOf(7), 7);
    expect(() => verifyOrder(orderOf(7), 8)).to.throw(/order 8 came back wrong/);
    for (const field of Object.keys(orderOf(7))) {
      expect(() => verifyOrder({ ...orderOf(7), [field]: [] } as never, 7), field).to.throw(/order 7/);
    }
    verifyQuote(quoteOf(7), 7);
    for (const field of Object.keys(quoteOf(7))) {
      expect(() => verifyQuote({ ...quoteOf(7), [field]: -1 }, 7), field).to.throw(/quote 7/);
    }
  });

  it('fails at the first answer that is wrong, and goes on failing', async () => {
    const trips = await HandlerTrips.start<number>(async (listener) => ({
      send: (sequence) => queueMicrotask(() => listener.answered(sequence === 3 ? 9 : sequence)),
      verify(value, sequence) {
        if (value !== sequence) throw new Error(`got ${value} rather than ${sequence}`);
      },
      stop: async () => {},
    }));
    await trips.roundTrips(3);
    expect(await failureOf(trips.roundTrips(1) as Promise<void>)).to.match(/got 9 rather than 3/);
    expect(await failureOf(trips.roundTrips(1) as Promise<void>)).to.match(/got 9 rather than 3/);
    await trips.stop();
  });

  it('notices a task with another result', async () => {
    const pool = { run: async (value: number) => (value === 300 ? 0 : value + 1) };
    await runMany(pool, 300);
    expect(await failureOf(runMany(pool, 301))).to.match(/task 300 gave 0/);
  });

  it('notices what allocates', () => {
    const kept: unknown[] = [];
    expect(() => checkAllocation(() => kept.push(new Array(200_000).fill(0)))).to.throw(
      /it allocates: \d+ bytes/,
    );
    checkAllocation(() => {});
  });
});
