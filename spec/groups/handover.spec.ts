import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { native } from '../../lib/memory/native.js';
import { RECORDS } from '../../lib/ring/layout.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { controlFrame, FrameKind } from '../../lib/session/frame.js';
import { encodeAttach } from '../../lib/session/loginMessages.js';
import { FRESH_STATE } from '../../lib/session/state.js';
import { LOCK_BYTE } from '../../lib/store/sessionFile.js';
import { RawClient } from '../peers/rawClient.js';
import { expectError, newName, type Way } from '../peers/support.js';
import { newRing } from '../ring/rings.js';
import { dataFrame } from '../support/frames.js';
import { GroupScene, THREAD_WAYS, type Trafficker } from './support.js';

const MESSAGES = 3000;

describe('a connection in the thread of a group', () => {
  let scene: GroupScene;
  beforeEach(() => {
    scene = new GroupScene();
  });
  afterEach(async () => {
    await scene.end();
    expect(scene.errors).to.deep.equal([]);
  });

  const cases: readonly (readonly [string, Way, object])[] = [
    ...THREAD_WAYS.map((way) => [way, way, {}] as const),
    ['tcp native, where the server has no folder', 'tcp native', { directory: undefined }],
    ["tcp native with durability 'disk'", 'tcp native', { durability: 'disk' }],
  ];
  for (const [name, way, options] of cases) {
    it(`carries messages both ways, in order, each once, and counts them, over ${name}`, async () => {
      const server = scene.groupServer({}, options, () => 1);
      const address = await scene.address(server, way);
      const caller = await scene.trafficker(way, address, MESSAGES);
      await scene.exchange([caller], () => caller.traffic.done, 'the messages');
      const answer = await caller.ask('who?');
      expect(answer).to.include({ group: 1, pushed: MESSAGES, popped: MESSAGES });
      expect([caller.connection.pushed, caller.connection.popped]).to.deep.equal([
        MESSAGES + 1,
        MESSAGES + 1,
      ]);
      const transport = way === 'tcp native' ? 'tcp' : way;
      expect(server.members).to.deep.equal([{ remoteName: caller.client.name, transport, group: 1 }]);
      expect(server.connections).to.deep.equal([]);
    });

    it(`goes on when its client has left and come again, over ${name}`, async () => {
      const server = scene.groupServer({}, options);
      const address = await scene.address(server, way);
      const name = newName('client');
      const first = await scene.caller(way, address, { name });
      for (const text of ['a', 'b']) await first.ask(text);
      first.connection.send('while it leaves');
      const before = first.connection.pushed;
      await first.client.close();
      await scene.until(() => server.members.length === 0, 'the end');
      const second = await scene.caller(way, address, { name });
      expect(second.connection.pushed).to.equal(before);
      await scene.until(() => second.connection.front() !== null, 'the answer');
      expect(JSON.parse(second.connection.front()?.text() ?? '')).to.include({ text: 'while it leaves' });
      second.connection.pop();
      expect(await second.ask('c')).to.include({ pushed: 3, popped: 3 });
    });
  }

  it('has what has come right behind the login, wherever that was cut', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'tcp native');
    const texts = ['first', 'second, which is somewhat longer', 'third'];
    const ring = newRing(0, 0, 4096);
    const producer = new RingProducer(ring);
    const ends = texts.map((text) => {
      producer.claim(text.length)?.setText(text);
      producer.push();
      return producer.published;
    });
    const bytes = (from: number, to: number): Uint8Array =>
      new Uint8Array(ring.bytes.subarray(RECORDS + from, RECORDS + to));
    const [first = 0, second = 0, third = 0] = ends;
    // A record comes in two frames: between them, its beginning is all that there is of it.
    const middle = first + 16;
    const stream = Buffer.concat([
      dataFrame(0, bytes(0, middle), 0, 0),
      dataFrame(middle, bytes(middle, second), 0, 0),
      dataFrame(second, bytes(second, third), 0, 0),
    ]);
    for (let cut = 0; cut <= stream.length; cut += 5) {
      const raw = await RawClient.connect(newName('raw'), scene, address);
      const welcome = await raw.hello();
      if ('code' in welcome) throw new Error(welcome.reason);
      const { sessionId } = welcome;
      const attach = encodeAttach({ outcome: 'attached', sessionId, state: FRESH_STATE });
      raw.say(Buffer.concat([controlFrame(FrameKind.attach, attach), stream.subarray(0, cut)]));
      // The first sign of life of the thread: a heartbeat.
      await scene.until(() => raw.frames.some(({ kind }) => kind === FrameKind.data), 'the thread');
      raw.say(stream.subarray(cut));
      const answers = (): string => {
        const frames = raw.frames.filter(({ kind }) => kind === FrameKind.data);
        return Buffer.concat(frames.map(({ payload }) => payload)).toString('latin1');
      };
      await scene.until(() => answers().includes('third'), `the answers, with a cut at ${cut}`);
      const found = [...answers().matchAll(/"text":"([^"]*)"/g)].map((match) => match[1]);
      expect(found, `cut at ${cut}`).to.deep.equal(texts);
      raw.hangUp();
    }
  });

  it('has what came before its link ended, although that was before the thread had it', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'tcp native');
    const raw = await RawClient.connect(newName('raw'), scene, address);
    const welcome = await raw.hello();
    if ('code' in welcome) throw new Error(welcome.reason);
    const ring = newRing(0, 0, 4096);
    const producer = new RingProducer(ring);
    producer.claim(3)?.setText('bye');
    producer.push();
    const { sessionId } = welcome;
    raw.say(
      Buffer.concat([
        controlFrame(FrameKind.attach, encodeAttach({ outcome: 'attached', sessionId, state: FRESH_STATE })),
        dataFrame(0, new Uint8Array(ring.bytes.subarray(RECORDS, RECORDS + producer.published)), 0, 0),
        controlFrame(FrameKind.goodbye, new Uint8Array(0)),
      ]),
    );
    const other = await scene.caller('tcp native', address);
    const expected = [`${raw.name} came`, `${raw.name} left: closed by peer`];
    let events: readonly string[] = [];
    while (events.length < 2) {
      events = (await other.ask('who?')).events.filter((event) => event.startsWith(raw.name));
    }
    expect(events).to.deep.equal(expected);
    const [connection] = server.connections;
    expect(connection).to.equal(undefined);
  });

  it('ends for what must not have come right behind the login', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'tcp native');
    const other = await scene.caller('tcp native', address);
    const garbled = dataFrame(0, new Uint8Array(16).fill(1), 0, 0);
    garbled[30] = 2;
    // All at once, and with its end later.
    for (const cut of [garbled.length, 33]) {
      const raw = await RawClient.connect(newName('raw'), scene, address);
      const welcome = await raw.hello();
      if ('code' in welcome) throw new Error(welcome.reason);
      const { sessionId } = welcome;
      const attach = encodeAttach({ outcome: 'attached', sessionId, state: FRESH_STATE });
      raw.say(Buffer.concat([controlFrame(FrameKind.attach, attach), garbled.subarray(0, cut)]));
      if (cut < garbled.length) {
        await scene.until(() => raw.frames.some(({ kind }) => kind === FrameKind.data), 'the thread');
        raw.say(garbled.subarray(cut));
      }
      await scene.until(() => raw.ended && server.members.length === 1, 'the end');
      const { events } = await other.ask('who?');
      expect(events.slice(-2)).to.deep.equal([
        `${raw.name} came`,
        `${raw.name} left: protocol violated ERR_PROTOCOL`,
      ]);
    }
  });

  for (const way of ['tcp native', 'shm'] as const) {
    it(`that cannot be opened there ends, the server is told, and its client may log in again, over ${way}`, async () => {
      const server = scene.groupServer();
      const address = await scene.address(server, way);
      const other = await scene.caller(way, address);
      await scene.block(other);
      const caller = await scene.caller(way, address, { name: newName('refused') });
      const kind = way === 'shm' ? 'segment' : 'server.journal';
      const name = `${caller.client.name}@${server.name}.${kind}`;
      const path = scene.files().find((file) => file.endsWith(name)) as string;
      const file = native().mapFile(path, { create: false, sizeBytes: 1 });
      expect(file.lock(LOCK_BYTE.server, 1), 'nobody has it on its way').to.equal(true);
      await scene.until(() => caller.ended.length > 0, 'the end');
      expect(caller.ended[0]).to.be.oneOf(['peer ended', 'network failed']);
      await scene.until(() => scene.errors.length > 0, 'the error');
      const [error] = scene.errors.splice(0);
      expectError(
        error,
        'ERR_ALREADY_CONNECTED',
        /^group 0: a connection could not be taken: .*is open elsewhere/,
      );
      expect(server.members).to.have.length(1);
      file.close();
      await caller.client.close();
      const again = await scene.caller(way, address, { name: caller.client.name });
      expect((await again.ask('who?')).text).to.equal('who?');
    });
  }

  it('may have been reset by its client before the thread has it', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'tcp native');
    const other = await scene.caller('tcp native', address);
    for (let round = 0; round < 3; round++) {
      await scene.block(other);
      const raw = await RawClient.connect(newName('raw'), scene, address);
      await raw.login();
      await scene.until(() => server.members.length === 2, 'the handover');
      raw.reset();
      await scene.until(() => server.members.length === 1, 'its end');
      const { events } = await other.ask('who?');
      expect(events.at(-1)).to.equal(`${raw.name} left: network failed ERR_SYSTEM`);
    }
    expect(other.ended).to.deep.equal([]);
  });

  it('is one of many, each in the group that was chosen for it', async () => {
    const numberOf = (name: string): number => Number(name.slice(name.lastIndexOf('-') + 1));
    const server = scene.groupServer({}, {}, (name) => numberOf(name) % 2);
    const callers: Trafficker[] = [];
    for (const way of THREAD_WAYS) {
      const address = await scene.address(server, way);
      for (let i = 0; i < 6; i++) callers.push(await scene.trafficker(way, address, 400));
    }
    await scene.exchange(callers, () => callers.every(({ traffic }) => traffic.done), 'all messages');
    for (const caller of callers) {
      const group = numberOf(caller.client.name) % 2;
      expect(await caller.ask('who?')).to.include({ group, pushed: 400, popped: 400 });
      expect(scene.groupOf(server, caller)).to.equal(group);
    }
    expect(server.members).to.have.length(callers.length);
  });

  it('serves a process of its own, over shared memory and tcp', async () => {
    const server = scene.groupServer();
    for (const way of ['shm', 'tcp native'] as const) {
      const address = (await scene.address(server, way)) as { port: number; transport: string };
      const { words } = scene.child(
        `const [port, transport, name, directory, sharedDirectory] = JSON.parse(process.env.ARGS);
         const client = new tcpshm.Client({ name, directory, sharedDirectory, onMessage(connection, message) {
           say(JSON.parse(message.text()).text);
           connection.pop();
         } });
         const connection = await client.connect({ port, transport });
         for (let n = 0; n < 100; n++) {
           while (!connection.send('message ' + n)) client.poll();
           client.poll();
         }
         await client.run();`,
        {
          ARGS: JSON.stringify([
            address.port,
            address.transport,
            `process-${randomBytes(4).toString('hex')}`,
            scene.folders.directory,
            scene.folders.sharedDirectory,
          ]),
        },
      );
      await scene.until(() => words.length >= 100, 'the answers');
      expect(words).to.deep.equal(Array.from({ length: 100 }, (_, n) => `message ${n}`));
    }
  });
});
