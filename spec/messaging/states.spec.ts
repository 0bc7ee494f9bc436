import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { type Connection, type MessengerState, messenger } from '../../lib/index.js';
import { Scene, WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { until } from '../support/until.js';
import { talk } from './support.js';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe('a messenger that is not active yet', () => {
  for (const way of WAYS) {
    it(`exchanges raw bytes, and has requests wait until both sides are activated, ${way}`, async () => {
      const heard = { near: [] as string[], far: [] as string[] };
      const { near, far, scene, settled, turns } = await talk(way, {
        state: 'raw',
        onRaw: (bytes) => void heard.near.push(text(bytes)),
        far: { state: 'raw', onRaw: (bytes) => void heard.far.push(text(bytes)) },
      });
      const runs: unknown[] = [];
      far.handle('echo', (value) => {
        runs.push(value);
        return value;
      });
      const early = near.request('echo', 'early');
      await turns(3);
      expect(near.load).to.deep.equal({ waiting: 1, open: 0 });
      expect(near.connected).to.equal(false);
      await scene.until(() => near.sendRaw(Buffer.from('who are you?')), 'room for raw bytes');
      await scene.until(() => heard.far.length === 1, 'the question');
      await scene.until(() => far.sendRaw(new Uint8Array(0)) && far.sendRaw(Buffer.from('far')), 'room');
      await scene.until(() => heard.near.length === 2, 'the answer');
      expect(heard).to.deep.equal({ near: ['', 'far'], far: ['who are you?'] });

      // The one that is active sends, and the one that is not has it wait.
      near.enter('active');
      await turns(20);
      expect(near.load).to.deep.equal({ waiting: 0, open: 1 });
      expect(runs).to.deep.equal([]);
      far.enter('active');
      expect(await settled(early)).to.equal('early');
      await scene.end();
    });
  }

  it('answers while it is passive, and has its own requests wait', async () => {
    const { near, far, scene, settled, rejected, turns } = await talk('shm', { far: { state: 'passive' } });
    let told = 0;
    near.handle('echo', (value) => value).handle('tell', () => void told++);
    far.handle('echo', (value) => value);
    const own = far.request('echo', 'own');
    const notice = far.notify('tell');
    const parts = far.stream('echo');
    const next = parts.next();
    next.catch(() => {});
    expect(await settled(near.request('echo', 'of the peer'))).to.equal('of the peer');
    await rejected(far.request('echo', 1, { oneShot: true }), 'ERR_NOT_SENT');
    await rejected(far.request('echo', 1, { timeoutMs: 20 }), 'ERR_TIMEOUT');
    await turns(10);
    expect(far.load).to.deep.equal({ waiting: 3, open: 0 });
    far.enter('active');
    expect(await settled(own)).to.equal('own');
    await settled(notice);
    await scene.until(() => told === 1, 'the notification');
    await parts.return?.();
    await scene.end();
  });

  it('goes on from raw over passive to active, and not back', async () => {
    const { near, scene } = await talk('inproc', { state: 'raw' });
    near.enter('passive');
    near.enter('passive');
    expect(near.state).to.equal('passive');
    expectCode(() => near.enter('raw'), 'ERR_OPTION', /passive cannot become raw/);
    expectCode(() => near.sendRaw(new Uint8Array(1)), 'ERR_OPTION', /passive/);
    near.enter('active');
    expectCode(() => near.enter('passive'), 'ERR_OPTION', /active cannot become passive/);
    expectCode(() => near.enter('asleep' as MessengerState), 'ERR_OPTION', /state/);
    near.close();
    await scene.end();
  });

  it('ends the link of a peer that sends raw bytes to one that takes none', async () => {
    const { near, pair, scene } = await talk('tcp native', { state: 'raw', far: {} });
    await scene.until(() => near.sendRaw(Buffer.from('hello?')), 'room');
    await scene.until(() => pair.remote.state !== 'connected', 'the end of the link');
    await scene.end();
  });

  it('wakes up when it is activated, while it runs by itself', async () => {
    for (const way of ['shm', 'tcp native'] as const) {
      const scene = new Scene();
      const remote: Connection[] = [];
      const server = scene.server({ onConnection: (connection) => void remote.push(connection) });
      const client = scene.client();
      const connection = await scene.connect(client, await scene.address(server, way));
      await scene.until(() => remote.length === 1, 'the server to have it');
      const member = remote[0] as Connection;
      const far = messenger(member, { state: 'raw' }).handle('echo', (value) => value);
      const stop = new AbortController();
      const runs = [server.run({ signal: stop.signal }), client.run({ signal: stop.signal })];
      let answer: unknown = null;
      const request = messenger(connection).request('echo', 'hello');
      request.then((value) => {
        answer = value;
      });
      await until(
        () => member.stats().incoming.depthMessages > 0 && !connection.side.sleep.sending,
        'a request',
      );
      // Time to fall asleep.
      await sleep(50);
      expect(answer).to.equal(null);
      far.enter('active');
      await until(() => answer === 'hello', 'the answer');
      stop.abort();
      await Promise.all(runs);
      await scene.end();
    }
  });
});
