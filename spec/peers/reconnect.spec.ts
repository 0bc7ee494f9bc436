import { once } from 'node:events';
import { createServer, type Server as NetServer } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import type { Client, ClientOptions, ConnectOptions, ReconnectAttempt, Server } from '../../lib/index.js';
import { expectCode } from '../support/failure.js';
import { Traffic } from '../support/traffic.js';
import { until } from '../support/until.js';
import { expectError, Scene, type Talk, type Way } from './support.js';

const SOCKET_WAYS = ['tcp native', 'tcp net', 'shm'] as const;
const TRAFFIC = new URL('../support/traffic.js', import.meta.url).href;
const QUICK = { initialDelayMs: 1, maxDelayMs: 20 };
/** Delays of 100, 200, 300, 300 … */
const PLAIN = { initialDelayMs: 100, maxDelayMs: 300, jitter: 0 };
const MESSAGES = 3000;
/** Turns of the event loop in which an attempt would have been made and reported. */
const MANY_TURNS = 60;

describe('a client that connects again by itself', () => {
  let scene: Scene;
  let listener: NetServer | null;
  beforeEach(() => {
    scene = new Scene();
    listener = null;
  });
  afterEach(async () => {
    await scene.end();
    listener?.close();
  });

  for (const way of SOCKET_WAYS) {
    describe(`over ${way}`, () => {
      it('resumes when the server is killed and started again: nothing is lost or repeated', async () => {
        const attempts: ReconnectAttempt[] = [];
        const client = scene.client({
          ...scene.wire(way),
          reconnect: QUICK,
          onReconnect: (attempt) => attempts.push(attempt),
        });
        let server = startServer(way, 0);
        await scene.until(() => server.words.length > 0, 'the server');
        const port = Number(server.words[0]);
        const address: ConnectOptions = { port, transport: way === 'shm' ? 'shm' : 'tcp' };
        const connection = await scene.connect(client, address);
        const traffic = new Traffic(connection, 0, MESSAGES, MESSAGES);
        const goOn = (done: () => boolean, what: string): Promise<void> =>
          scene.until(() => {
            traffic.step();
            return done();
          }, what);
        for (let kill = 1; kill <= 3; kill++) {
          const enough = (kill * MESSAGES) / 4;
          await goOn(() => connection.pushed >= enough && connection.popped >= enough / 2, 'some traffic');
          server.child.kill('SIGKILL');
          await once(server.child, 'exit');
          const before = attempts.length;
          await goOn(() => attempts.length > before, 'an attempt while nobody listens');
          expect(attempts[before]).to.include({ outcome: 'failed', number: 1 });
          server = startServer(way, port);
          const restarted = server;
          await goOn(() => connection.state === 'connected', 'the connection');
          expect(restarted.child.exitCode).to.equal(null);
        }
        await goOn(() => traffic.done && server.words.includes('done'), 'all messages');
        expect(attempts.filter(({ outcome }) => outcome === 'connected')).to.have.length(3);
        expect(attempts.filter(({ outcome }) => outcome === 'given up')).to.deep.equal([]);
        for (const [i, attempt] of attempts.entries()) {
          const previous = attempts[i - 1];
          const first = previous === undefined || previous.outcome === 'connected';
          expect(attempt.number).to.equal(first ? 1 : previous.number + 1);
          if (attempt.outcome === 'connected') expect(attempt.connection).to.equal(connection);
        }
      });

      it('waits by the clock of the caller, reports each attempt, and sends what was pushed meanwhile', async () => {
        const play = await begin(way, { reconnect: PLAIN });
        const { client, connection, attempts } = play;
        await play.endServer();
        play.now += 99;
        await play.turns();
        connection.send('meanwhile');
        expect(attempts).to.deep.equal([]);
        for (const [number, delayMs, wait] of [
          [1, 200, 1],
          [2, 300, 200],
          [3, 300, 300],
        ] as const) {
          play.now += wait - 1;
          await play.turns();
          expect(attempts).to.have.length(number - 1);
          play.now += 1;
          await play.until(() => attempts.length === number, `attempt ${number}`);
          const attempt = attempts[number - 1] as ReconnectAttempt & { outcome: 'failed' };
          expect(attempt).to.deep.include({ outcome: 'failed', number, delayMs });
          expectError(attempt.error, 'ERR_CONNECT');
        }
        const texts = await play.startServer();
        await play.turns();
        expect(attempts).to.have.length(3);
        play.now += 300;
        await play.until(() => texts.length > 0 && attempts.length > 3, 'the message');
        expect(attempts.slice(3)).to.deep.equal([{ outcome: 'connected', number: 4, connection }]);
        expect([texts, client.connection === connection]).to.deep.equal([['meanwhile'], true]);
      });
    });
  }

  it('does so while it runs', async () => {
    const play = await begin('tcp native', { reconnect: QUICK });
    const running = play.client.run();
    await play.server().close();
    await until(() => play.attempts.length > 1, 'attempts');
    const texts = await play.startServer();
    play.connection.send('here again');
    await until(
      () => texts.length > 0,
      'the message',
      async () => {
        play.server().poll();
        await nextTurn();
      },
    );
    await play.client.close();
    await running;
  });

  it('counts from one again after each end', async () => {
    const play = await begin('tcp native', { reconnect: PLAIN });
    for (let round = 0; round < 3; round++) {
      play.server().connections[0]?.close();
      await play.until(() => play.connection.state === 'disconnected', 'the end');
      play.now += 100;
      await play.until(() => play.attempts.length > round, 'the connection');
      expect(play.attempts[round]).to.deep.include({ outcome: 'connected', number: 1 });
    }
  });

  it('does nothing of the kind unless asked to', async () => {
    const play = await begin('tcp native', {});
    await play.endServer();
    play.now += 1e6;
    await play.turns();
    await play.startServer();
    await play.turns();
    expect([play.attempts, play.connection.state]).to.deep.equal([[], 'disconnected']);
  });

  it('logs in as it did, though the options have changed since', async () => {
    const logins: string[] = [];
    const login = Buffer.from('first');
    const play = await begin('tcp native', { reconnect: PLAIN }, { login }, (bytes) => {
      logins.push(Buffer.from(bytes).toString());
      return null;
    });
    login.fill('x');
    play.server().connections[0]?.close();
    await play.until(() => play.connection.state === 'disconnected', 'the end');
    play.now += 100;
    await play.until(() => play.attempts.length > 0, 'the connection');
    expect(logins).to.deep.equal(['first', 'first']);
  });

  describe('stops', () => {
    const stops: [string, (play: Play) => unknown][] = [
      ['when the client is closed', ({ client }) => client.close()],
      ['when the connection is closed', ({ connection }) => connection.close()],
    ];
    for (const [what, stop] of stops) {
      it(`${what}, between attempts`, async () => {
        const play = await begin('tcp native', { reconnect: PLAIN });
        await play.endServer();
        await stop(play);
        play.now += 1e6;
        await play.turns();
        await play.startServer();
        await play.turns();
        expect([play.attempts, play.server().connections]).to.deep.equal([[], []]);
      });

      it(`${what}, during an attempt`, async () => {
        const play = await begin('tcp native', { reconnect: PLAIN });
        const ended = await play.attemptInVain();
        await stop(play);
        await play.until(() => ended.count > 0, 'the end of the attempt');
        play.now += 1e6;
        await play.turns();
        expect([play.attempts, play.silent.count]).to.deep.equal([[], 1]);
      });
    }

    it('when the client is closed by the handler of the end', async () => {
      const play = await begin('tcp native', {
        reconnect: PLAIN,
        onDisconnect: () => void play.client.close(),
      });
      await play.server().close();
      await play.until(() => play.client.closed, 'the end');
      await play.turns();
      expect(play.attempts).to.deep.equal([]);
    });

    it('when the user connects, whether that succeeds or not', async () => {
      const play = await begin('tcp native', { reconnect: PLAIN });
      await play.endServer();
      expectError(await play.client.connect(play.address).catch((error) => error), 'ERR_CONNECT');
      play.now += 1e6;
      await play.turns();
      await play.startServer();
      await play.settled(play.client.connect(play.address));
      await play.turns();
      expect([play.attempts, play.connection.state]).to.deep.equal([[], 'connected']);
      // From here on it does again.
      play.server().connections[0]?.close();
      await play.until(() => play.connection.state === 'disconnected', 'the end');
      play.now += 100;
      await play.until(() => play.attempts.length > 0, 'the connection');
      expect(play.attempts[0]).to.include({ outcome: 'connected', number: 1 });
    });

    it('when the user connects during an attempt, which gives way', async () => {
      const play = await begin('tcp native', { reconnect: PLAIN });
      const ended = await play.attemptInVain();
      const { port } = await play.listenElsewhere();
      const connection = await play.settled(play.client.connect({ port, transport: 'tcp' }));
      expect(connection.state).to.equal('connected');
      await play.until(() => ended.count > 0, 'the end of the attempt');
      play.now += 1e6;
      expect([play.attempts, play.silent.count]).to.deep.equal([[], 1]);
    });

    it('after the last attempt that is allowed', async () => {
      const play = await begin('tcp native', { reconnect: { ...PLAIN, maxAttempts: 2 } });
      await play.endServer();
      play.now += 100;
      await play.until(() => play.attempts.length === 1, 'the first attempt');
      play.now += 200;
      await play.until(() => play.attempts.length === 2, 'the second attempt');
      play.now += 1e6;
      await play.turns();
      expect(play.attempts.map(({ outcome }) => outcome)).to.deep.equal(['failed', 'given up']);
      expectError((play.attempts[1] as { error: unknown }).error, 'ERR_CONNECT');
    });

    it('when the server says no', async () => {
      let logins = 0;
      const play = await begin('tcp native', { reconnect: PLAIN }, {}, () =>
        logins++ === 0 ? null : 'not again',
      );
      play.server().connections[0]?.close();
      await play.until(() => play.connection.state === 'disconnected', 'the end');
      play.now += 100;
      await play.until(() => play.attempts.length > 0, 'the attempt');
      play.now += 1e6;
      await play.turns();
      expect([logins, play.attempts.length]).to.deep.equal([2, 1]);
      expect(play.attempts[0]).to.include({ outcome: 'given up', number: 1 });
      expectError((play.attempts[0] as { error: unknown }).error, 'ERR_LOGIN_REJECTED', /not again/);
    });

    it('when the positions cannot both be true; what the handler of that throws surfaces from poll', async () => {
      const failure = new Error('of the handler');
      const play = await begin('tcp native', {
        reconnect: PLAIN,
        onSequenceMismatch() {
          throw failure;
        },
      });
      play.connection.send('one');
      await play.until(() => play.texts.length === 1, 'the message');
      play.server().connections[0]?.close({ remove: true });
      await play.until(() => play.connection.state === 'disconnected', 'the end');
      play.now += 100;
      let thrown: unknown = null;
      await play.until(
        () => play.attempts.length > 0,
        'the attempt',
        (error) => {
          thrown = error;
        },
      );
      expect(thrown).to.equal(failure);
      expect(play.attempts[0]).to.include({ outcome: 'given up', number: 1 });
      expectError((play.attempts[0] as { error: unknown }).error, 'ERR_SEQUENCE_MISMATCH');
    });
  });

  it('tells of what its handler throws from poll, once, and goes on', async () => {
    const failure = new Error('of the handler');
    const heard: string[] = [];
    const thrown: unknown[] = [];
    const play = await begin('tcp native', {
      reconnect: PLAIN,
      onReconnect({ outcome, number }) {
        heard.push(`${outcome} ${number}`);
        throw failure;
      },
      onDisconnect() {
        throw failure;
      },
    });
    const note = (error: unknown): void => void thrown.push(error);
    await play.server().close();
    await play.until(() => play.connection.state === 'disconnected', 'the end', note);
    await play.turns();
    play.now += 100;
    await play.until(() => heard.length === 1, 'an attempt', note);
    await play.startServer();
    await play.turns();
    play.now += 200;
    await play.until(() => heard.length === 2, 'the connection', note);
    await play.turns();
    expect([heard, play.connection.state]).to.deep.equal([['failed 1', 'connected 2'], 'connected']);
    expect(thrown).to.deep.equal([failure, failure, failure]);
  });

  it('checks its options when it is made', () => {
    const made = (options: object) => () => scene.client(options);
    expectCode(made({ reconnect: { jitter: 2 } }), 'ERR_OPTION', /reconnect\.jitter/);
    expectCode(made({ onReconnect: 'yes' }), 'ERR_OPTION', /onReconnect must be a function/);
  });

  function startServer(way: Way, port: number): Talk {
    const { directory, sharedDirectory } = scene.folders;
    const options = {
      name: scene.serverName,
      directory,
      sharedDirectory,
      ...scene.wire(way),
      sendCapacityBytes: 4096,
      receiveCapacityBytes: 4096,
    };
    return scene.child(`
      const { Traffic } = await import(${JSON.stringify(TRAFFIC)});
      const server = new tcpshm.Server(${JSON.stringify(options)});
      say((await server.listen({ host: '127.0.0.1', port: ${port} })).port);
      for (let told = false; ; ) {
        server.poll();
        for (const connection of server.connections) {
          const traffic = connection.userData ??= new Traffic(connection, 1, ${MESSAGES}, ${MESSAGES});
          traffic.step();
          if (traffic.done && !told) { told = true; say('done'); }
        }
        await new Promise(setImmediate);
      }`);
  }

  /** A client connected with a server of this process, polled with an invented clock. */
  async function begin(
    way: Way,
    clientOptions: Partial<ClientOptions>,
    connectOptions: Partial<ConnectOptions> = {},
    refuse: (login: Uint8Array) => string | null = () => null,
  ): Promise<Play> {
    const attempts: ReconnectAttempt[] = [];
    const silent = { count: 0 };
    let texts: string[] = [];
    const newServer = (name = scene.serverName): Server => {
      const heard: string[] = [];
      texts = heard;
      return scene.server({
        name,
        ...scene.wire(way),
        acceptLogin({ data }) {
          const reject = refuse(data);
          return reject === null ? { group: 0 } : { reject };
        },
        onMessage(connection, message) {
          heard.push(message.text());
          connection.pop();
        },
      });
    };
    let server = newServer();
    const client = scene.client({
      ...scene.wire(way),
      onReconnect: (attempt) => attempts.push(attempt),
      ...clientOptions,
    });
    const address = { ...(await scene.address(server, way)), ...connectOptions } as ConnectOptions & {
      port: number;
    };
    const turn = async (onError?: (error: unknown) => void): Promise<void> => {
      if (!server.closed) server.poll();
      try {
        if (!client.closed) client.poll(play.now);
      } catch (error) {
        if (onError === undefined) throw error;
        onError(error);
      }
      await nextTurn();
    };
    const play: Play = {
      now: 1000,
      client,
      address,
      attempts,
      silent,
      connection: null as unknown as Play['connection'],
      get texts() {
        return texts;
      },
      server: () => server,
      until: (condition, what, onError) => until(condition, what, () => turn(onError)),
      async turns() {
        for (let i = 0; i < MANY_TURNS; i++) await turn();
      },
      async settled(promise) {
        let waiting = true;
        const done = (): void => {
          waiting = false;
        };
        promise.then(done, done);
        await play.until(() => !waiting, 'a login');
        return promise;
      },
      async endServer() {
        await server.close();
        await play.until(() => play.connection.state === 'disconnected', 'the end');
        await turn();
      },
      async startServer() {
        server = newServer();
        await server.listen({ host: '127.0.0.1', port: address.port });
        return texts;
      },
      async listenElsewhere() {
        server = newServer();
        const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
        return { port };
      },
      async attemptInVain() {
        const ended = { count: 0 };
        await play.endServer();
        listener = createServer((socket) => {
          silent.count++;
          socket.on('error', () => {});
          socket.on('close', () => {
            ended.count++;
          });
          socket.resume();
        });
        listener.listen(address.port, '127.0.0.1');
        await once(listener, 'listening');
        play.now += 100;
        await play.until(() => silent.count === 1, 'an attempt');
        return ended;
      },
    };
    (play as { connection: Play['connection'] }).connection = await play.settled(client.connect(address));
    return play;
  }
});

interface Play {
  /** What the client's clock says. */
  now: number;
  readonly client: Client;
  readonly address: ConnectOptions;
  readonly connection: NonNullable<Client['connection']>;
  readonly attempts: ReconnectAttempt[];
  /** What the server of now has heard. */
  readonly texts: string[];
  /** Connections to a listener that says nothing. */
  readonly silent: { count: number };
  server(): Server;
  until(condition: () => boolean, what: string, onError?: (error: unknown) => void): Promise<void>;
  turns(): Promise<void>;
  settled<T>(promise: Promise<T>): Promise<T>;
  endServer(): Promise<void>;
  /** Another server in the place of the one that has ended: gives what it hears. */
  startServer(): Promise<string[]>;
  listenElsewhere(): Promise<{ port: number }>;
  /** Puts a listener that says nothing in the place of the server, and waits until an attempt is under way. */
  attemptInVain(): Promise<{ count: number }>;
}
