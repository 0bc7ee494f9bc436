import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { ConnectOptions } from '../../lib/index.js';
import { expectError, newName, type Way } from '../peers/support.js';
import { recordThreads } from '../support/threads.js';
import { until } from '../support/until.js';
import { DEATHS } from './commands.js';
import { type Caller, GroupScene, THREAD_WAYS, type Trafficker } from './support.js';

const MESSAGES = 4000;
/** So often each. */
const ROUNDS = 2;
const RECONNECT = { initialDelayMs: 1, maxDelayMs: 20 };
/** So that running out of memory does not take long. */
const LIMITS = { maxOldGenerationSizeMb: 48 };

const EXPECTED: Readonly<Record<(typeof DEATHS)[number] | 'terminate', RegExp>> = {
  exit: /group 0 has ended: .*code: 3/,
  uncaught: /group 0 has ended: nobody catches this/,
  rejection: /group 0 has ended: nobody catches this/,
  'out of memory': /group 0 has ended: .*out of memory/,
  terminate: /group 0 has ended: .*code: 1/,
};

/** Set while threads are to die as soon as they are up. */
const SWITCH = 'TCPSHM_SPEC_DIES';

/**
 * How many files this process has open. The bell of a thread counts once: whether this thread has opened it as well
 * depends on whether the other one ever slept when it had to be woken.
 */
function openFiles(): number {
  const links = readdirSync('/proc/self/fd').map((descriptor) => {
    // The folder itself is read by one that is closed again by now.
    return readlinkOrNull(`/proc/self/fd/${descriptor}`);
  });
  const isBell = (link: string | null): boolean => link?.includes('.bell') ?? false;
  return links.filter((link) => !isBell(link)).length + new Set(links.filter(isBell)).size;
}

