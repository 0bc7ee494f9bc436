import { expect } from 'chai';
import type { ConnectOptions } from '../../lib/index.js';
import { newName, type Talk, type Way } from '../peers/support.js';
import { GroupScene, THREAD_WAYS } from './support.js';

const PROCESS_WAYS = ['tcp native', 'shm'] as const;
/** So that no timeout can be what lets a client in. */
const NEVER_MS = 3_600_000;

describe('a client whose connection is in the thread of a group, when it logs in again', () => {
  let scene: GroupScene;
  beforeEach(() => {
    scene = new GroupScene();
  });
  afterEach(async () => {
    await scene.end();
    expect(scene.errors.filter(({ code }) => code !== 'ERR_ALREADY_CONNECTED')).to.deep.equal([]);
  });

  /** A process that connects, asks one question, and lives on. */
  function start(name: string, address: ConnectOptions): Talk {
    const { directory, sharedDirectory } = scene.folders;
    return scene.child(
      `const { name, directory, sharedDirectory, address } = JSON.parse(process.env.ARGS);
       const client = new tcpshm.Client({ name, directory, sharedDirectory, loginTimeoutMs: 20_000,
         onMessage(connection, message) {
           const { popped } = JSON.parse(message.text());
           connection.pop();
           say('popped ' + popped);
         } });
       try {
         const connection = await client.connect(address);
         connection.send('who?');
       } catch (error) {
         say(error.code);
         process.exit(0);
       }
       await client.run();`,
      { ARGS: JSON.stringify({ name, directory, sharedDirectory, address }) },
    );
  }

  for (const way of PROCESS_WAYS) {
    it(`gets in at once when its process was killed, over ${way}`, async () => {
      const server = scene.groupServer({}, { connectionTimeoutMs: NEVER_MS });
      const address = await scene.address(server, way);
      const name = newName('process');
      for (let life = 0; life < 3; life++) {
        const { child, words } = start(name, address);
        await scene.until(() => words.length > 0, 'an answer');
        expect(words).to.deep.equal([`popped ${life}`]);
        // Nobody polls the server here until the next one is there.
        child.kill('SIGKILL');
      }
      expect(server.members).to.have.length(1);
    });
  }

  it('waits for a thread that is at something else', async () => {
    const server = scene.groupServer();
    const address = await scene.address(server, 'shm');
    const name = newName('waiting');
    const first = await scene.caller('shm', address, { name });
    const other = await scene.caller('shm', address);
    await first.ask('one');
    await scene.block(other);
    await first.client.close();
    const second = await scene.caller('shm', address, { name });
    expect((await second.ask('two')).popped).to.equal(1);
  });

  for (const way of THREAD_WAYS) {
    it(`is refused while the other one lives, which goes on, over ${way}`, async () => {
      const server = scene.groupServer();
      const address = await scene.address(server, way);
      const name = newName('twin');
      const first = await scene.caller(way, address, { name });
      for (const other of ['shm', 'tcp native'] as const) {
        const elsewhere = other === way ? address : await scene.address(server, other);
        const twin = scene.client({ name, ...scene.wire(other as Way) });
        await scene.refused(twin.connect(elsewhere), 'ERR_ALREADY_CONNECTED', /is connected to/);
        expect((await first.ask(`after ${other}`)).text).to.equal(`after ${other}`);
      }
      await first.client.close();
      const second = await scene.caller(way, address, { name });
      expect((await second.ask('then')).events.at(-1)).to.equal(`${name} came`);
    });

    it(`gets in where its connection is given up in the same moment, again and again, over ${way}`, async () => {
      const server = scene.groupServer({}, {}, () => Math.floor(Math.random() * 2));
      const address = await scene.address(server, way);
      const name = newName('restless');
      for (let round = 0; round < 20; round++) {
        const caller = await scene.caller(way, address, { name });
        expect(await caller.ask('who?')).to.include({ popped: round, pushed: round });
        await caller.client.close();
      }
    });
  }

  it('begins anew once its connection was removed by a handler, over every transport', async () => {
    const server = scene.groupServer();
    for (const way of THREAD_WAYS) {
      const address = await scene.address(server, way);
      const name = newName('removed');
      const first = await scene.caller(way, address, { name });
      await first.ask('one');
      first.connection.send('remove');
      await scene.until(() => first.connection.state === 'disconnected', 'the end');
      await scene.until(() => server.members.length === 0, 'the server to know');
      first.connection.close({ remove: true });
      await first.client.close();
      const second = await scene.caller(way, address, { name });
      expect(second.connection.pushed).to.equal(0);
      expect((await second.ask('two')).popped).to.equal(0);
      await second.client.close();
      await scene.until(() => server.members.length === 0, 'the end');
    }
  });
});
