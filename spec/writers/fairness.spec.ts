import { expect } from 'chai';
import type { ConnectionWriter, Message } from '../../lib/index.js';
import { Watchdog } from '../support/until.js';
import { Channel, LARGEST } from './channel.js';
import { Ledger, pushNumbered } from './numbered.js';

/** What `lib/writer/writers.ts` moves of one writer in its turn. */
const TURN_BYTES = 4096;

describe('many writers of a connection', () => {
  let channel: Channel;
  afterEach(() => {
    channel.close();
  });

  /** Pushes until the ring is full. */
  function flood(writer: ConnectionWriter, id: number, size: number): void {
    while (pushNumbered(writer, id, writer.pushed, size));
  }

  /** The peer takes one message, and the ledger notes it. */
  function receiveOne(ledger: Ledger): number {
    const writer = ledger.take(channel.far.front() as Message);
    channel.far.pop();
    return writer;
  }

  it('get null when queue and ring are full, lose nothing, and go on when there is room', () => {
    channel = new Channel();
    const writers = [channel.writer(), channel.writer()];
    const ledger = new Ledger(2, null);
    for (let round = 0; round < 20; round++) {
      const size = 20 + round * 40;
      do {
        for (const [id, writer] of writers.entries()) flood(writer, id, size);
      } while (channel.local.side.drainWriters());
      expect(channel.local.alloc(size)).to.equal(null);
      for (const writer of writers) expect(writer.alloc(size)).to.equal(null);
      const pushed = writers.reduce((sum, writer) => sum + writer.pushed, 0);
      // More than the queue and one of the rings can hold.
      expect((pushed - ledger.total) * (size + 8)).to.be.above(2 * 4096);
      const watchdog = new Watchdog('all messages');
      while (ledger.total < pushed) {
        watchdog.check();
        channel.poll();
        while (channel.far.front() !== null) receiveOne(ledger);
      }
      expect(ledger.total).to.equal(pushed);
      expect(channel.local.side.drainWriters()).to.equal(false);
    }
  });

  for (const [what, size, flooding] of [
    ['a small message', 56, 56],
    ['a small message among large ones', 20, LARGEST],
    ['the largest message', LARGEST, 56],
    ['the largest message among middle ones', LARGEST, LARGEST / 2],
  ] as const) {
    it(`have ${what} delivered soon, however another one floods the queue`, () => {
      channel = new Channel();
      const [flooder, other] = [channel.writer(), channel.writer()];
      const ledger = new Ledger(2, null);
      const poll = (): void => {
        flood(flooder, 0, flooding);
        channel.poll();
      };
      for (let n = 0; n < 20; n++) {
        for (let i = 0; i < 100; i++) {
          poll();
          expect(receiveOne(ledger)).to.equal(0);
        }
        pushNumbered(other, 1, n, size);
        let ahead = 0;
        // What is in the queue already, and two turns with a message each that goes beyond.
        const most = (4096 + 2 * (TURN_BYTES + flooding + 8)) / (flooding + 8);
        for (poll(); receiveOne(ledger) === 0; poll()) expect(++ahead).to.be.at.most(most);
        while (ledger.counts[1] !== n + 1) receiveOne(ledger);
      }
    });
  }

  it('have equal shares of a full queue, in bytes', () => {
    channel = new Channel();
    const sizes = [20, 56, 100, 504, LARGEST];
    const writers = sizes.map(() => channel.writer());
    const ledger = new Ledger(sizes.length, null);
    for (let n = 0; n < 30_000; n++) {
      for (const [id, writer] of writers.entries()) flood(writer, id, sizes[id] as number);
      channel.poll();
      receiveOne(ledger);
    }
    const bytes = ledger.counts.map((count, id) => count * ((sizes[id] as number) + 8));
    const least = Math.min(...bytes);
    expect(least).to.be.above(50 * TURN_BYTES);
    for (const share of bytes) expect(share / least).to.be.below(1.5);
  });

  it('are moved a little of each with every poll, as others wait for it', () => {
    channel = new Channel(2 ** 20);
    const writers = [channel.writer(), channel.writer(), channel.writer()];
    const ledger = new Ledger(3, null);
    for (const [id, writer] of writers.entries()) flood(writer, id, 56);
    for (let i = 0; i < 10; i++) {
      channel.poll();
      let got = 0;
      for (; channel.far.front() !== null; got++) receiveOne(ledger);
      expect(got).to.equal((3 * TURN_BYTES) / 64);
      expect(ledger.counts).to.deep.equal(Array(3).fill(((i + 1) * TURN_BYTES) / 64));
    }
  });
});