function readlinkOrNull(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

describe('the thread of a group that ends by itself', () => {
  let scene: GroupScene;
  let recorded: { readonly threads: Worker[]; restore(): void };
  beforeEach(() => {
    scene = new GroupScene();
    recorded = recordThreads();
  });
  afterEach(async () => {
    recorded.restore();
    await scene.end();
  });

  /** Lets the thread of group 0 die, which is the only one, unless it is told to by a client. */
  async function die(
    how: (typeof DEATHS)[number] | 'terminate',
    way: Way,
    address: ConnectOptions,
  ): Promise<void> {
    const before = scene.errors.length;
    if (how === 'terminate') {
      await recorded.threads.filter(({ threadId }) => threadId > 0)[0]?.terminate();
    } else {
      const killer = await scene.caller(way, address, { name: newName('killer') });
      killer.connection.send(how);
      await scene.until(() => killer.connection.state === 'disconnected', 'the end of the thread');
      await killer.client.close();
    }
    await scene.until(() => scene.errors.length > before, 'the error');
    const error = scene.errors.at(-1);
    expectError(error, 'ERR_WORKER', EXPECTED[how]);
    expect(error?.cause).to.be.instanceOf(Error);
  }

  for (const way of THREAD_WAYS) {
    for (const how of [...DEATHS, 'terminate'] as const) {
      it(`loses and repeats nothing, by '${how}' under load, over ${way}`, async () => {
        const server = scene.groupServer({ count: 1, resourceLimits: LIMITS });
        const address = await scene.address(server, way);
        const callers: Trafficker[] = [];
        for (let i = 0; i < 2; i++) {
          callers.push(await scene.trafficker(way, address, MESSAGES, { reconnect: RECONNECT }));
        }
        for (let round = 1; round <= ROUNDS; round++) {
          const share = (MESSAGES * round) / (ROUNDS + 1);
          const there = (): boolean => callers.every(({ connection }) => connection.popped > share);
          await scene.exchange(callers, there, 'some messages');
          await die(how, way, address);
          expect(callers.some(({ traffic }) => !traffic.done)).to.equal(true);
        }
        await scene.exchange(callers, () => callers.every(({ traffic }) => traffic.done), 'the rest');
        for (const caller of callers) {
          await scene.until(() => caller.connection.state === 'connected', 'the connection');
          expect(await caller.ask('who?')).to.include({ group: 0, pushed: MESSAGES, popped: MESSAGES });
          expect(caller.ended).to.have.length(ROUNDS);
          expect(caller.again.filter((outcome) => outcome === 'connected')).to.have.length(ROUNDS);
        }
        expect(scene.errors).to.have.length(ROUNDS);
      });
    }
  }

  it('frees its sockets, its locks and its memory', async () => {
    const loginTimeoutMs = 60_000;
    const server = scene.groupServer({ count: 1 }, { loginTimeoutMs });
    const ways = ['tcp native', 'shm'] as const;
    const addresses = {
      'tcp native': await scene.address(server, ways[0]),
      shm: await scene.address(server, ways[1]),
    };
    const counts: number[] = [];
    for (let round = 0; round < 5; round++) {
      const callers: Caller[] = [];
      for (const way of ways) {
        const name = `stays-${way.slice(0, 3)}`;
        const caller = await scene.caller(way, addresses[way], { name, loginTimeoutMs });
        expect(await caller.ask('who?')).to.include({ popped: round });
        callers.push(caller);
      }
      counts.push(openFiles());
      await die('terminate', 'shm', addresses.shm);
      for (const { client, connection } of callers) {
        await scene.until(() => connection.state === 'disconnected', 'the end');
        await client.close();
      }
      expect(server.members).to.deep.equal([]);
    }
    expect(new Set(counts).size, `open files: ${counts}`).to.equal(1);
  });

  for (const way of THREAD_WAYS) {
    it(`takes connections along that were on their way to it, over ${way}`, async () => {
      const server = scene.groupServer({ count: 1 }, { loginTimeoutMs: 60_000 });
      const address = await scene.address(server, way);
      const before = openFiles();
      const hung = await scene.caller(way, address, { name: newName('hung') });
      await scene.hang(hung);
      const coming: Caller[] = [];
      for (let i = 0; i < 3; i++) coming.push(await scene.caller(way, address, { name: newName('coming') }));
      expect(server.members).to.have.length(4);
      for (const { connection } of coming) connection.send('hello');
      await recorded.threads[0]?.terminate();
      for (const { ended, client } of [...coming, hung]) {
        await scene.until(() => ended.length > 0, 'the end');
        expect(ended, 'not timed out').to.have.length(1).and.not.include('timed out');
        await client.close();
      }
      expect(server.members).to.deep.equal([]);
      for (const { client } of coming) {
        const again = await scene.caller(way, address, { name: client.name, loginTimeoutMs: 60_000 });
        await scene.until(() => again.connection.front() !== null, 'the answer');
        expect(again.connection.front()?.text()).to.include('"text":"hello"');
        await again.client.close();
      }
      await scene.until(() => server.members.length === 0, 'the ends');
      expect(openFiles()).to.equal(before);
    });

    it(`lets a client in that has waited for it while it hung, over ${way}`, async () => {
      const loginTimeoutMs = 60_000;
      const server = scene.groupServer({ count: 1 }, { loginTimeoutMs });
      const address = await scene.address(server, way);
      const name = newName('hung');
      const first = await scene.caller(way, address, { name });
      await first.ask('who?');
      await scene.hang(first);
      await first.client.close();
      const connecting = scene.caller(way, address, { name, loginTimeoutMs });
      for (let turn = 0; turn < 100; turn++) await scene.turn();
      expect(server.members).to.have.length(1);
      await recorded.threads[0]?.terminate();
      const second = await connecting;
      expect((await second.ask('again')).popped).to.equal(2);
    });
  }

  it('does not take the other groups along', async () => {
    const server = scene.groupServer({}, {}, (name) => (name.startsWith('other') ? 1 : 0));
    const address = await scene.address(server, 'shm');
    const other = await scene.caller('shm', address, { name: newName('other') });
    await die('uncaught', 'shm', address);
    expect((await other.ask('who?')).group).to.equal(1);
    expect(other.ended).to.deep.equal([]);
  });

  it('ends the moves of its connections, and those to it', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'shm');
    const caller = await scene.caller('shm', address, { reconnect: RECONNECT });
    const { name } = caller.client;
    await scene.claim(caller);
    const from = server.move(name, 1).catch((error: unknown) => error);
    await die('exit', 'shm', address);
    expectError(await scene.settled(from, 'the move'), 'ERR_WORKER');
    await scene.until(() => caller.connection.state === 'connected', 'the next login');
    expect((await caller.ask('two')).group).to.equal(0);
    const [, ...threads] = recorded.threads;
    const terminated = threads[0]?.terminate();
    const to = server.move(name, 1).catch((error: unknown) => error);
    await terminated;
    const outcome = await scene.settled(to, 'the move');
    await scene.until(() => caller.connection.state === 'connected', 'the connection');
    if (outcome !== undefined) expectError(outcome, 'ERR_WORKER');
    await scene.until(() => server.members.length === 1, 'the member');
    expect((await caller.ask('three')).text).to.equal('three');
  });

  it('at once, again and again, is started ever more seldom', async () => {
    const dies = `data:text/javascript,export function onMessage() {}
      if (process.env.${SWITCH}) setImmediate(() => process.exit(7));`;
    const server = scene.server({
      groups: { count: 1, worker: dies },
      onError: (error) => scene.errors.push(error),
    });
    await server.listen({ transport: 'inproc' });
    process.env[SWITCH] = 'yes';
    try {
      let now = 0;
      const starts: number[] = [];
      await recorded.threads[0]?.terminate();
      let known = recorded.threads.length;
      while (starts.length < 6) {
        server.poll(now);
        // What it starts may be there a turn later only.
        await nextTurn();
        if (recorded.threads.length > known) {
          starts.push(now);
          known = recorded.threads.length;
          // This clock stands still until that thread has ended; no poll may see another one.
          await until(() => {
            server.poll(now);
            return scene.errors.length === known;
          }, 'the end of the next one');
        }
        now += 5;
      }
      const delays = starts.slice(1).map((at, i) => at - (starts[i] as number));
      for (let i = 1; i < delays.length; i++) {
        expect(delays[i], `delays ${delays}`).to.be.at.least((delays[i - 1] as number) * 0.9);
      }
      expect(delays.at(-1), `delays ${delays}`).to.be.above(400);
    } finally {
      delete process.env[SWITCH];
    }
  });
});
