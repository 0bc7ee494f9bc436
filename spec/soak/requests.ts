/**
 * Requests of all modes over a session whose link is cut and whose server is killed at random, and started again: each must
 * be settled, and as its mode promises. Beside them those of a process that is killed itself (requester.ts).
 *
 *   this process ═ messenger ═ relay ═ messenger ═ server process, tells each run before it answers
 *   requester process ═══════════╝                    └──── SIGKILL, start
 *      └──── SIGKILL, start     └──── cuts
 */
import { once } from 'node:events';
import { type Messenger, messenger, type RequestOptions } from '../../lib/index.js';
import { Scene, type Talk } from '../peers/support.js';
import { Random } from '../support/random.js';
import { Relay } from '../support/relay.js';
import type { RequestsArguments } from './arguments.js';
import { type RecordedFigures, Requester } from './requester.js';

export interface RequestsReport {
  readonly transport: RequestsArguments['transport'];
  readonly kills: number;
  readonly cuts: number;
  readonly requests: number;
  readonly answered: number;
  readonly unanswered: number;
  readonly notSent: number;
  /** Runs of idempotent requests beyond the first one of each. */
  readonly repeated: number;
  /** Of the process that keeps a ledger; `kills` has its deaths too. */
  readonly recorded: RecordedFigures;
  /** What is against what the modes promise, in words. */
  readonly wrong: readonly string[];
}

type Mode = 'default' | 'idempotent' | 'oneShot' | 'synchronous';
const MODES: readonly Mode[] = ['default', 'idempotent', 'idempotent', 'oneShot', 'synchronous'];
const OPTIONS: Readonly<Record<Mode, RequestOptions>> = {
  default: {},
  idempotent: { idempotent: true },
  oneShot: { oneShot: true },
  synchronous: { synchronous: true, idempotent: true },
};

/** Requests that are under way at a time. */
const AT_ONCE = 24;
const LARGEST_BYTES = 150_000;
/** Turns of traffic before something happens, at the most. */
const MOST_TURNS = 150;

const SERVER = `
const server = new tcpshm.Server({
  name: process.env.NAME,
  directory: process.env.DIRECTORY,
  sharedDirectory: process.env.SHARED,
  sendCapacityBytes: 65536,
  receiveCapacityBytes: 65536,
  onConnection(connection) {
    connection.userData ??= tcpshm.messenger(connection).handle('work', async ({ id, bytes }) => {
      say('run ' + id);
      if (id % 3 === 0) await new Promise((resolve) => setTimeout(resolve, id % 7));
      return { id, bytes };
    }).handle('record', ({ id, bytes }) => {
      say('recorded ' + id);
      return { id, bytes };
    });
  },
  onError() {},
});
say('port ' + (await server.listen({ host: '127.0.0.1', port: 0 })).port);
await server.run();
`;

interface Asked {
  readonly mode: Mode;
  outcome: string | null;
}

