import { expect } from 'chai';
import type { Connection } from '../../lib/connection/connection.js';
import { ConnectionWriter } from '../../lib/index.js';
import { MovingSession, receive, TIMEOUT_MS } from '../peers/movingSession.js';
import { expectCode } from '../support/failure.js';
import { silence } from '../support/silence.js';
import { CAPACITY, gather } from './channel.js';

describe('writers of a connection whose session moves to a fresh file', () => {
  let session: MovingSession;
  let bob: Connection;

  beforeEach(() => {
    session = new MovingSession(CAPACITY);
    ({ bob } = session);
  });
  afterEach(() => session.end());

  /** Does something once, right before the n-th next call of a method of bob's connection. */
  function rightBefore(method: 'alloc' | 'push' | 'pushMore' | 'publish', n: number, act: () => void): void {
    const real = bob[method].bind(bob) as (...args: unknown[]) => unknown;
    let calls = 0;
    Object.defineProperty(bob, method, {
      configurable: true,
      value: (...args: unknown[]) => {
        if (++calls === n) act();
        return real(...args);
      },
    });
  }

  it('go on there, and notice nothing', () => {
    const writer = ConnectionWriter.open(bob.writer());
    for (let n = 0; n < 10; n++) {
      writer.send(`${n}`);
      session.takeOver();
      gather(writer, ['a', 'b']);
      writer.publish();
      bob.side.drainWriters();
      expect(receive(session.alice)).to.deep.equal([`${n}`, 'a', 'b']);
    }
    expect(bob.pushed).to.equal(30);
    writer.close();
  });

  const places = [
    ['alloc', 1],
    ['push', 1],
    ['alloc', 2],
    ['pushMore', 1],
    ['alloc', 3],
    ['pushMore', 3],
    ['alloc', 4],
    ['publish', 1],
    ['alloc', 5],
    ['push', 2],
  ] as const;
  for (const [method, n] of places) {
    it(`lose and repeat nothing and tear no batch when it moves before ${method} ${n} of a poll`, () => {
      const writer = ConnectionWriter.open(bob.writer());
      writer.send('first');
      gather(writer, ['a', 'b', 'c']);
      writer.publish();
      writer.send('last');
      let seen: string[] = [];
      let moved = false;
      rightBefore(method, n, () => {
        session.takeOver();
        moved = true;
        seen = receive(session.alice);
      });
      bob.side.drainWriters();
      expect(moved).to.equal(true);
      const all = ['first', 'a', 'b', 'c', 'last'];
      seen.push(...receive(session.alice));
      // Whole batches only, whatever was moved by then.
      expect([0, 1, 4, 5]).to.include(seen.length);
      expect(seen).to.deep.equal(all.slice(0, seen.length));
      bob.side.drainWriters();
      seen.push(...receive(session.alice));
      expect(seen).to.deep.equal(all);
      expect([bob.pushed, writer.pushed]).to.deep.equal([5, 5]);
      writer.close();
    });
  }

  it('are closed with it when another process has taken over its own side', () => {
    const writer = ConnectionWriter.open(bob.writer());
    writer.send('before');
    bob.side.drainWriters();
    silence(bob.side.ends.open, TIMEOUT_MS);
    const successor = session.open('server');
    writer.send('to nobody');
    expect(bob.side.drainWriters()).to.equal(false);
    expect(bob.side.pollLink(0)).to.equal(false);
    bob.side.disconnect({}, () => {});
    expect([bob.state, successor.pushed]).to.deep.equal(['closed', 1]);
    expectCode(() => writer.send('too late'), 'ERR_CLOSED');
    expect(receive(session.alice)).to.deep.equal(['before']);
  });

  for (const [method, n] of places) {
    it(`are closed with it when that is taken over before ${method} ${n} of a poll: nothing of a torn batch is seen`, () => {
      const writer = ConnectionWriter.open(bob.writer());
      writer.send('first');
      const batch = ['a', 'b', 'c'].map((text) => text.repeat(300));
      gather(writer, batch);
      writer.publish();
      writer.send('last');
      rightBefore(method, n, () => {
        silence(bob.side.ends.open, TIMEOUT_MS);
        session.open('server');
      });
      expectCode(() => bob.side.drainWriters(), 'ERR_FENCED');
      expect(bob.state).to.equal('closed');
      expectCode(() => writer.send('too late'), 'ERR_CLOSED');
      const seen = receive(session.alice);
      expect([0, 1, 4]).to.include(seen.length);
      expect(seen).to.deep.equal(['first', ...batch].slice(0, seen.length));
    });
  }
});
