import { expect } from 'chai';
import { type Messenger, messenger, RingChannel } from '../../lib/index.js';
import { dropLink, WAYS } from '../peers/support.js';
import { gate, type Talk, talk } from './support.js';

for (const way of WAYS) {
  describe(`modes of requests over ${way}`, () => {
    let it_: Talk;
    beforeEach(async () => {
      it_ = await talk(way);
    });
    afterEach(() => it_.scene.end());

    async function cut(): Promise<void> {
      const { pair, scene } = it_;
      dropLink(pair.local);
      await scene.until(() => pair.serverEnded.length > 0, 'the server to notice');
    }

    /** The process of the server ends as far as its messenger goes, and another one begins. */
    function replaced(): Messenger {
      it_.far.close();
      return messenger(it_.pair.remote);
    }

    // Between threads there is no link that could break while both live.
    if (way !== 'inproc') {
      it('while there is no link, one-shots fail at once and all others wait for it', async () => {
        const { near, far, scene, pair, settled, rejected } = it_;
        far.handle('echo', (value) => value);
        expect(await settled(near.request('echo', 0))).to.equal(0);
        await cut();
        await rejected(near.request('echo', 1, { oneShot: true }), 'ERR_NOT_SENT');
        const calls = [{}, { idempotent: true }, { synchronous: true }].map((mode, i) =>
          near.call('echo', i, mode),
        );
        const notice = near.notify('echo', 4);
        await it_.turns(5);
        expect(calls.map(({ left }) => left)).to.deep.equal([false, false, false]);
        expect(near.load).to.deep.equal({ waiting: 4, open: 0 });
        await scene.connect(pair.client, pair.address);
        expect(await settled(Promise.all(calls.map(({ response }) => response)))).to.deep.equal([0, 1, 2]);
        await settled(notice);
        expect(await settled(near.request('echo', 5, { oneShot: true }))).to.equal(5);
      });

      it('what has not left can be taken back, and nothing else', async () => {
        const { near, far, scene, pair, rejected, settled } = it_;
        const ran: unknown[] = [];
        far.handle('note', (value) => void ran.push(value));
        await cut();
        const waits = near.call('note', 1);
        const refused = rejected(waits.response, 'ERR_NOT_SENT');
        expect(waits.withdraw()).to.equal(true);
        expect(waits.withdraw(), 'twice').to.equal(false);
        await refused;
        await scene.connect(pair.client, pair.address);
        const left = near.call('note', 2);
        await scene.until(() => left.left, 'the request to leave');
        expect(left.withdraw()).to.equal(false);
        await settled(left.response);
        expect(ran).to.deep.equal([2]);
      });
    }

    it('when the peer dies while it runs, idempotent ones run again and the others are unanswered', async () => {
      const { near, far, scene, settled, rejected } = it_;
      let runs = 0;
      far.handle('work', () => {
        runs++;
        return new Promise(() => {});
      });
      const normal = rejected(near.request('work', 1), 'ERR_UNANSWERED');
      const again = near.request('work', 2, { idempotent: true });
      const large = near.request('work', 'x'.repeat(150_000), { idempotent: true, synchronous: true });
      await scene.until(() => runs === 3, 'all to run');
      const second: unknown[] = [];
      replaced().handle('work', (value: unknown) => second.push(value));
      await normal;
      await settled(Promise.all([again, large]));
      expect(second).to.have.members([2, 'x'.repeat(150_000)]);
      expect(near.load).to.deep.equal({ waiting: 0, open: 0 });
    });

    it('what was pushed and not popped when the peer died runs in the next one, once', async () => {
      const { near, far, scene, settled } = it_;
      far.handle('hello', () => 1);
      await settled(near.request('hello'));
      // Nothing polls the server from here on.
      const call = near.call('work', 5);
      for (let i = 0; i < 5 && !call.left; i++) it_.pair.client.poll();
      expect(call.left).to.equal(true);
      let runs = 0;
      replaced().handle('work', (value: number) => {
        runs++;
        return value * 2;
      });
      expect(await settled(call.response)).to.equal(10);
      await scene.turn();
      expect(runs).to.equal(1);
    });

    it('a handler is aborted when its requester has died, and its answer is nobody’s', async () => {
      const { near, far, scene, pair, settled } = it_;
      let signal: AbortSignal | null = null;
      const end = gate();
      far.handle('work', async (_, context) => {
        signal = context.signal;
        await end.opened;
        return 'for the one that is gone';
      });
      far.handle('echo', (value) => value);
      near.request('work').catch(() => {});
      await scene.until(() => signal !== null, 'the handler to run');
      near.close();
      const next = messenger(pair.local);
      await scene.until(() => (signal as unknown as AbortSignal).aborted, 'the handler to be told');
      end.open();
      expect(await settled(next.request('echo', 1))).to.equal(1);
      expect(far.counters.underWay).to.equal(0);
    });

    it('sixteen synchronous ones run one after another, in order', async () => {
      const { near, far, settled } = it_;
      let running = 0;
      const order: number[] = [];
      far.handle('work', async (n: number) => {
        expect(++running).to.equal(1);
        await it_.turns(n % 3);
        order.push(n);
        running--;
      });
      const all = Array.from({ length: 16 }, (_, n) => near.request('work', n, { synchronous: true }));
      await settled(Promise.all(all));
      expect(order).to.deep.equal(Array.from({ length: 16 }, (_, n) => n));
    });

    it('of fifteen large ones of which ten are given up, exactly five arrive', async () => {
      const { near, far, settled } = it_;
      const arrived: number[] = [];
      far.handle('work', ({ n }: { n: number }) => void arrived.push(n));
      const calls = Array.from({ length: 15 }, (_, n) => near.call('work', { n, fill: 'x'.repeat(400_000) }));
      const outcomes = calls.map(({ response }) =>
        response.then(() => 'done').catch((error: Error) => error.message),
      );
      await it_.turns(2);
      for (const [n, call] of calls.entries()) if (n % 3 !== 0) call.cancel(new Error('given up'));
      const told = await settled(Promise.all(outcomes));
      expect(told).to.deep.equal(calls.map((_, n) => (n % 3 === 0 ? 'done' : 'given up')));
      expect(arrived.sort((a, b) => a - b)).to.deep.equal([0, 3, 6, 9, 12]);
    });
  });
}

describe('a request whose handler takes its process with it', () => {
  it('does not come again', async () => {
    const channel = new RingChannel();
    const near = messenger(channel.local);
    let end = RingChannel.open(channel.remote);
    let runs = 0;
    messenger(end).handle('fatal', () => {
      runs++;
      end.close();
    });
    const outcome = near.request('fatal').catch((error: { code: string }) => error.code);
    end.poll({});
    expect(runs).to.equal(1);
    end = RingChannel.open(channel.remote);
    messenger(end).handle('fatal', () => void runs++);
    for (let i = 0; i < 3; i++) for (const one of [end, channel.local]) one.poll({});
    expect(await outcome).to.equal('ERR_UNANSWERED');
    expect(runs).to.equal(1);
    end.close();
    channel.local.close();
  });
});
