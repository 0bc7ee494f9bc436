import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { type Connection, type Server, TcpshmError } from '../../lib/index.js';
import { until, Watchdog } from '../support/until.js';
import { GO_ON, type PeerSettings } from './fencingPeer.js';
import { expectError, Scene, type Talk } from './support.js';

const TIMES = { heartbeatIntervalMs: 50, connectionTimeoutMs: 400 };
const LONG_MS = 3_600_000;
const PEER = new URL('./fencingPeer.js', import.meta.url).href;
const TRANSPORTS = ['shm', 'tcp'] as const;

/** What a peer says: of itself, what became of an order, and what a handler of its was called with. */
interface Word {
  readonly ready?: boolean;
  readonly stalled?: boolean;
  readonly port?: number;
  readonly id?: number;
  readonly result?: unknown;
  readonly code?: string | null;
  readonly message?: string;
  readonly name?: string;
  readonly ended?: string;
  readonly state?: string;
  readonly reconnect?: string;
  readonly wrong?: string;
}

/** A process of ours that is told what to do. */
class Peer {
  readonly #talk: Talk;
  readonly #turn: () => Promise<void>;
  #id = 0;

  constructor(scene: Scene, settings: Partial<PeerSettings> & Pick<PeerSettings, 'role' | 'transport'>) {
    const { directory, sharedDirectory } = scene.folders;
    const all = {
      names: [settings.role === 'client' ? scene.clientName : scene.serverName],
      directory,
      sharedDirectory,
      connectionTimeoutMs: TIMES.connectionTimeoutMs,
      ...settings,
    };
    this.#turn = scene.turn;
    this.#talk = scene.child(
      `const { runPeer } = await import(${JSON.stringify(PEER)}); await runPeer(${JSON.stringify(all)});`,
    );
  }

  get processId(): number {
    return this.#talk.child.pid as number;
  }

  get words(): Word[] {
    return this.#talk.words.map((word) => JSON.parse(word) as Word);
  }

  /** Which connections have ended, why, with what error, and what they were then. */
  get ends(): unknown[] {
    return this.words
      .filter(({ ended }) => ended !== undefined)
      .map(({ name, ended, code, state }) => [name, ended, code, state]);
  }

  /** Messages that were not the next one. */
  get wrong(): Word[] {
    return this.words.filter(({ wrong }) => wrong !== undefined);
  }

  /** A word of this kind, once it was said. While it is waited for, what the spec itself has is polled. */
  async heard(key: keyof Word, turn = this.#turn): Promise<Word> {
    const find = (): Word | undefined => this.words.find((word) => key in word);
    await until(() => find() !== undefined, `'${key}'`, turn);
    return find() as Word;
  }

  /** Tells it to do something, and gives what became of it: a result, or a code and message. */
  async order(name: string, what: string, value?: number, turn = this.#turn): Promise<Word> {
    const id = ++this.#id;
    this.#talk.child.stdin?.write(`${JSON.stringify({ id, name, what, value })}\n`);
    const find = (): Word | undefined => this.words.find((word) => word.id === id);
    await until(() => find() !== undefined, `${what} of ${name}`, turn);
    return find() as Word;
  }

  /** Connects, again and again while it is refused because the one before it may still be alive. */
  async connect(name: string, port: number): Promise<void> {
    const watchdog = new Watchdog(`${name} to be let in`);
    for (;;) {
      watchdog.check();
      const { result, code, message } = await this.order(name, 'connect', port);
      if (result === true) return;
      expect(code, String(message)).to.equal('ERR_ALREADY_CONNECTED');
    }
  }

  /** Waits until what it is asked for is so. */
  async reaches(name: string, what: string, value: unknown): Promise<void> {
    const watchdog = new Watchdog(`${what} of ${name} to be ${value}`);
    while ((await this.order(name, what)).result !== value) watchdog.check();
  }

  /** Stops the process, and waits until it is. */
  async stop(): Promise<void> {
    this.#talk.child.kill('SIGSTOP');
    const state = (): string =>
      readFileSync(`/proc/${this.processId}/stat`, 'latin1')
        .replace(/^.*\) /, '')
        .charAt(0);
    await until(() => state() === 'T', 'the process to stop');
  }

  resume(): void {
    this.#talk.child.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    this.#talk.child.kill('SIGKILL');
    await until(() => this.#talk.child.signalCode !== null, 'the process to die', this.#turn);
  }
}

