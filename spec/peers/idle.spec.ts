import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { expectCode } from '../support/failure.js';
import { newName, type Pair, Scene, WAYS } from './support.js';

const SOCKET_WAYS = ['tcp native', 'tcp net', 'shm'] as const;
const TIMES = { heartbeatIntervalMs: 3000, connectionTimeoutMs: 10_000 };

describe('a peer that only keeps the connection alive', () => {
  let scene: Scene;
  let now: number;
  beforeEach(() => {
    scene = new Scene();
    now = Math.ceil(performance.now()) + 1000;
  });
  afterEach(() => scene.end());

  /** Polls both for so long by the clock, or until one of them has ended; `act` every second. */
  async function pass(pair: Pair, ms: number, act?: () => void): Promise<void> {
    const { server, client, serverEnded, clientEnded } = pair;
    for (const end = now + ms; now < end && serverEnded.length + clientEnded.length === 0; now += 1000) {
      act?.();
      for (let i = 0; i < 3; i++) {
        server.poll(now);
        client.poll(now);
        await nextTurn();
      }
    }
  }

  for (const way of WAYS) {
    for (const limits of ['server', 'client'] as const) {
      it(`is dropped once it was idle for too long, at a limit of the ${limits}, over ${way}`, async () => {
        const own = { ...TIMES, idleTimeoutMs: 60_000 };
        const pair = await scene.pair(
          way,
          { name: newName('server'), ...(limits === 'server' ? own : TIMES) },
          { name: newName('client'), ...(limits === 'client' ? own : TIMES) },
        );
        const from = now;
        // Messages, in whichever direction, keep it.
        let talked = 0;
        await pass(pair, 151_000, () => {
          if ((now - from) % 50_000 !== 0) return;
          const [one, other] = talked++ % 2 === 0 ? [pair.local, pair.remote] : [pair.remote, pair.local];
          expect(one.alloc(8)).not.to.equal(null);
          one.push();
          for (const side of [other, one]) if (side.front() !== null) side.pop();
        });
        expect([pair.serverEnded, pair.clientEnded]).to.deep.equal([[], []]);
        expect(talked).to.equal(4);
        for (const side of [pair.local, pair.remote]) if (side.front() !== null) side.pop();
        const quiet = now;
        await pass(pair, 500_000);
        const ended = limits === 'server' ? pair.serverEnded : pair.clientEnded;
        expect(ended[0]).to.include({ reason: 'idle', error: null });
        expect(now - quiet).to.be.within(58_000, 66_000);
        const told = limits === 'server' ? pair.clientEnded : pair.serverEnded;
        await scene.until(() => told.length > 0, 'the other side to hear of it');
        expect(told[0]?.reason).to.equal('closed by peer');
        // The session stays, where a wire was all that ended.
        if (way !== 'inproc') expect(pair.local.state).to.equal('disconnected');
      });
    }
  }

  for (const way of SOCKET_WAYS) {
    for (const limits of ['server', 'client'] as const) {
      for (const [what, maxHeartbeats] of [
        ['is kept with as many heartbeats as it may send', 40],
        ['is dropped for too many heartbeats', 5],
      ] as const) {
        it(`${what}, by the ${limits} over ${way}`, async () => {
          const often = { heartbeatIntervalMs: 1000, connectionTimeoutMs: 20_000 };
          const rarely = { heartbeatIntervalMs: 3000, connectionTimeoutMs: 20_000, maxHeartbeats };
          const pair = await scene.pair(
            way,
            limits === 'server' ? rarely : often,
            limits === 'client' ? rarely : often,
          );
          await pass(pair, 100_000);
          const ended = limits === 'server' ? pair.serverEnded : pair.clientEnded;
          if (maxHeartbeats === 40) {
            expect([pair.local.state, pair.remote.state]).to.deep.equal(['connected', 'connected']);
            expect(ended).to.deep.equal([]);
          } else {
            expect(ended[0]).to.include({ reason: 'too many heartbeats', error: null });
          }
        });
      }
    }
  }

  it('is not connected again by a client whose limit it was', async () => {
    let attempts = 0;
    const pair = await scene.pair(
      'tcp native',
      { name: newName('server'), ...TIMES },
      {
        name: newName('client'),
        ...TIMES,
        idleTimeoutMs: 20_000,
        reconnect: { initialDelayMs: 1 },
        onReconnect: () => attempts++,
      },
    );
    await pass(pair, 100_000);
    expect(pair.clientEnded[0]).to.include({ reason: 'idle' });
    const ended = now;
    for (; now < ended + 20_000; now += 1000) {
      pair.client.poll(now);
      pair.server.poll(now);
      await nextTurn();
    }
    expect(attempts).to.equal(0);
    expect(pair.server.members).to.deep.equal([]);
  });

  it('has limits that are numbers', () => {
    expectCode(() => scene.client({ idleTimeoutMs: 0 }), 'ERR_OPTION', /idleTimeoutMs/);
    expectCode(() => scene.server({ maxHeartbeats: 0.5 }), 'ERR_OPTION', /maxHeartbeats/);
  });
});