/** Runs until so many kills and cuts have happened, and all is settled. Throws when `signal` aborts. */
export async function soakRequests(
  options: RequestsArguments,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<RequestsReport> {
  const scene = new Scene();
  const relay = await Relay.listen();
  try {
    return await new Soak(scene, relay, options, progress, signal).run();
  } finally {
    await relay.close();
    await scene.end();
  }
}

class Soak {
  readonly #scene: Scene;
  readonly #relay: Relay;
  readonly #options: RequestsArguments;
  readonly #progress: (line: string) => void;
  readonly #signal: AbortSignal;
  readonly #random: Random;
  readonly #servers: Talk[] = [];
  readonly #requester: Requester;
  readonly #asked: Asked[] = [];
  readonly #wrong: string[] = [];
  #underWay = 0;
  #kills = 0;
  #cuts = 0;

  constructor(
    scene: Scene,
    relay: Relay,
    options: RequestsArguments,
    progress: (line: string) => void,
    signal: AbortSignal,
  ) {
    this.#scene = scene;
    this.#relay = relay;
    this.#options = options;
    this.#progress = progress;
    this.#signal = signal;
    this.#random = new Random(options.seed);
    this.#requester = new Requester(scene, { port: relay.port, transport: options.transport });
  }

  async run(): Promise<RequestsReport> {
    const { transport, kills, cuts } = this.#options;
    await this.#start();
    const client = this.#scene.client({ reconnect: { initialDelayMs: 5, maxDelayMs: 50 } });
    const address = { port: this.#relay.port, transport, server: this.#scene.serverName };
    this.#requester.start();
    const near = messenger(await this.#scene.connect(client, address));
    while (this.#kills < kills || this.#cuts < cuts) {
      const settled = this.#settled;
      // Something of each stretch is answered, so that the run gets on.
      await this.#until(() => this.#settled > settled && this.#requester.gotOn, near, 'some to be settled');
      for (let turns = this.#random.below(MOST_TURNS); turns > 0; turns--) await this.#turn(near);
      const left = kills - this.#kills;
      if (this.#random.below(left + cuts - this.#cuts) >= left) this.#cut();
      else if (this.#kills % 2 === 0) await this.#kill();
      else await this.#killRequester();
    }
    this.#requester.finish();
    await this.#until(() => this.#underWay === 0 && this.#requester.done, null, 'all to be settled');
    return this.#judge();
  }

  async #turn(near: Messenger | null): Promise<void> {
    this.#signal.throwIfAborted();
    while (near !== null && this.#underWay < AT_ONCE) this.#ask(near);
    await this.#scene.turn();
  }

  /** New ones are made meanwhile, with `near`. */
  #until(condition: () => boolean, near: Messenger | null, what: string): Promise<void> {
    return this.#scene.until(() => {
      this.#signal.throwIfAborted();
      while (near !== null && this.#underWay < AT_ONCE) this.#ask(near);
      return condition();
    }, what);
  }

  #ask(near: Messenger): void {
    const random = this.#random;
    const id = this.#asked.length;
    const mode = random.pick(MODES);
    const asked: Asked = { mode, outcome: null };
    this.#asked.push(asked);
    this.#underWay++;
    const bytes = Buffer.alloc(random.once(10) ? random.below(LARGEST_BYTES) : random.below(300), id);
    near
      .request<{ id: number; bytes: Uint8Array }>('work', { id, bytes }, OPTIONS[mode])
      .then(
        (answer) => (answer.id === id && bytes.equals(answer.bytes) ? 'answered' : 'another answer'),
        ({ code, message }: { code?: string; message: string }) => code ?? message,
      )
      .then((outcome) => {
        if (asked.outcome !== null) this.#wrong.push(`${id} is settled twice`);
        asked.outcome = outcome;
        this.#underWay--;
      });
  }

  async #start(): Promise<void> {
    const { directory, sharedDirectory } = this.#scene.places;
    const environment = { NAME: this.#scene.serverName, DIRECTORY: directory, SHARED: sharedDirectory };
    const talk = this.#scene.child(SERVER, environment);
    this.#servers.push(talk);
    let port: string | undefined;
    await this.#until(
      () => {
        port = talk.words.find((word) => word.startsWith('port '));
        return port !== undefined;
      },
      null,
      'the server',
    );
    this.#relay.targetPort = Number(port?.slice(5));
  }

  async #kill(): Promise<void> {
    const { child } = this.#servers.at(-1) as Talk;
    child.kill('SIGKILL');
    // All of what it has said, too.
    await once(child, 'close');
    this.#kills++;
    this.#progress(`kill ${this.#kills}: ${this.#underWay} requests under way`);
    await this.#start();
  }

  async #killRequester(): Promise<void> {
    await this.#requester.kill();
    this.#kills++;
    this.#progress(`kill ${this.#kills}: of the requester`);
    this.#requester.start();
  }

  #cut(): void {
    this.#relay.cut();
    this.#cuts++;
    this.#progress(`cut ${this.#cuts}: ${this.#underWay} requests under way`);
  }

  get #settled(): number {
    return this.#asked.length - this.#underWay;
  }

  #judge(): RequestsReport {
    const runs = new Map<number, number>();
    for (const { words } of this.#servers) {
      for (const word of words) {
        if (!word.startsWith('run ')) continue;
        const id = Number(word.slice(4));
        runs.set(id, (runs.get(id) ?? 0) + 1);
      }
    }
    let repeated = 0;
    for (const [id, { mode, outcome }] of this.#asked.entries()) {
      const ran = runs.get(id) ?? 0;
      const mayRepeat = mode === 'idempotent' || mode === 'synchronous';
      if (mayRepeat) repeated += Math.max(0, ran - 1);
      const good =
        (outcome === 'answered' && ran >= 1) ||
        (!mayRepeat && outcome === 'ERR_UNANSWERED') ||
        (mode === 'oneShot' && outcome === 'ERR_NOT_SENT' && ran === 0);
      if (!good || (!mayRepeat && ran > 1)) {
        this.#wrong.push(`request ${id}, ${mode}: ${outcome}, and ran ${ran} times`);
      }
    }
    const words = this.#servers.flatMap((server) => server.words);
    const recorded = this.#requester.judge(words, this.#wrong);
    const count = (wanted: string): number => this.#asked.filter(({ outcome }) => outcome === wanted).length;
    return {
      transport: this.#options.transport,
      kills: this.#kills,
      cuts: this.#cuts,
      requests: this.#asked.length,
      answered: count('answered'),
      unanswered: count('ERR_UNANSWERED'),
      notSent: count('ERR_NOT_SENT'),
      repeated,
      recorded,
      wrong: this.#wrong,
    };
  }
}