describe('the one owner of a side', () => {
  let scene: Scene;
  let wrong: string[];

  beforeEach(() => {
    scene = new Scene();
    wrong = [];
  });
  afterEach(async () => {
    await scene.end();
    expect(wrong).to.deep.equal([]);
  });

  /** Takes numbered messages, and notes any that is not the next one. */
  const onMessage = (connection: Connection, message: { text(): string }): void => {
    if (Number(message.text()) !== connection.popped)
      wrong.push(`${message.text()} for ${connection.popped}`);
    connection.pop();
  };

  function send(connection: Connection): boolean {
    return connection.send(String(connection.pushed));
  }

  /** A server in this process: what it has of each client, and where it listens. */
  async function serve(
    options = {},
  ): Promise<{ server: Server; port: number; of(name: string): Connection }> {
    const server = scene.server({ ...TIMES, onMessage, ...options });
    const { port } = await server.listen({ port: 0 });
    const of = (name: string): Connection =>
      server.connections.find(({ remoteName }) => remoteName === name) as Connection;
    return { server, port, of };
  }

  function contents(): string[] {
    return scene.files().map((file) => `${file}: ${readFileSync(file, 'latin1')}`);
  }

  /** Nothing of this process is polled. */
  const still = async (): Promise<void> => {
    await sleep(1);
  };

  for (const transport of TRANSPORTS) {
    describe(`over ${transport}`, () => {
      const clientPeer = (settings: Partial<PeerSettings> = {}): Peer =>
        new Peer(scene, { role: 'client', transport, ...settings });

      it('paused past its timeout writes again beside its successor, in TCPSHM: here it learns by any call that it has lost its place, and writes nothing', async () => {
        const prepare: Record<string, readonly string[]> = {
          alloc: [],
          push: ['alloc'],
          pushMore: ['alloc'],
          publish: ['alloc', 'pushMore'],
          front: [],
          pop: [],
          send: [],
          poll: [],
        };
        const names = Object.keys(prepare);
        const { port, of } = await serve();
        const first = clientPeer({ names });
        const second = clientPeer({ names });
        await first.heard('ready');
        await second.heard('ready');
        for (const name of names) {
          await first.connect(name, port);
          for (let n = 0; n < 3; n++) expect((await first.order(name, 'send')).result).to.equal(true);
          await scene.until(() => of(name).popped === 3, 'what was sent');
        }
        await first.order('', 'leaving', 1);
        for (const name of names) expect(send(of(name))).to.equal(true);
        await first.reaches('pop', 'front', '0');
        await first.order('', 'polling', 0);
        for (const name of names) {
          for (const what of prepare[name] as readonly string[]) await first.order(name, what);
        }
        await first.stop();
        for (const name of names) {
          await scene.until(() => of(name).state === 'disconnected', `the timeout of ${name}`);
          await second.connect(name, port);
          await second.reaches(name, 'popped', 1);
        }
        await second.stop();
        // Nobody but the first one moves from here on: this process does not poll either.
        const before = contents();
        first.resume();
        for (const name of names) {
          const { code, message, result } = await first.order(name, name, 0, still);
          if (name === 'poll') continue;
          expect(code, `${name}: ${result}`).to.equal('ERR_FENCED');
          expect(message).to.include(`id ${second.processId}`);
        }
        await first.order('', 'polling', 1, still);
        await first.order('', 'leaving', 0, still);
        expect(first.ends).to.deep.equal([['poll', 'taken over', 'ERR_FENCED', 'closed']]);
        expect(contents(), 'the files of all sessions').to.have.members(before);

        second.resume();
        for (const name of names) {
          for (let n = 0; n < 5; n++) {
            if (of(name).state !== 'connected') await second.connect(name, port);
            expect((await second.order(name, 'send')).result).to.equal(true);
            send(of(name));
          }
          await second.reaches(name, 'popped', of(name).pushed);
          await second.reaches(name, 'pushed', of(name).popped);
        }
        expect(first.wrong).to.deep.equal([]);
        expect(second.wrong).to.deep.equal([]);
      });

      it('goes on after it was stopped, if nobody has taken its place', async () => {
        const name = scene.clientName;
        const { port, of } = await serve();
        const peer = clientPeer();
        await peer.heard('ready');
        await peer.connect(name, port);
        await peer.order(name, 'send');
        await scene.until(() => of(name).popped === 1, 'what was sent');
        await peer.stop();
        send(of(name));
        await scene.until(() => of(name).state === 'disconnected', 'the timeout');
        peer.resume();
        expect((await peer.order(name, 'send')).result).to.equal(true);
        await peer.reaches(name, 'state', 'disconnected');
        await peer.connect(name, port);
        await peer.reaches(name, 'popped', 1);
        expect((await peer.order(name, 'send')).result).to.equal(true);
        await scene.until(() => of(name).popped === 3, 'all of it');
        expect(peer.wrong).to.deep.equal([]);
      });

      it('learns of it as of any end when a handler runs into it: the poll throws nothing', async () => {
        const name = scene.clientName;
        const { port, of } = await serve();
        const first = clientPeer();
        const second = clientPeer();
        await first.heard('ready');
        await second.heard('ready');
        await first.connect(name, port);
        await first.order('', 'stalling', 1);
        send(of(name));
        await first.heard('stalled');
        await scene.until(() => of(name).state === 'disconnected', 'the timeout');
        await second.connect(name, port);
        await second.reaches(name, 'popped', 1);
        writeFileSync(join(scene.folders.directory, GO_ON), '');
        await first.heard('ended');
        expect(first.ends).to.deep.equal([[name, 'taken over', 'ERR_FENCED', 'closed']]);
        expect((await first.order(name, 'state')).result).to.equal('closed');
        expect((await second.order(name, 'send')).result).to.equal(true);
        await scene.until(() => of(name).popped === 1, 'what the second sent');
      });

      it('does not connect again by itself when it has lost its place', async () => {
        const name = scene.clientName;
        const { port, of } = await serve();
        const first = clientPeer({ reconnect: true });
        const second = clientPeer();
        await first.heard('ready');
        await second.heard('ready');
        await first.connect(name, port);
        await first.stop();
        await scene.until(() => of(name).state === 'disconnected', 'the timeout');
        await second.connect(name, port);
        first.resume();
        await first.heard('ended');
        expect(first.ends).to.deep.equal([[name, 'taken over', 'ERR_FENCED', 'closed']]);
        // Its successor leaves: whoever would connect again could do so now.
        await second.kill();
        await scene.until(() => of(name).state === 'disconnected', 'the end of the second');
        await scene.until(elapsed(500), 'longer than the first delay');
        expect(first.words.filter((word) => 'reconnect' in word)).to.deep.equal([]);
        expect(of(name).state).to.equal('disconnected');
      });

      it('keeps its place while it lives: a second process is refused at once', async () => {
        const name = scene.clientName;
        const { server, port, of } = await serve();
        const first = clientPeer();
        const second = clientPeer();
        await first.heard('ready');
        await second.heard('ready');
        await first.connect(name, port);
        await first.order(name, 'send');
        await scene.until(() => of(name).popped === 1, 'what was sent');
        expect((await second.order(name, 'connect', port)).code).to.equal('ERR_ALREADY_CONNECTED');
        // Also when it is not connected now, for longer than its timeout.
        await server.close();
        await first.reaches(name, 'state', 'disconnected');
        const again = await serve();
        await scene.until(elapsed(2 * TIMES.connectionTimeoutMs), 'longer than the timeout');
        const { code, message } = await second.order(name, 'connect', again.port);
        expect(code).to.equal('ERR_ALREADY_CONNECTED');
        expect(message).to.include(`process ${first.processId}`);
        await first.connect(name, again.port);
        expect((await first.order(name, 'send')).result).to.equal(true);
        await scene.until(() => again.of(name).popped === 2, 'all of it');
      });

      /** Two servers of one name, and a client of the first. */
      async function twoServers() {
        const first = new Peer(scene, { role: 'server', transport });
        const second = new Peer(scene, { role: 'server', transport });
        const port = (await first.heard('port')).port as number;
        const secondPort = (await second.heard('port')).port as number;
        const client = scene.client({ ...TIMES, onMessage });
        const local = await scene.connect(client, { port, transport });
        return { first, second, port, secondPort, client, local };
      }

      it('keeps its place as a server too, connected or not', async () => {
        const name = scene.clientName;
        const { first, port, secondPort, client, local } = await twoServers();
        await scene.until(() => local.state === 'connected', 'the connection');
        local.close();
        await first.reaches(name, 'state', 'disconnected');
        await scene.until(elapsed(2 * TIMES.connectionTimeoutMs), 'longer than the timeout');
        const error = await scene.refused(
          client.connect({ port: secondPort, transport }),
          'ERR_ALREADY_CONNECTED',
        );
        expect(error.message).to.include(`process ${first.processId}`);
        await scene.connect(client, { port, transport });
      });

      it('that is killed leaves its place at once', async () => {
        const name = scene.clientName;
        const { port, of } = await serve({ connectionTimeoutMs: LONG_MS });
        const first = clientPeer({ connectionTimeoutMs: LONG_MS });
        const second = clientPeer({ connectionTimeoutMs: LONG_MS });
        await first.heard('ready');
        await second.heard('ready');
        await first.connect(name, port);
        await first.order(name, 'send');
        send(of(name));
        await first.reaches(name, 'popped', 1);
        await first.kill();
        await scene.until(() => of(name).state === 'disconnected', 'the end of the first');
        await second.connect(name, port);
        expect((await second.order(name, 'pushed')).result).to.equal(1);
        expect((await second.order(name, 'popped')).result).to.equal(1);
      });

      it('loses it to a second server when it is a stopped one, while the client goes on pushing', async () => {
        const name = scene.clientName;
        const { first, second, secondPort, client, local } = await twoServers();
        const pushing = (count: number): (() => boolean) => {
          const end = local.pushed + count;
          return () => {
            if (local.pushed < end) send(local);
            return local.pushed >= end;
          };
        };
        await scene.until(pushing(20), 'the first messages');
        await first.reaches(name, 'popped', 20);
        for (let n = 0; n < 3; n++) await first.order(name, 'send');
        await scene.until(() => local.popped === 3, 'the answers');
        await first.stop();
        await scene.until(pushing(20), 'messages to one who does not listen');
        await scene.until(() => local.state === 'disconnected', 'the timeout');
        const watchdog = new Watchdog('the second server to let the client in');
        while (local.state !== 'connected') {
          watchdog.check();
          const connecting = client.connect({ port: secondPort, transport });
          const pushingOn = pushing(1);
          await scene.until(pushingOn, 'a message during a login');
          const result = await scene.settled(
            connecting.catch((error: unknown) => error as TcpshmError),
            'a login',
          );
          if (result instanceof TcpshmError) expectError(result, 'ERR_ALREADY_CONNECTED', /sign of life/);
          else expect(result).to.equal(local);
        }
        await scene.until(pushing(20), 'the last messages');
        await second.reaches(name, 'popped', local.pushed);
        expect((await second.order(name, 'send')).result).to.equal(true);
        await scene.until(() => local.popped === 4, 'the next answer');

        await second.stop();
        const before = contents();
        first.resume();
        await first.heard('ended', still);
        expect(first.ends).to.deep.equal([[name, 'taken over', 'ERR_FENCED', 'closed']]);
        expect(contents(), 'the files of the session').to.have.members(before);
        second.resume();
        await scene.until(pushing(5), 'messages after that');
        await second.reaches(name, 'popped', local.pushed);
        expect(first.wrong).to.deep.equal([]);
        expect(second.wrong).to.deep.equal([]);
      });
    });
  }
});

/** Whether so much time has passed since: only what must not happen meanwhile is shown by it. */
function elapsed(ms: number): () => boolean {
  const end = performance.now() + ms;
  return () => performance.now() >= end;
}
