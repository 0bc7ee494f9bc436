import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Connection, ErrorCode, Message } from '../../lib/index.js';
import { TcpshmError } from '../../lib/index.js';
import { RECORDS } from '../../lib/ring/layout.js';
import { type Pair, Scene } from '../peers/support.js';
import { Random, randomSeed } from '../support/random.js';
import { Watchdog } from '../support/until.js';
import { ATTACKS, type Attack } from './attacks.js';

const PEER = fileURLToPath(new URL('./hostilePeer.js', import.meta.url));
const CAPACITY = 4096;
/** Rounds of both sides, in each of which they push and pop some messages: at least so many. */
const ROUNDS = 200;
/** What calls may throw when memory is scribbled over. */
const ALLOWED: readonly ErrorCode[] = ['ERR_PROTOCOL', 'ERR_SEGMENT', 'ERR_FENCED', 'ERR_FILE', 'ERR_CLOSED'];
/** In messages of the connection that nobody attacks: must never be seen in another. */
const SECRET = 'of the other connection';

describe('a process that scribbles into a segment while both sides are at work', () => {
  let scene: Scene;
  const seed = randomSeed();
  /** What was thrown. */
  let errors: string[];

  beforeEach(() => {
    scene = new Scene();
    errors = [];
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(`      seed ${seed}`);
    await scene.end();
  });

  /** Only errors of this library may come out, and no others of it. */
  function tolerating(act: () => void): void {
    try {
      act();
    } catch (error) {
      expect(error, (error as Error).stack).to.be.instanceOf(TcpshmError);
      expect((error as TcpshmError).code, (error as Error).stack).to.be.oneOf([...ALLOWED]);
      errors.push((error as TcpshmError).code);
    }
  }

  function look(message: Message): void {
    expect(message.offset % 8).to.equal(0);
    expect(message.offset).to.be.at.least(RECORDS);
    expect(message.size).to.be.within(0, CAPACITY / 4);
    expect(message.offset + message.size).to.be.at.most(RECORDS + CAPACITY);
    expect(message.bytes().length).to.equal(message.size);
    expect(message.text()).not.to.include(SECRET);
  }

  function work(connection: Connection, random: Random): void {
    if (connection.state === 'closed') return;
    for (let i = 0; i < 8; i++) {
      tolerating(() => {
        const message = connection.alloc(random.below(CAPACITY / 4 + 1));
        if (message === null) return;
        for (let at = 0; at + 4 <= message.size; at += 64) message.setInt32(at, 0x2a2a2a2a);
        if (random.once(4)) connection.pushMore();
        else connection.push();
      });
    }
    for (let i = 0; i < 16; i++) {
      tolerating(() => {
        const message = connection.front();
        if (message === null) return;
        look(message);
        connection.pop();
      });
    }
  }

  /** A pair whose segment is at a path of its own, with nobody who takes messages but `work`. */
  async function begin(): Promise<Pair> {
    const idle = { onMessage: () => {} };
    return scene.pair('shm', { name: 'attacked', ...idle }, { name: 'victim', ...idle });
  }

  async function attacked(attack: Attack, path: string, during: () => Promise<void>): Promise<void> {
    const child = spawn(process.execPath, [PEER, JSON.stringify({ path, attack, seed })], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = once(child, 'exit');
    try {
      let ready = false;
      child.stdout.once('data', () => {
        ready = true;
      });
      await scene.until(() => ready || child.exitCode !== null, 'the hostile process');
      expect(child.exitCode, 'the hostile process has ended').to.equal(null);
      await during();
      expect(child.exitCode, 'the hostile process has ended').to.equal(null);
    } finally {
      child.kill('SIGKILL');
      await gone;
    }
  }

  for (const attack of ATTACKS) {
    it(`harms this connection at most: ${attack}`, async () => {
      const random = new Random(seed);
      const { local, remote } = await begin();
      const [path = ''] = scene.files().filter((file) => file.endsWith('.segment'));
      const other = await scene.pair('shm', { name: 'bystander' }, { name: 'other' });
      let sent = 0;
      await attacked(attack, path, async () => {
        const harmless = attack === 'sleepers that are none, with bells of others';
        const watchdog = new Watchdog('the attack to be noticed');
        for (let round = 0; round < ROUNDS || (errors.length === 0 && !harmless); round++) {
          watchdog.check();
          work(local, random);
          work(remote, random);
          if (round % 50 === 0) {
            if (local.state !== 'closed') tolerating(() => local.side.readState());
            if (other.local.send(`${SECRET} ${sent}`)) sent++;
            await scene.turn();
          }
          // Whatever they have become: their states are ones that there are.
          expect(['connected', 'disconnected', 'closed']).to.include(local.state);
        }
      });
      await scene.until(() => other.log.includes(`server: ${SECRET} ${sent - 1}`), 'the other connection');
      const texts = other.log.filter((line) => line.includes(SECRET));
      expect(texts).to.deep.equal(Array.from({ length: sent }, (_, i) => `server: ${SECRET} ${i}`));
      expect([...other.serverEnded, ...other.clientEnded]).to.deep.equal([]);
      expect(other.local.state).to.equal('connected');
    });
  }

  it('cannot keep a login waiting: what it scribbles over is refused or set aside', async () => {
    for (const attack of ['positions that move back and forth', 'random words anywhere'] as const) {
      const first = await begin();
      const [path = ''] = scene.files().filter((file) => file.endsWith('.segment'));
      await attacked(attack, path, async () => {
        await first.client.close();
        tolerating(() => first.remote.close());
        const client = scene.client({ name: 'victim', onMessage: () => {} });
        let settled = false;
        client.connect(first.address).then(
          () => {
            settled = true;
          },
          (error: unknown) => {
            settled = true;
            expect(error).to.be.instanceOf(TcpshmError);
          },
        );
        await scene.until(() => settled, 'the login to succeed or to be refused');
        await client.close();
      });
      await first.server.close({ removeSessions: true });
    }
  });
});
