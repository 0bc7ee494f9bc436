/**
 * A process that asks, and is killed while it does. What it has asked and what was answered is in a ledger on disk: whoever
 * comes after it asks again for what has no answer there, and so each has one in the end.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scene, Talk } from '../peers/support.js';

/** What the ledger says. */
export interface RecordedFigures {
  readonly kills: number;
  readonly asked: number;
  readonly answered: number;
  /** Asked again by a process that came after one that was killed. */
  readonly askedAgain: number;
  /** Runs beyond the first one of each. */
  readonly repeated: number;
}

const PROGRAM = `
import { existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const { LEDGER, NAME, SERVER, DIRECTORY, SHARED, PORT, TRANSPORT } = process.env;
const AT_ONCE = 16;
const open = new Map();
let next = 0;
for (const line of existsSync(LEDGER) ? readFileSync(LEDGER, 'utf8').split('\\n') : []) {
  const [what, id, size] = line.split(' ');
  if (what === 'asked') open.set(Number(id), Number(size));
  if (what === 'asked') next = Number(id) + 1;
  if (what === 'answered') open.delete(Number(id));
}
const ledger = openSync(LEDGER, 'a');
let finishing = false;
let underWay = 0;
const client = new tcpshm.Client({
  name: NAME,
  directory: DIRECTORY,
  sharedDirectory: SHARED,
  reconnect: { initialDelayMs: 5, maxDelayMs: 50 },
});
const running = client.run();
let connection = null;
while (connection === null) {
  try {
    connection = await client.connect({ port: Number(PORT), transport: TRANSPORT, server: SERVER });
  } catch (error) {
    if (!(error instanceof tcpshm.TcpshmError)) throw error;
    await sleep(10);
  }
}
const near = tcpshm.messenger(connection);
const ask = (id, size) => {
  const bytes = Buffer.alloc(size, id);
  underWay++;
  near.request('record', { id, bytes }, { idempotent: true }).then(
    (answer) => {
      if (answer.id !== id || !bytes.equals(answer.bytes)) say('wrong ' + id + ': another answer');
      writeSync(ledger, 'answered ' + id + '\\n');
      say('answered ' + id);
    },
    (error) => say('wrong ' + id + ': ' + error),
  ).finally(() => {
    underWay--;
    more();
  });
};
const more = () => {
  while (!finishing && underWay < AT_ONCE) {
    const id = next++;
    const size = id % 20 === 0 ? 100_000 : id % 300;
    writeSync(ledger, 'asked ' + id + ' ' + size + '\\n');
    ask(id, size);
  }
  if (finishing && underWay === 0) end();
};
const end = async () => {
  await client.close();
  await running;
  say('done');
  process.exit();
};
process.stdin.once('data', () => {
  finishing = true;
  if (underWay === 0) end();
});
say('again ' + open.size);
for (const [id, size] of open) ask(id, size);
more();
`;

export class Requester {
  readonly #scene: Scene;
  readonly #environment: Record<string, string>;
  readonly #ledger: string;
  readonly #lives: Talk[] = [];
  #kills = 0;

  constructor(scene: Scene, { port, transport }: { readonly port: number; readonly transport: string }) {
    const { directory, sharedDirectory } = scene.places;
    this.#scene = scene;
    this.#ledger = join(directory, 'ledger');
    this.#environment = {
      LEDGER: this.#ledger,
      NAME: `${scene.clientName}-requester`,
      SERVER: scene.serverName,
      DIRECTORY: directory,
      SHARED: sharedDirectory,
      PORT: String(port),
      TRANSPORT: transport,
    };
  }

  /** Whether the one that lives has got an answer. */
  get gotOn(): boolean {
    return this.#now.words.some((word) => word.startsWith('answered '));
  }

  /** Whether it has asked no more, and all that it has asked is settled. */
  get done(): boolean {
    return this.#now.words.includes('done');
  }

  start(): void {
    this.#lives.push(this.#scene.child(PROGRAM, this.#environment));
  }

  async kill(): Promise<void> {
    const { child } = this.#now;
    child.kill('SIGKILL');
    await once(child, 'close');
    if (child.signalCode !== 'SIGKILL') throw new Error(`the requester ended by itself: ${child.exitCode}`);
    this.#kills++;
  }

  /** It is to ask no more. */
  finish(): void {
    this.#now.child.stdin?.write('finish\n');
  }

  /** What the ledger says, by what the servers have said; adds to `wrong` what cannot be. */
  judge(words: readonly string[], wrong: string[]): RecordedFigures {
    const ledger = readFileSync(this.#ledger, 'utf8').trim().split('\n');
    const asked = counts(ledger, 'asked');
    const answered = counts(ledger, 'answered');
    const runs = counts(words, 'recorded');
    for (const [id, times] of asked) {
      const answers = answered.get(id) ?? 0;
      const ran = runs.get(id) ?? 0;
      if (times !== 1 || answers !== 1 || ran < 1)
        wrong.push(`recorded ${id}: asked ${times} times, answered ${answers} times, and ran ${ran} times`);
    }
    for (const id of [...answered.keys(), ...runs.keys()])
      if (!asked.has(id)) wrong.push(`recorded ${id}: was not asked`);
    const said = this.#lives.flatMap((life) => life.words);
    wrong.push(...said.filter((word) => word.startsWith('wrong ')));
    const again = said.filter((word) => word.startsWith('again ')).map((word) => Number(word.slice(6)));
    return {
      kills: this.#kills,
      asked: asked.size,
      answered: answered.size,
      askedAgain: again.reduce((sum, count) => sum + count, 0),
      repeated: [...runs.values()].reduce((sum, ran) => sum + ran - 1, 0),
    };
  }

  get #now(): Talk {
    return this.#lives.at(-1) as Talk;
  }
}

/** How often each id is in the lines of a kind. */
function counts(lines: readonly string[], kind: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of lines) {
    const [what, id = ''] = line.split(' ');
    if (what === kind) found.set(id, (found.get(id) ?? 0) + 1);
  }
  return found;
}
