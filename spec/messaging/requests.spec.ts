import { expect } from 'chai';
import { json, messenger, TcpshmError } from '../../lib/index.js';
import { WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { gate, type Talk, talk } from './support.js';

for (const way of WAYS) {
  describe(`requests over ${way}`, () => {
    let it_: Talk;
    beforeEach(async () => {
      it_ = await talk(way);
    });
    afterEach(() => it_.scene.end());

    it('are answered on either side, by name and by number', async () => {
      const { near, far, settled } = it_;
      far.handle('add', ({ a, b }: { a: number; b: number }) => a + b);
      near.handle(7, async (text: string) => text.toUpperCase());
      expect(await settled(near.request<number>('add', { a: 1, b: 2 }))).to.equal(3);
      expect(await settled(far.request<string>(7, 'text'))).to.equal('TEXT');
    });

    it('carry nothing as a value, and as an answer', async () => {
      const { near, far, settled } = it_;
      const got: unknown[] = [];
      far.handle('nothing', (value) => void got.push(value));
      expect(await settled(near.request('nothing'))).to.equal(undefined);
      expect(got).to.deep.equal([undefined]);
    });

    it('are answered in the order in which their handlers end', async () => {
      const { near, far, settled } = it_;
      const first = gate();
      const order: string[] = [];
      far.handle('wait', () => first.opened).handle('go', () => first.open());
      const waited = near.request('wait').then(() => order.push('wait'));
      const went = near.request('go').then(() => order.push('go'));
      await settled(Promise.all([waited, went]));
      expect(order).to.deep.equal(['go', 'wait']);
    });

    it('and their answers may be larger than the ring', async () => {
      const { near, far, settled } = it_;
      far.handle('twice', (text: string) => text + text);
      const text = 'a text that is repeated '.repeat(20_000);
      expect(await settled(near.request<string>('twice', text))).to.equal(text + text);
    });

    it('carry errors with their names, codes and messages', async () => {
      const { near, far, rejected } = it_;
      far
        .handle('throws', () => {
          throw Object.assign(new RangeError('beyond'), { code: 'MINE' });
        })
        .handle('rejects', () => Promise.reject(new TcpshmError('ERR_BUSY', 'not now')))
        .handle('throws what is no error', () => {
          throw 'a text';
        });
      const thrown = (await rejected(near.request('throws'), 'ERR_ANSWER')).cause;
      expect(thrown)
        .to.be.instanceOf(Error)
        .and.to.include({ name: 'RangeError', message: 'beyond', code: 'MINE' });
      const refused = (await rejected(near.request('rejects'), 'ERR_ANSWER')).cause;
      expect(refused).to.include({ name: 'TcpshmError', message: 'not now', code: 'ERR_BUSY' });
      const text = (await rejected(near.request('throws what is no error'), 'ERR_ANSWER')).cause;
      expect(text).to.include({ message: 'a text' });
    });

    it('without a handler are answered with ERR_METHOD', async () => {
      const { near, rejected } = it_;
      const error = await rejected(near.request('unknown'), 'ERR_ANSWER');
      expect(error.cause).to.include({ code: 'ERR_METHOD' });
      expect(error.message).to.match(/unknown/);
    });

    it('that are given up reach the handler, whose answer is dropped', async () => {
      const { near, far, scene, settled } = it_;
      const controller = new AbortController();
      let signal: AbortSignal | null = null;
      const end = gate();
      far.handle('hang', async (_, context) => {
        signal = context.signal;
        await end.opened;
        return 'late';
      });
      const given = near.request('hang', 1, { signal: controller.signal }).catch((error: unknown) => error);
      await scene.until(() => signal !== null, 'the handler to run');
      controller.abort(new Error('given up'));
      expect(String(await settled(given))).to.match(/given up/);
      await scene.until(() => (signal as unknown as AbortSignal).aborted, 'the handler to be told');
      end.open();
      far.handle('after', () => 'after');
      expect(await settled(near.request('after'))).to.equal('after');
      expect(near.load).to.deep.equal({ waiting: 0, open: 0 });
    });

    it('with an answer that comes too late drop it and count it', async () => {
      const { near, far, scene, settled } = it_;
      far.handle('at once', () => 1);
      const call = near.call('at once');
      const given = call.response.catch((error: unknown) => error);
      // The handler answers before it can hear that nobody wants to know.
      await scene.until(() => pairPushed(), 'the answer');
      function pairPushed(): boolean {
        it_.pair.server.poll();
        return (
          far.connection.popped >= near.connection.pushed && near.connection.popped < far.connection.pushed
        );
      }
      call.cancel(new Error('given up'));
      expect(String(await settled(given))).to.match(/given up/);
      await scene.until(() => near.counters.lateAnswers === 1, 'the late answer');
    });

    it('that are not answered in time are given up with ERR_TIMEOUT, which says whether they left', async () => {
      const { near, far, scene, rejected } = it_;
      let aborted = false;
      far.handle('hang', (_, { signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true;
        });
        return new Promise(() => {});
      });
      const left = await rejected(near.request('hang', 1, { timeoutMs: 30 }), 'ERR_TIMEOUT');
      expect(left.cause).to.include({ code: 'ERR_UNANSWERED' });
      await scene.until(() => aborted, 'the handler to be told');
      const before = near.request('hang', 1, { synchronous: true });
      before.catch(() => {});
      const waits = near.request('hang', 1, { synchronous: true, timeoutMs: 30 });
      expect((await rejected(waits, 'ERR_TIMEOUT')).cause).to.include({ code: 'ERR_NOT_SENT' });
    });

    it('that are notifications are told the handler, and not answered', async () => {
      const { near, far, scene, settled } = it_;
      const heard: unknown[] = [];
      far.handle('log', (line, { expects }) => void heard.push([line, expects]));
      far.handle('fails', () => {
        throw new Error('nobody hears of it');
      });
      await settled(near.notify('fails'));
      await settled(near.notify('unknown'));
      await settled(near.notify('log', 'small'));
      await settled(near.notify('log', 'x'.repeat(200_000)));
      await scene.until(() => heard.length === 2, 'both');
      expect(heard).to.deep.equal([
        ['small', 'nothing'],
        ['x'.repeat(200_000), 'nothing'],
      ]);
      expect(far.counters.refusedNotices).to.equal(2);
      expect(near.load).to.deep.equal({ waiting: 0, open: 0 });
    });

    it('are settled once each when the connection is closed, by what is known of them', async () => {
      const { near, far, scene, rejected } = it_;
      let runs = 0;
      far.handle('hang', () => {
        runs++;
        return new Promise(() => {});
      });
      const left = near.request('hang', 1, { synchronous: true });
      const waits = near.request('hang', 2, { synchronous: true });
      await scene.until(() => runs === 1, 'the handler to run');
      const told = Promise.all([rejected(left, 'ERR_UNANSWERED'), rejected(waits, 'ERR_NOT_SENT')]);
      near.connection.close();
      await told;
      expectCode(() => near.request('hang'), 'ERR_CLOSED');
    });

    it('wait while there is no room, and all are answered', async () => {
      const { near, far, settled } = it_;
      far.handle('echo', (value) => value);
      const values = Array.from({ length: 500 }, (_, n) => ({
        n,
        fill: 'x'.repeat(n % 7 === 0 ? 30_000 : 100),
      }));
      const answers = await settled(Promise.all(values.map((value) => near.request('echo', value))));
      expect(answers).to.deep.equal(values);
    });
  });
}

