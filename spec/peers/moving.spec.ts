import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import type { Connection } from '../../lib/connection/connection.js';
import type { Message } from '../../lib/index.js';
import { openSegmentFile } from '../../lib/store/files.js';
import type { OpenSegment } from '../../lib/store/openSegment.js';
import { LOCK_BYTE } from '../../lib/store/sessionFile.js';
import { expectCode } from '../support/failure.js';
import { silence } from '../support/silence.js';
import { until } from '../support/until.js';
import { MovingSession, receive, TIMEOUT_MS } from './movingSession.js';
import { expectError, type Scene } from './support.js';

describe('a connection whose session moves to a fresh file', () => {
  let session: MovingSession;
  let scene: Scene;
  let path: string;
  let alice: Connection;
  let bob: Connection;

  beforeEach(() => {
    session = new MovingSession(4096);
    ({ scene, path, alice, bob } = session);
  });
  afterEach(() => session.end());

  /** Another process takes alice's place. */
  function takeOver(): Connection {
    alice = session.takeOver();
    return alice;
  }

  function claim(connection: Connection, text: string): Message {
    const message = connection.alloc(Buffer.byteLength(text)) as Message;
    message.setText(text);
    return message;
  }

  describe('for the other side goes on', () => {
    it('as if nothing had been, once and again, both ways', () => {
      for (let n = 0; n < 30; n++) {
        expect(alice.send(`to bob ${n}`)).to.equal(true);
        expect(bob.send(`to alice ${n}`)).to.equal(true);
        takeOver();
        expect(receive(bob)).to.deep.equal([`to bob ${n}`]);
        expect(receive(alice)).to.deep.equal([`to alice ${n}`]);
        expect([alice.pushed, alice.popped, bob.pushed, bob.popped]).to.deep.equal(Array(4).fill(n + 1));
      }
      expect(bob.side.ends.open.lost).to.equal(false);
    });

    it('with the numbers that it had, of what is done again there too', () => {
      const counted = (): readonly number[] => {
        const { sentMessages, sentBytes, receivedMessages, receivedBytes, fullAllocs, fullPeriods } =
          bob.stats();
        return [sentMessages, sentBytes, receivedMessages, receivedBytes, fullAllocs, fullPeriods];
      };
      for (let i = 0; i < 3; i++) alice.send('12345678');
      while (bob.send(new Uint8Array(1000)));
      const { sentBytes, highWaterBytes } = bob.stats();
      expect(counted()).to.deep.equal([4, sentBytes, 0, 0, 1, 1]);
      claim(bob, 'begun before');
      bob.front();
      takeOver();
      // In the file before, and then once more in the fresh one.
      bob.pop();
      bob.push();
      bob.side.renew();
      expect(counted()).to.deep.equal([5, sentBytes + 24, 1, 16, 1, 1]);
      expect(bob.stats().highWaterBytes).to.be.at.least(highWaterBytes);
      expect(bob.stats()).to.include({ pushed: 5, popped: 1 });
      takeOver();
      receive(bob);
      receive(alice);
      bob.send('1');
      expect(counted()).to.deep.equal([6, sentBytes + 40, 3, 48, 1, 1]);
    });

    it('with a message that was allocated before', () => {
      claim(bob, 'begun before');
      takeOver();
      alice.send('look');
      expect(bob.front()?.text()).to.equal('look');
      bob.push();
      bob.send('behind');
      expect(receive(alice)).to.deep.equal(['begun before', 'behind']);
    });

    it('with one that is allocated again instead', () => {
      claim(bob, 'never sent, and longer');
      takeOver();
      claim(bob, 'instead');
      bob.push();
      expect(receive(alice)).to.deep.equal(['instead']);
    });

    it('with a batch that was begun before: at once or not at all', () => {
      claim(bob, 'one');
      bob.pushMore();
      claim(bob, 'two');
      takeOver();
      bob.pushMore();
      expect(bob.alloc(3)).to.equal(null);
      expect(receive(alice)).to.deep.equal([]);
      bob.publish();
      expect(receive(alice)).to.deep.equal(['one', 'two']);
      expect(bob.send('three')).to.equal(true);
      expect(receive(alice)).to.deep.equal(['three']);
    });

    it('with a message that it is at, which stays readable, while it answers', () => {
      alice.send('question');
      alice.send('next');
      const question = bob.front() as Message;
      takeOver();
      const answer = bob.alloc(question.size) as Message;
      answer.copyFrom(question);
      expect(question.text()).to.equal('question');
      bob.pop();
      bob.push();
      expect(receive(alice)).to.deep.equal(['question']);
      expect(receive(bob)).to.deep.equal(['next']);
      bob.side.renew();
      expect(question.size).to.equal(0);
    });

    it('with a message that it is at, which front gives again', () => {
      alice.send('one');
      bob.front();
      takeOver();
      expect(bob.front()?.text()).to.equal('one');
      expect(bob.front()?.text()).to.equal('one');
      expect(receive(bob)).to.deep.equal(['one']);
    });

    it('with a message that it pops first of all', () => {
      alice.send('one');
      alice.send('two');
      bob.front();
      takeOver();
      bob.pop();
      expect(bob.popped).to.equal(1);
      expect(receive(bob)).to.deep.equal(['two']);
      bob.close();
      bob = session.connection(openSegmentFile(path, 'server', {}));
      expect(receive(bob)).to.deep.equal([]);
    });

    it('with queues that are full, wrap and hold a message at their end', () => {
      for (let n = 0; n < 40; n++) {
        const sizes = [900, 24, 500].map((size) => (size + 8 * n) % 1000);
        const sent: string[] = [];
        for (let i = 0; bob.send(String.fromCharCode(65 + i).repeat(sizes[i % 3] as number)); i++) {
          sent.push(String.fromCharCode(65 + i).repeat(sizes[i % 3] as number));
        }
        const held = alice.front()?.text();
        expect(held).to.equal(sent[0]);
        takeOver();
        const more = bob.send('more') ? ['more'] : [];
        expect(receive(alice)).to.deep.equal([...sent, ...more]);
      }
    });

    it('when it has the last word: what it removes is removed', () => {
      takeOver();
      bob.close({ remove: true });
      expect(scene.files()).to.deep.equal([]);
    });
  });

  describe('by another process that has died in the middle of it', () => {
    it('goes on, on both sides', async () => {
      const { child, words } = scene.child(
        `const { native } = await import(${JSON.stringify(new URL('../../lib/memory/native.js', import.meta.url).href)});
         const file = native().mapFile(${JSON.stringify(path)}, { create: false, sizeBytes: 1 });
         if (!file.lock(${LOCK_BYTE.moving}, 1)) throw new Error('locked');
         Atomics.store(new Int32Array(file.buffer), ${bob.side.ends.open.segment.notices.byteOffset >> 2}, 1);
         say('moving');
         setInterval(() => file.buffer, 1000);`,
      );
      alice.send('before');
      expect(bob.front()?.text()).to.equal('before');
      claim(alice, 'begun before');
      await scene.until(() => words.length > 0, 'the move');
      // Nothing is given or taken now, and nothing fails: it takes no longer than a move does.
      expect(bob.alloc(8)).to.equal(null);
      expect(bob.front()).to.equal(null);
      alice.push();
      expect(bob.front()).to.equal(null);
      child.kill('SIGKILL');
      await scene.until(() => child.signalCode !== null, 'the death');
      expect(receive(bob)).to.deep.equal(['before', 'begun before']);
      bob.send('back');
      expect(receive(alice)).to.deep.equal(['back']);
      expect(bob.side.ends.open.segment.notices[0]).to.equal(0);
    });
  });

  describe('because another process took its place', () => {
    const CALLS: [string, (connection: Connection) => void, (connection: Connection) => unknown][] = [
      ['alloc', () => {}, (connection) => connection.alloc(8)],
      ['push', (connection) => claim(connection, 'x'), (connection) => connection.push()],
      ['pushMore', (connection) => claim(connection, 'x'), (connection) => connection.pushMore()],
      [
        'publish',
        (connection) => {
          claim(connection, 'x');
          connection.pushMore();
        },
        (connection) => connection.publish(),
      ],
      ['front', () => {}, (connection) => connection.front()],
      ['front of a message', (connection) => connection.front(), (connection) => connection.front()],
      ['pop', (connection) => connection.front(), (connection) => connection.pop()],
      ['send', () => {}, (connection) => connection.send('x')],
    ];
    for (const [what, prepare, call] of CALLS) {
      it(`learns it by ${what}, and is closed`, () => {
        bob.send('to alice');
        const old = alice;
        prepare(old);
        takeOver();
        expectCode(() => call(old), 'ERR_FENCED', /taken over 'alice' in its session with 'bob'/);
        expect(old.state).to.equal('closed');
        expect(old.side.ends.open.segment.clientToServer.words.byteLength, 'what it has mapped').to.equal(0);
        expectCode(() => call(old), 'ERR_CLOSED');
        expect(receive(alice)).to.deep.equal(['to alice']);
        expect(receive(bob)).to.deep.equal([]);
      });
    }

    it('learns it when it gives a sign of life', () => {
      const old = alice;
      expect(old.side.renew()).to.equal(true);
      takeOver();
      expect(old.side.renew()).to.equal(false);
      const reasons: string[] = [];
      old.side.disconnect(
        { onDisconnect: (_, reason, error) => reasons.push(reason, error?.code ?? '') },
        () => {},
      );
      expect(reasons).to.deep.equal(['taken over', 'ERR_FENCED']);
      expect(old.state).to.equal('closed');
    });

    it('learns it when it is polled, and neither hears nor says another word', () => {
      const calls: string[] = [];
      const old = alice;
      old.side.peer.attach(
        {
          connected: true,
          ended: null,
          error: null,
          wire: null,
          traffic: null,
          poll: () => calls.push('poll'),
          close: () => calls.push('close'),
          abandon: () => calls.push('abandon'),
          handOver: () => ({ kind: 'presence' }),
        },
        new Uint8Array(0),
      );
      expect(old.side.pollLink(0)).to.equal(true);
      takeOver();
      expect(old.side.pollLink(0)).to.equal(false);
      const reasons: string[] = [];
      const left: string[] = [];
      old.side.disconnect({ onDisconnect: (_, reason) => reasons.push(reason) }, () => left.push(old.state));
      expect([reasons, left, old.state]).to.deep.equal([['taken over'], ['closed'], 'closed']);
      expect(calls).to.deep.equal(['poll', 'abandon']);
    });

    it('has not taken what it pushed while it did not know', () => {
      const old = alice;
      claim(old, 'too late');
      takeOver();
      expectCode(() => old.push(), 'ERR_FENCED');
      alice.send('in time');
      expect(receive(bob)).to.deep.equal(['in time']);
      expect(alice.pushed).to.equal(1);
    });
  });

  describe('while it is disconnected', () => {
    /** Another process opens a side of the session that is in this file, takes it over and leaves it. */
    function borrow(open: OpenSegment, role: 'client' | 'server'): void {
      const { where } = open;
      const owner = role === open.role ? open : (openSegmentFile(where, role, {}) as OpenSegment);
      silence(owner, TIMEOUT_MS);
      (openSegmentFile(where, role, {}) as OpenSegment).close();
      expect(open.segment.notices[0]).to.equal(1);
      if (owner !== open) owner.close();
    }

    it('is the same one at the next login, if this side is still its own', async () => {
      const { server, client, address, local, remote, log } = await scene.pair('shm');
      remote.send('before');
      await scene.until(() => log.includes('client: before'), 'a message');
      local.close();
      await scene.until(() => remote.state === 'disconnected', 'the end');
      remote.send('meanwhile');
      borrow(remote.side.ends.open, 'client');
      const again = await scene.connect(client, address);
      await scene.until(() => log.includes('client: meanwhile'), 'the next message');
      expect(again.popped).to.equal(2);
      expect(server.connections).to.deep.equal([remote]);
    });

    for (const way of ['shm', 'tcp native'] as const) {
      it(`over ${way} is given up by a server that has lost it, and found again`, async () => {
        const { server, client, address, local, remote, log, serverEnded } = await scene.pair(way);
        local.send('before');
        await scene.until(() => log.includes('server: before'), 'a message');
        local.close();
        await scene.until(() => serverEnded.length === 1, 'the end');
        borrow(remote.side.ends.open, 'server');
        const again = await scene.connect(client, address);
        again.send('behind');
        await scene.until(() => log.includes('server: behind'), 'the next message');
        expect(serverEnded.map(({ connection, reason }) => [connection === remote, reason])).to.deep.equal([
          [true, 'closed by peer'],
          [true, 'taken over'],
        ]);
        expect(remote.state).to.equal('closed');
        expect(server.connections.map(({ popped }) => popped)).to.deep.equal([2]);
      });

      it(`over ${way} is given up by a client that has lost it, and found again if it asks for it`, async () => {
        const { server, client, address, local, log } = await scene.pair(way);
        local.send('before');
        await scene.until(() => log.includes('server: before'), 'a message');
        await server.close();
        await scene.until(() => local.state === 'disconnected', 'the end');
        const next = scene.server({ ...scene.wire(way) });
        await next.listen({ port: (address as { port: number }).port });
        borrow(local.side.ends.open, 'client');
        // The client is not polled meanwhile: it is the login that finds out.
        let error: unknown = null;
        client.connect(address).catch((reason: unknown) => {
          error = reason;
        });
        await until(
          () => error !== null || local.state === 'connected',
          'the login',
          async () => {
            next.poll();
            await nextTurn();
          },
        );
        expectError(error, 'ERR_FENCED');
        expect(local.state).to.equal('closed');
        expect((await scene.connect(client, address)).pushed).to.equal(1);
      });
    }
  });

  it('while its owner is at work goes on with every message, once and in order', async () => {
    // Two threads take each other's place all the time, in the middle of what the other one does.
    bob.close();
    alice.close();
    const messages = 10_000;
    const url = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const side = (role: 'client' | 'server', timeoutMs: number): { words: unknown[] } =>
      scene.worker(
        `const { openSegmentFile } = await import(${url('../../lib/store/files.js')});
         const { makeConnection } = await import(${url('../../lib/connection/connection.js')});
         const { Traffic } = await import(${url('../support/traffic.js')});
         const { path, role, timeoutMs, stop, messages } = workerData;
         let connection = null;
         let fences = 0;
         while (Atomics.load(stop, 0) === 0) {
           try {
             if (connection === null) {
               const open = openSegmentFile(path, role, {}, { timeoutMs });
               connection = makeConnection(open, 'shm', () => {});
             }
             const traffic = new Traffic(connection, role === 'client' ? 0 : 1, messages, messages);
             for (let i = 0; i < 100; i++) traffic.step();
             if (role === 'server') connection.side.renew();
             if (traffic.done) { say('done'); await new Promise((go) => setTimeout(go, 5)); }
           } catch (error) {
             if (error.code === 'ERR_FENCED') fences++;
             else if (error.code !== 'ERR_ALREADY_CONNECTED') { say(error.stack); break; }
             if (connection?.state === 'closed') connection = null;
             await new Promise((go) => setTimeout(go, 1));
           }
         }
         connection?.close();
         say('fences ' + fences);`,
        { path, role, timeoutMs, stop, messages },
      );
    const workers = [side('server', TIMEOUT_MS), side('client', 3), side('client', 3)];
    const words = (): unknown[] => workers.flatMap((worker) => worker.words);
    const odd = (): unknown => words().find((word) => word !== 'done' && !/^fences/.test(String(word)));
    await scene.until(
      () =>
        odd() !== undefined ||
        (workers[0]?.words.includes('done') === true &&
          workers.slice(1).some((worker) => worker.words.includes('done'))),
      'all messages',
    );
    Atomics.store(stop, 0, 1);
    expect(odd()).to.equal(undefined);
    const fences = (): number[] =>
      words().flatMap((word) => (/^fences/.test(String(word)) ? [Number(String(word).slice(7))] : []));
    await scene.until(() => fences().length === 3, 'all to end');
    console.log(`      fenced off: ${fences().join(', ')} times`);
    expect(fences()[0], 'the side that gives signs of life').to.equal(0);
    expect(Math.max(...fences()), 'how often a side was taken over').to.be.above(3);
    const last = session.connection(openSegmentFile(path, 'client', {}));
    expect([last.pushed, last.popped]).to.deep.equal([messages, messages]);
  });
});
