import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  type Caller,
  type Connection,
  type ConnectOptions,
  Destination,
  type Shape,
  type Started,
  TcpshmError,
} from '../../lib/index.js';
import { expectError, newName, type Talk, WAYS } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { Relay } from '../support/relay.js';
import { freePort, kill, Pools } from './pools.js';

/** What it throws, if it does. */
function messageOf(act: () => void): string | null {
  try {
    act();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a destination', () => {
  let scene: Pools;
  beforeEach(() => {
    scene = new Pools();
  });
  afterEach(() => scene.end());

  for (const way of WAYS) {
    for (const maxConnections of [1, 2, 4, 8]) {
      it(`answers 150 requests of 2 KB to 1 MB over up to ${maxConnections} connections, ${way}`, async () => {
        const runs: unknown[] = [];
        const server = scene.serving(runs, { ...scene.wire(way) });
        const address = await scene.address(server, way);
        const destination = scene.destination(address, {
          ...scene.wire(way),
          maxConnections,
          maxInFlight: 4,
        });
        const answers = Array.from({ length: 150 }, (_, i) => {
          const bytes = Buffer.alloc(i % 50 === 0 ? 2 ** 20 : 2048 + 37 * i, i);
          return destination.request<Uint8Array>('echo', bytes).then((answer) => bytes.equals(answer));
        });
        expect(await scene.settled(Promise.all(answers), 'the answers')).to.deep.equal(
          answers.map(() => true),
        );
        expect(runs).to.have.length(150);
        const names = destination.connections.map(({ name }) => name);
        expect(names.length).to.be.within(1, maxConnections);
        if (maxConnections > 1) expect(names.length).to.be.above(1);
        expect(names).to.include(`${scene.clientName}-0`);
      });
    }
  }

  it('runs 16 synchronous requests one after another, beside others', async () => {
    const runs: unknown[] = [];
    const server = scene.serving(runs);
    const destination = scene.destination(await scene.address(server, 'shm'), { maxInFlight: 2 });
    const all = Array.from({ length: 16 }, (_, i) => [
      destination.request('echo', i, { synchronous: true }),
      destination.request('echo', `other ${i}`),
    ]).flat();
    await scene.settled(Promise.all(all), 'the answers');
    expect(runs.filter((value) => typeof value === 'number')).to.deep.equal(
      Array.from({ length: 16 }, (_, i) => i),
    );
  });

  it('drives itself', async () => {
    const server = scene.serving([]);
    const address = await scene.address(server, 'tcp native');
    const running = server.run();
    const destination = scene.destination(address);
    const driven = destination.run();
    expect(await destination.request('echo', 'hello')).to.equal('hello');
    await destination.close();
    await driven;
    await server.close();
    await running;
  });

  describe('whose server is not there', () => {
    it('fails a one-shot, and has all else answered once it is', async () => {
      const port = await freePort();
      const destination = scene.destination({ port, transport: 'tcp' });
      const outcomes = scene.outcomes({
        shot: destination.request('echo', 'shot', { oneShot: true }),
        plain: destination.request('echo', 'plain'),
        again: destination.request('echo', 'again', { idempotent: true }),
        ordered: destination.request('echo', 'ordered', { synchronous: true }),
      });
      await scene.until(() => scene.events.filter(({ kind }) => kind === 'refused').length >= 3, 'refusals');
      expect(outcomes).to.deep.equal({ shot: 'ERR_NOT_SENT' });
      const runs: unknown[] = [];
      await scene.serving(runs).listen({ host: '127.0.0.1', port });
      await scene.until(() => Object.keys(outcomes).length === 4, 'the answers');
      expect(outcomes).to.deep.equal({
        shot: 'ERR_NOT_SENT',
        plain: 'plain',
        again: 'again',
        ordered: 'ordered',
      });
      expect(runs).to.have.members(['plain', 'again', 'ordered']);
    });

    it('gives up what is cancelled, and closes', async () => {
      const destination = scene.destination({ port: await freePort(), transport: 'tcp' });
      const controller = new AbortController();
      const outcomes = scene.outcomes({
        one: destination.request('echo', 1, { signal: controller.signal }),
        two: destination.request('echo', 2, { signal: controller.signal, idempotent: true }),
      });
      await scene.until(() => scene.events.some(({ kind }) => kind === 'refused'), 'a refusal');
      controller.abort('enough');
      await nextTurn();
      expect(outcomes).to.deep.equal({ one: 'enough', two: 'enough' });
      expect(destination.queued).to.equal(0);
      await scene.settled(destination.close(), 'its end');
    });

    it('tells in time what was not sent', async () => {
      const destination = scene.destination({ port: await freePort(), transport: 'tcp' });
      const error = await scene.refused(destination.request('echo', 1, { timeoutMs: 20 }), 'ERR_TIMEOUT');
      expectError(error.cause, 'ERR_NOT_SENT');
      expect(destination.queued).to.equal(0);
    });

    it('tries a few of a hundred addresses at a time', async () => {
      const sockets: unknown[] = [];
      const silent = await Promise.all(
        Array.from({ length: 100 }, () => scene.listener((socket) => sockets.push(socket))),
      );
      const destination = scene.destination(silent, { maxPending: 3, maxConnections: 50, maxInFlight: 1 });
      const requests = Array.from({ length: 100 }, (_, i) => destination.request('echo', i));
      const outcomes = scene.outcomes(Object.fromEntries(requests.entries()));
      await scene.until(() => sockets.length === 3, 'three logins');
      for (let i = 0; i < 100; i++) await scene.until(() => true, 'a turn');
      expect(sockets).to.have.length(3);
      expect(destination.connections).to.have.length(3);
      await destination.close({ force: true });
      await nextTurn();
      expect(Object.values(outcomes)).to.deep.equal(requests.map(() => 'ERR_CLOSED'));
    });

    it('refuses more than may wait', async () => {
      const destination = scene.destination({ port: await freePort(), transport: 'tcp' }, { maxQueue: 2 });
      const kept = scene.outcomes({ a: destination.request('echo', 1), b: destination.request('echo', 2) });
      expectError(await destination.request('echo', 3).catch((error: unknown) => error), 'ERR_QUEUE_FULL');
      expect(kept).to.deep.equal({});
    });

    it('says so when no more attempts are allowed', async () => {
      const destination = scene.destination(
        { port: await freePort(), transport: 'tcp' },
        { backoff: { initialDelayMs: 1, maxAttempts: 3 } },
      );
      await scene.refused(destination.request('echo', 1), 'ERR_CONNECT', /3 attempts/);
    });
  });

  describe('whose server is killed', () => {
    it('and started again, in the middle of large requests: each is settled once, as its mode promises', async () => {
      const port = await freePort();
      const name = newName('server');
      const first = await scene.process(name, port);
      const destination = scene.destination({ port, transport: 'tcp' }, { maxConnections: 1 });
      const bytes = Buffer.alloc(4 * 2 ** 20, 7);
      const hang = scene.outcomes({ hang: destination.request('hang', { name: 'hang' }) });
      await scene.until(() => first.words.includes('hang hang'), 'one that runs');
      const ask = (what: string, mode: object): Promise<unknown> =>
        destination.request('length', { name: what, bytes }, mode);
      const outcomes = scene.outcomes({
        shot: ask('shot', { oneShot: true }),
        again1: ask('again1', { idempotent: true }),
        ordered1: ask('ordered1', { synchronous: true, idempotent: true }),
        ordered2: ask('ordered2', { synchronous: true, idempotent: true }),
        again2: ask('again2', { idempotent: true }),
      });
      for (let i = 0; i < 20; i++) await scene.until(() => true, 'a turn');
      await kill(first);
      expect(Object.keys(outcomes).length).to.be.below(5);
      const second = await scene.process(name, port);
      await scene.until(() => Object.keys(outcomes).length === 5, 'all to be settled');
      const { shot, ...others } = outcomes;
      const size = bytes.length;
      expect(others).to.deep.equal({ again1: size, again2: size, ordered1: size, ordered2: size });
      expect(shot).to.be.oneOf(['ERR_UNANSWERED', size]);
      // What the dead process ran is not known, and is not run again.
      expect(hang).to.deep.equal({ hang: 'ERR_UNANSWERED' });
      expect(second.words).not.to.include('hang hang');
      expect(scene.events.map(({ kind }) => kind)).to.include('resumed');
      expect(second.words.indexOf('length ordered1')).to.be.below(second.words.indexOf('length ordered2'));
    });

    it('and does not come back: what may run twice goes to another one, all else fails or never left', async () => {
      const ports = [await freePort(), await freePort()] as const;
      const names = [newName('left'), newName('right')] as const;
      const talks = [await scene.process(names[0], ports[0]), await scene.process(names[1], ports[1])];
      const destination = scene.destination(
        ports.map((port): ConnectOptions => ({ port, transport: 'tcp' })),
        { maxConnections: 1, maxInFlight: 3, resumeMs: 200 },
      );
      await scene.settled(destination.request('echo', { name: 'first' }), 'the first answer');
      const main = talks.findIndex(({ words }) => words.includes('echo first'));
      const [gone, other] = [talks[main] as Talk, talks[1 - main] as Talk];
      const abandoned = new AbortController();
      const outcomes = scene.outcomes({
        plain: destination.request('hang', { name: 'plain' }),
        again: destination.request('hang', { name: 'again' }, { idempotent: true, signal: abandoned.signal }),
        ordered: destination.request('hang', { name: 'ordered' }, { synchronous: true }),
      });
      await scene.until(
        () => ['plain', 'again', 'ordered'].every((one) => gone.words.includes(`hang ${one}`)),
        'all to run',
      );
      await kill(gone);
      const later = scene.outcomes({
        later: destination.request('echo', { name: 'later' }),
        orderedLater: destination.request('echo', { name: 'ordered later' }, { synchronous: true }),
      });
      await scene.until(() => other.words.includes('hang again'), 'the other one to run what may run twice');
      await scene.until(() => Object.keys(later).length === 2, 'what had not left to be answered');
      expect(outcomes).to.deep.equal({ plain: 'ERR_UNANSWERED', ordered: 'ERR_UNANSWERED' });
      expect(other.words).not.to.include.members(['hang plain']);
      expect(other.words).not.to.include.members(['hang ordered']);
      abandoned.abort('enough');
      // It comes back, and nobody has it run what was told of or sent elsewhere.
      const back = await scene.process(names[main] as string, ports[main] as number);
      await kill(other);
      await scene.settled(
        destination.request('echo', { name: 'last' }, { idempotent: true }),
        'an answer of who has come back',
      );
      expect(back.words.filter((word) => word.startsWith('hang'))).to.deep.equal([]);
      expect(back.words).to.include('echo last');
      // The session of the lowest number cannot go on with the server, which still has it.
      expect(destination.connections.map(({ name }) => name)).to.deep.equal([`${scene.clientName}-1`]);
    });
  });

  it('believes who makes the calls: what has left and will not be answered is sent again if it may run twice', async () => {
    const server = scene.server();
    const made: string[] = [];
    const caller: Caller = {
      connected: true,
      load: { waiting: 0, open: 0 },
      start(_: Shape, _method: unknown, value: unknown): Started {
        made.push(String(value));
        const code = value === 'not sent' && made.length < 3 ? 'ERR_NOT_SENT' : 'ERR_UNANSWERED';
        const again = made.filter((one) => one === value).length > 1;
        const response = again
          ? Promise.resolve(value)
          : Promise.reject(new TcpshmError(code, 'as the spec has it'));
        return { left: code === 'ERR_UNANSWERED', response, withdraw: () => false, cancel() {}, parts: null };
      },
      drain: () => Promise.resolve(),
      close() {},
    };
    const destination = scene.destination(await scene.address(server, 'tcp native'), {
      caller: () => caller,
    });
    const outcomes = scene.outcomes({
      plain: destination.request('x', 'not sent'),
      left: destination.request('x', 'left'),
      again: destination.request('x', 'again', { idempotent: true }),
    });
    await scene.until(() => Object.keys(outcomes).length === 3, 'all to be settled');
    expect(outcomes).to.deep.equal({ plain: 'not sent', left: 'ERR_UNANSWERED', again: 'again' });
    expect([...made].sort()).to.deep.equal(['again', 'again', 'left', 'not sent', 'not sent']);
  });

  it('whose link is cut goes on as if nothing had happened', async () => {
    const runs: unknown[] = [];
    const server = scene.serving(runs);
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    const relay = await Relay.listen();
    relay.targetPort = port;
    try {
      const destination = scene.destination(
        { port: relay.port, transport: 'tcp' },
        { maxConnections: 2, maxInFlight: 8 },
      );
      const values = Array.from({ length: 60 }, (_, i) => ({ i, bytes: Buffer.alloc(20_000, i) }));
      const answers = values.map((value) => destination.request('echo', value));
      for (let cuts = 0; cuts < 5; cuts++) {
        const before = runs.length;
        await scene.until(() => runs.length > before || runs.length === 60, 'some to run');
        relay.cut();
      }
      await scene.settled(Promise.all(answers), 'the answers');
      expect(relay.cuts).to.be.above(0);
      expect(runs.map((value) => (value as { i: number }).i).sort((a, b) => a - b)).to.deep.equal(
        values.map(({ i }) => i),
      );
    } finally {
      await relay.close();
    }
  });

  describe('that is closed', () => {
    it('by force in the middle: every request errors, once, and none runs afterwards', async () => {
      const runs: unknown[] = [];
      const server = scene.serving(runs);
      const address = await scene.address(server, 'tcp native');
      const destination = scene.destination(address, { maxConnections: 2, maxInFlight: 2 });
      const outcomes = scene.outcomes(
        Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, destination.request('hang', i)])),
      );
      await scene.until(() => runs.length === 4, 'some to run');
      await destination.close({ force: true });
      await nextTurn();
      expect(outcomes).to.deep.equal(
        Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, 'ERR_CLOSED'])),
      );
      expect(await destination.request('echo', 1).catch((error: { code: string }) => error.code)).to.equal(
        'ERR_CLOSED',
      );
      await scene.until(() => server.members.length === 0, 'the server to see it');
      expect(runs).to.have.length(4);
    });

    it('in order: those that wait are answered, new ones refused, and then the connections end', async () => {
      const runs: unknown[] = [];
      const server = scene.serving(runs);
      const address = await scene.address(server, 'shm');
      const destination = scene.destination(address, { maxConnections: 2, maxInFlight: 2 });
      const answers = Promise.all(Array.from({ length: 50 }, (_, i) => destination.request('echo', i)));
      const closing = destination.close();
      await scene.refused(destination.request('echo', 'new'), 'ERR_CLOSED');
      expect(await scene.settled(answers, 'the answers')).to.deep.equal(
        Array.from({ length: 50 }, (_, i) => i),
      );
      await scene.settled(closing, 'its end');
      expect(destination.connections).to.deep.equal([]);
      await scene.until(() => server.members.length === 0, 'the server to see it');
    });

    it('in order while no server is there: by force after all', async () => {
      const destination = scene.destination({ port: await freePort(), transport: 'tcp' });
      const outcomes = scene.outcomes({ one: destination.request('echo', 1) });
      const closing = destination.close();
      await scene.until(() => scene.events.length > 0, 'a refusal');
      expect(outcomes).to.deep.equal({});
      await destination.close({ force: true });
      await closing;
      expect(outcomes).to.deep.equal({ one: 'ERR_CLOSED' });
    });

    it('in order while it runs and its server does not come back: the run ends too', async () => {
      const runs: unknown[] = [];
      const server = scene.serving(runs);
      const address = await scene.address(server, 'tcp native');
      const destination = scene.destination(address, { resumeMs: 50 });
      scene.apart.add(destination);
      const running = destination.run();
      const outcomes = scene.outcomes({ one: destination.request('hang', 1) });
      await scene.until(() => runs.length === 1, 'the request to run');
      const closing = destination.close();
      await server.close();
      await scene.settled(closing, 'its end');
      expect(outcomes).to.deep.equal({ one: 'ERR_UNANSWERED' });
      await scene.settled(running, 'the end of its run');
    });
  });

  it('uses the sessions of its names again, in the next process too', async () => {
    const names: string[] = [];
    const popped: number[] = [];
    const server = scene.serving([], {
      onDisconnect: (connection: Connection) => {
        names.push(connection.remoteName);
        popped.push(connection.popped);
      },
    });
    const address = await scene.address(server, 'tcp native');
    for (let i = 0; i < 2; i++) {
      const destination = scene.destination(address);
      await scene.settled(destination.request('echo', i), 'an answer');
      await scene.settled(destination.close(), 'its end');
      await scene.until(() => names.length === i + 1, 'the server to see it');
    }
    expect(names).to.deep.equal([`${scene.clientName}-0`, `${scene.clientName}-0`]);
    expect(popped[1]).to.be.above(popped[0] as number);
  });

  for (const [how, expected] of [
    ['a server that keeps what is left, by the next number', '-1'],
    ['a server that removes what is closed, by the same number', '-0'],
  ] as const) {
    it(`without a folder comes again to ${how}`, async () => {
      const removes = expected === '-0';
      const server = scene.serving([], {
        onDisconnect(connection, reason) {
          if (removes && reason === 'closed by peer') connection.close({ remove: true });
        },
      });
      const address = await scene.address(server, 'tcp native');
      const { directory: _, ...places } = scene.places;
      const names: string[] = [];
      for (let i = 0; i < 2; i++) {
        const destination = new Destination(address, { name: scene.clientName, ...places });
        const answer = destination.request('echo', i);
        let answered = false;
        answer.then(() => {
          answered = true;
        });
        await scene.until(() => {
          destination.poll();
          return answered;
        }, 'an answer');
        names.push(...destination.connections.map(({ name }) => name));
        await destination.close({ force: true });
        await scene.until(() => server.members.length === 0, 'the server to see it');
      }
      expect(names).to.deep.equal([`${scene.clientName}-0`, `${scene.clientName}${expected}`]);
    });
  }

  it('hands on what the handler of its events throws', async () => {
    const server = scene.serving([]);
    const address = await scene.address(server, 'tcp native');
    const onEvent = (): void => {
      throw new Error('by the handler');
    };
    const polled = scene.destination(address, { onEvent });
    scene.apart.add(polled);
    let thrown: unknown = null;
    await scene.until(() => {
      thrown ??= messageOf(() => polled.poll());
      return thrown !== null;
    }, 'the error');
    expect(thrown).to.equal('by the handler');
    await polled.close({ force: true });
    const running = server.run();
    const driven = scene.destination(address, { onEvent, name: newName('driven') });
    expect(await driven.run().catch((error: Error) => error.message)).to.equal('by the handler');
    await driven.close({ force: true });
    await server.close();
    await running;
  });

  it('is told what is wrong with its options', () => {
    const wrong = (options: object): void => {
      scene.destination({ port: 1 }, options);
    };
    expectCode(() => wrong({ name: 'a/b' }), 'ERR_NAME');
    expectCode(() => wrong({ name: 'n'.repeat(58) }), 'ERR_NAME', /57/);
    expectCode(() => wrong({ caller: 7 }), 'ERR_OPTION', /caller/);
    expectCode(() => wrong({ maxPending: 0 }), 'ERR_OPTION', /maxPending/);
    expectCode(() => wrong({ minConnections: 3, maxConnections: 2 }), 'ERR_OPTION', /3 and 2/);
    expectCode(() => scene.destination(7 as never), 'ERR_OPTION', /address/);
  });

  it('is told what is wrong with a request, before that waits', async () => {
    const destination = scene.destination({ port: 1 });
    for (const wrong of [
      { timeoutMs: 0 },
      { idempotent: true, oneShot: true },
      { idempotent: true, body: [] },
      { synchronous: 1 },
      { signal: 1 },
      { priority: 'soon' },
      { oneShot: 1 },
      { body: 7 },
    ]) {
      await scene.refused(destination.request('echo', 1, wrong as object), 'ERR_OPTION');
    }
    expect(destination.queued).to.equal(0);
  });
});