describe('a messenger', () => {
  it('is one for each connection', async () => {
    const { near, scene } = await talk('inproc');
    expectCode(() => messenger(near.connection), 'ERR_BUSY');
    await scene.end();
  });

  it('refuses options that cannot be', async () => {
    const { near, scene } = await talk('inproc');
    expectCode(() => near.request(''), 'ERR_OPTION');
    expectCode(() => near.request(0), 'ERR_OPTION');
    expectCode(() => near.request('x'.repeat(256)), 'ERR_OPTION');
    expectCode(() => near.request('m', 1, { timeoutMs: 0 }), 'ERR_OPTION');
    expectCode(() => near.request('m', 1, { priority: 'urgent' as 'high' }), 'ERR_OPTION');
    expectCode(() => near.request('m', 1, { idempotent: true, oneShot: true }), 'ERR_OPTION');
    expectCode(() => near.request('m', 1, { idempotent: true, body: [1] }), 'ERR_OPTION');
    expectCode(() => near.request('m', 1, { body: 5 as unknown as [] }), 'ERR_OPTION');
    expectCode(() => near.handle('m', 5 as unknown as () => void), 'ERR_OPTION');
    near.handle('m', () => {});
    expectCode(() => near.handle('m', () => {}), 'ERR_OPTION');
    near.handle('m', null).handle('m', () => {});
    await scene.end();
  });

  it('tells of a value that its codec cannot carry, and of an answer', async () => {
    const { near, far, scene, rejected, settled } = await talk('inproc', { codec: json() });
    far.handle('function', () => () => {}).handle('ping', () => 'pong');
    await rejected(
      near.request('ping', () => {}),
      'ERR_CODEC',
    );
    expect((await rejected(near.request('function'), 'ERR_ANSWER')).cause).to.include({ code: 'ERR_CODEC' });
    expect(await settled(near.request('ping'))).to.equal('pong');
    await scene.end();
  });

  it('has so many own requests at the most', async () => {
    const { near, far, scene, settled } = await talk('inproc', { maxOwnRequests: 3 });
    far.handle('echo', (value) => value);
    const three = [1, 2, 3].map((n) => near.request('echo', n));
    expectCode(() => near.request('echo', 4), 'ERR_QUEUE_FULL');
    expect(await settled(Promise.all(three))).to.deep.equal([1, 2, 3]);
    await scene.end();
  });

  it('when drained refuses new ones, and has the others answered', async () => {
    const { near, far, scene, settled } = await talk('inproc');
    far.handle('echo', (value) => value);
    const answer = near.request('echo', 1);
    const drained = near.drain();
    expectCode(() => near.request('echo', 2), 'ERR_CLOSED');
    expect(await settled(answer)).to.equal(1);
    await settled(drained);
    await scene.end();
  });

  it('aborts a handler that has no answer in time', async () => {
    const { near, far, scene, rejected } = await talk('inproc', { handlerTimeoutMs: 20 });
    let reason: unknown = null;
    far.handle('hang', (_, { signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason;
      });
      return new Promise(() => {});
    });
    const error = await rejected(near.request('hang'), 'ERR_ANSWER');
    expect(error.cause).to.include({ code: 'ERR_TIMEOUT' });
    expect(reason).to.include({ code: 'ERR_TIMEOUT' });
    await scene.end();
  });
});
