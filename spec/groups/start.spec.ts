import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type GroupOptions, Server, type TcpshmError } from '../../lib/index.js';
import { native } from '../../lib/memory/native.js';
import { newName } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { recordThreads } from '../support/threads.js';
import { GroupScene, THREAD_WAYS } from './support.js';

const HANDLERS = new URL('./handlers.js', import.meta.url);
const SILENT = 'data:text/javascript,export function onMessage() {}';

function module(text: string): string {
  return `data:text/javascript,${encodeURIComponent(text)}`;
}

function count(what: 'fd' | 'task'): number {
  return readdirSync(`/proc/self/${what}`).length;
}

describe('the threads of groups', () => {
  let scene: GroupScene;
  let recorded: ReturnType<typeof recordThreads>;
  beforeEach(() => {
    scene = new GroupScene();
    recorded = recordThreads();
  });
  afterEach(async () => {
    recorded.restore();
    await scene.end();
  });

  describe('are not started', () => {
    async function failure(groups: GroupOptions): Promise<TcpshmError> {
      const server = scene.groupServer(groups);
      const error = await scene.refused(server.listen({ port: 0 }), 'ERR_WORKER');
      expect(error.message).to.match(/^the thread of group \d could not be started: /);
      expect(recorded.threads.every(({ threadId }) => threadId === -1)).to.equal(true);
      return error;
    }
    const causeOf = async (groups: GroupOptions): Promise<Error & { code?: string }> =>
      (await failure(groups)).cause as Error & { code?: string };

    it('without their module', async () => {
      const worker = new URL('./there-is-no-such-module.js', import.meta.url);
      expect((await causeOf({ worker })).code).to.equal('ERR_MODULE_NOT_FOUND');
    });

    it('by a module that throws, as it is loaded or in onStart', async () => {
      const throws = await causeOf({ worker: module("throw new TypeError('at once');") });
      expect([throws.name, throws.message]).to.deep.equal(['TypeError', 'at once']);
      expect(throws.stack).to.include('data:text/javascript');
      const start = module(`export function onMessage() {}
        export async function onStart() { throw new Error('not today'); }`);
      expect((await causeOf({ worker: start })).message).to.equal('not today');
      const syntax = await causeOf({ worker: module('export function (') });
      expect(syntax.name).to.equal('SyntaxError');
    });

    it('by a module that ends the thread', async () => {
      expect((await causeOf({ worker: module('process.exit(5);') })).message).to.match(/code: 5/);
      const later = module(`export function onMessage() {}
        export async function onStart() { setTimeout(() => process.exit(6), 1); await new Promise(() => {}); }`);
      expect((await causeOf({ worker: later })).message).to.match(/code: 6/);
    });

    it('by a module that does not export what it must', async () => {
      const nothing = await causeOf({ worker: module('export const x = 1;') });
      expect(nothing).to.include({ code: 'ERR_OPTION' });
      expect(nothing.message).to.match(/must export a function onMessage, got undefined/);
      const wrong = await causeOf({
        worker: module('export function onMessage() {} export const onStop = 7;'),
      });
      expect(wrong.message).to.match(/must export a function onStop, got 7/);
    });

    it('on processors that are not there', async () => {
      const error = await causeOf({ worker: SILENT, cpus: [0, 4000] });
      expect(error.code).to.equal('EINVAL');
    });

    it('where they would run out of memory', async () => {
      const worker = module(
        'export function onMessage() {} const a = []; for (;;) a.push(new Array(1e5).fill(0.5));',
      );
      const error = await causeOf({ worker, resourceLimits: { maxOldGenerationSizeMb: 32 } });
      expect(error.message).to.match(/memory/);
    });

    it('and can be by the next call, when what was wrong is mended', async () => {
      const path = join(scene.folders.directory, 'handlers.mjs');
      const server = scene.groupServer({ worker: path });
      await scene.refused(server.listen({ port: 0 }), 'ERR_WORKER');
      writeFileSync(path, `export { onMessage, onStart } from ${JSON.stringify(HANDLERS.href)};`);
      const caller = await scene.caller('shm', await scene.address(server, 'shm'));
      expect((await caller.ask('who?')).group).to.equal(0);
    });
  });

  it('take the names of modules of every kind that import takes', async () => {
    for (const worker of [HANDLERS, HANDLERS.href, fileURLToPath(HANDLERS)]) {
      const server = scene.groupServer({ worker }, { name: newName('server') });
      const caller = await scene.caller('shm', await scene.address(server, 'shm'));
      expect((await caller.ask('who?')).group).to.equal(0);
      await server.close();
    }
  });

  it('are refused with options that cannot be meant', () => {
    const server = (groups: unknown) => () => new Server({ name: 'x', groups: groups as GroupOptions });
    for (const [groups, message] of [
      [{ worker: './handlers.js' }, /URL or an absolute path of a module, got ".\/handlers.js"/],
      [{ worker: 7 }, /absolute path of a module, got 7/],
      [{ cpus: [0] }, /groups.cpus is of the threads of groups.worker/],
      [{ resourceLimits: {} }, /groups.resourceLimits is of the threads/],
      [{ worker: HANDLERS, cpus: [0], count: 2 }, /must be a list for 2 groups, got a list of 1/],
      [{ worker: HANDLERS, cpus: 0 }, /must be a list for 1 groups, got 0/],
      [{ worker: HANDLERS, cpus: [[]] }, /a processor of group 0 in groups.cpus is missing/],
      [{ worker: HANDLERS, cpus: [[0, -1]] }, /a processor of group 0 .* integer of at least 0, got -1/],
      [{ worker: HANDLERS, cpus: [undefined] }, /a processor of group 0 .* integer of at least 0, got null/],
      [{ worker: HANDLERS, resourceLimits: 7 }, /options must be an object, got 7/],
    ] as const) {
      expectCode(server(groups), 'ERR_OPTION', message);
    }
    expectCode(() => new Server({ name: 'x', maxConnections: 0 }), 'ERR_OPTION', /maxConnections/);
  });

  it('run on the processors that they are given', async () => {
    const [first, second = first] = native().getAffinity() as [number, number?];
    const cpus = [first, [first, second].sort()];
    const server = scene.groupServer({ cpus }, {}, (name) => Number(name[0]));
    const address = await scene.address(server, 'shm');
    for (const group of [0, 1]) {
      const caller = await scene.caller('shm', address, { name: newName(String(group)) });
      expect((await caller.ask('who?')).cpus).to.deep.equal([...new Set([cpus[group]].flat())]);
    }
    expect(native().getAffinity()).to.have.length.at.least(1);
  });

  it('have one for each group, before the server listens, and none afterwards', async () => {
    const before = [count('fd'), count('task')];
    for (const way of THREAD_WAYS) {
      const first = recorded.threads.length;
      const server = scene.groupServer({ count: 3 }, { name: newName('server') });
      expect(recorded.threads.length - first).to.equal(0);
      const address = await scene.address(server, way);
      expect(recorded.threads.length - first).to.equal(3);
      if (way !== 'inproc') await server.listen({ port: 0 });
      expect(recorded.threads.length - first).to.equal(3);
      const callers = [
        await scene.trafficker(way, address, 1000),
        await scene.trafficker(way, address, 1000),
      ];
      await scene.exchange(callers, () => callers.some(({ traffic }) => traffic.done), 'some messages');
      await server.close({ removeSessions: true });
      for (const { client, ended } of callers) {
        await scene.until(() => ended.length > 0, 'the end');
        expect(ended).to.deep.equal(['closed by peer']);
        await client.close({ removeSessions: true });
      }
      expect(recorded.threads.every(({ threadId }) => threadId === -1)).to.equal(true);
    }
    await scene.until(() => count('fd') === before[0], `${before[0]} descriptors`);
    expect(count('task')).to.be.at.most(before[1] as number);
    expect(scene.files()).to.deep.equal([]);
    expect(scene.errors).to.deep.equal([]);
  });

  it('end after their connections, with a word to the module', async () => {
    const seen = new Int32Array(new SharedArrayBuffer(16));
    const channel = newName('channel');
    const listener = new BroadcastChannel(channel);
    listener.onmessage = ({ data }) => {
      Atomics.add(seen, data as number, 1);
    };
    const worker = module(`
      const channel = new BroadcastChannel(${JSON.stringify(channel)});
      let context;
      export function onMessage(connection) { connection.pop(); }
      export function onStart(given) { context = given; context.signal.addEventListener('abort', () => channel.postMessage(0)); }
      export async function onStop() {
        channel.postMessage(context.signal.aborted ? 1 : 3);
        await new Promise((resolve) => setTimeout(resolve, 20));
        channel.postMessage(2);
        channel.close();
        throw new Error('not gladly');
      }`);
    const server = scene.groupServer({ worker });
    await scene.address(server, 'shm');
    await server.close();
    await scene.until(() => Atomics.load(seen, 2) === 2, 'the last word');
    listener.close();
    expect([...seen]).to.deep.equal([2, 2, 2, 0]);
    expect(scene.errors.map(({ code, message }) => `${code} ${message}`).sort()).to.deep.equal([
      'ERR_HANDLER group 0: onStop threw: not gladly',
      'ERR_HANDLER group 1: onStop threw: not gladly',
    ]);
  });

  it('are ended where they do not end by themselves', async () => {
    const server = scene.groupServer();
    const caller = await scene.caller('shm', await scene.address(server, 'shm'));
    await scene.hang(caller);
    await server.close();
    expect(recorded.threads.every(({ threadId }) => threadId === -1)).to.equal(true);
    await scene.until(() => caller.connection.state === 'disconnected', 'the end');
    expect(caller.ended).to.deep.equal(['peer ended']);
  });

  it('are stopped when the server is closed while they start', async () => {
    const worker = module(`export function onMessage() {}
      export function onStart({ signal }) { return new Promise((resolve) => signal.addEventListener('abort', resolve)); }`);
    const server = scene.groupServer({ worker });
    const listening = server.listen({ port: 0 }).catch((error: TcpshmError) => error.code);
    await scene.until(() => recorded.threads.length === 2, 'the threads');
    await server.close();
    expect(await listening).to.equal('ERR_CLOSED');
    expect(recorded.threads.every(({ threadId }) => threadId === -1)).to.equal(true);
  });

  it('cannot have sockets of node:net, but memory', async () => {
    const server = scene.groupServer({}, { wire: 'net' });
    await scene.refused(server.listen({ port: 0 }), 'ERR_OPTION', /needs wire 'native' for sockets/);
    const caller = await scene.caller('inproc', await scene.address(server, 'inproc'));
    expect((await caller.ask('who?')).group).to.equal(0);
  });

  it('work without the native module, for threads', async () => {
    const { words } = scene.child(
      `const { Server, Client } = tcpshm;
       const server = new Server({ name: 'bare', groups: { count: 2, worker: process.env.HANDLERS } });
       try { await server.listen({ port: 0 }); } catch (error) { say(error.code); }
       await server.listen({ transport: 'inproc' });
       const running = server.run();
       const client = new Client({ name: 'bare-client' });
       const connection = await client.connect({ transport: 'inproc', server: 'bare' });
       const ask = async (text) => {
         connection.send(text);
         while (connection.front() === null) { client.poll(); await new Promise(setImmediate); }
         say(connection.front().text());
         connection.pop();
       };
       await ask('one');
       await server.move('bare-client', 1);
       await ask('two');
       await client.close();
       await server.close();
       await running;
       say('closed');`,
      {
        TCPSHM_NATIVE: 'off',
        HANDLERS: module(`let group;
          export function onStart(context) { group = context.group; }
          export function onMessage(connection, message) {
            const text = group + message.text();
            connection.pop();
            connection.send(text);
          }`),
      },
    );
    await scene.until(() => words.includes('closed'), 'the end');
    expect(words).to.deep.equal(['ERR_OPTION', '0one', '1two', 'closed']);
  });
});
