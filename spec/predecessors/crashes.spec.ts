import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import type { Client, Connection } from '../../lib/index.js';
import { Scene, type Talk, WAYS } from '../peers/support.js';
import { randomSeed } from '../support/random.js';
import { mix, Traffic } from '../support/traffic.js';

const KILLS = 3;
const FILE_WAYS = ['tcp native', 'shm'] as const;
const TRAFFIC = new URL('../support/traffic.js', import.meta.url).href;

describe("TCPSHM's faults: processes that die", () => {
  let scene: Scene;
  const seed = randomSeed();
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  /** A client in a process of its own, by the text of what it does with its connection. */
  function clientProcess(port: number, way: (typeof FILE_WAYS)[number], text: string): Talk {
    const options = { name: scene.clientName, ...scene.folders, loginTimeoutMs: 30_000 };
    const target = { port, transport: way === 'shm' ? 'shm' : 'tcp' };
    return scene.child(`
      const client = new tcpshm.Client(${JSON.stringify(options)});
      say('up');
      const connection = await client.connect(${JSON.stringify(target)});
      ${text}`);
  }

  for (const way of FILE_WAYS) {
    it(`queue updates are several stores: here a kill between any two harms nothing, over ${way} (seed ${seed})`, async () => {
      const count = 10_000_000;
      let near: Connection | null = null;
      const server = scene.server({
        onConnection: (connection) => {
          near = connection;
        },
        onMessage: () => {},
      });
      const { port } = (await scene.address(server, way)) as { port: number };
      const work = async (condition: () => boolean): Promise<void> => {
        let traffic: Traffic | null = null;
        await scene.until(() => {
          if (near !== null) traffic ??= new Traffic(near, 0, count, count);
          for (let i = 0; i < 20; i++) traffic?.step();
          return condition();
        }, 'traffic with the other process');
      };
      let last = 0;
      for (let life = 0; life < KILLS; life++) {
        // Throws what is wrong with a message, in either process, and goes on where the last life has stopped.
        const { child } = clientProcess(
          port,
          way,
          `const { Traffic } = await import(${JSON.stringify(TRAFFIC)});
           const traffic = new Traffic(connection, 1, ${count}, ${count});
           for (;;) {
             for (let i = 0; i < 50; i++) { traffic.step(); client.pollTcp(); }
             client.poll();
             await new Promise(setImmediate);
           }`,
        );
        await work(() => (near?.popped ?? 0) >= last + 1000);
        const until = performance.now() + (mix(seed + life) % 20_000) / 1000;
        await work(() => performance.now() >= until);
        const exit = once(child, 'exit');
        expect(child.kill('SIGKILL')).to.equal(true);
        await exit;
        expect(child.signalCode).to.equal('SIGKILL');
        await work(() => near?.state === 'disconnected');
        last = (near as unknown as Connection).popped;
      }
      expect(last).to.be.above(KILLS * 1000);
    });

    it(`the new server's name is saved before the queue is reset: here a kill at any moment shows it nothing of the old, over ${way} (seed ${seed})`, async () => {
      const old = await scene.pair(way, { onMessage: () => {} });
      const stale = ['stale 0', 'stale 1', 'stale 2'];
      for (const text of stale) old.local.send(text);
      await scene.until(() => old.remote.side.readState().received.sequence === 3, 'the arrival');
      await old.client.close();
      await old.server.close();

      // The moment at which the client is killed, as the new server sees it.
      const moments = ['decision', 'offer', 'connection', 'message', 'any', 'any'] as const;
      const heard: string[] = [];
      const reached: string[] = [];
      let moment: string = '';
      let victim: ChildProcess | null = null;
      let decided = false;
      const at = (what: string): void => {
        if (what !== moment || victim === null) return;
        reached.push(what);
        victim.kill('SIGKILL');
        victim = null;
      };
      const server = scene.server({
        name: 'successor',
        acceptLogin() {
          decided = true;
          at('decision');
          return { group: 0 };
        },
        onConnection: () => at('connection'),
        onMessage(connection, message) {
          heard.push(message.text());
          connection.pop();
          at('message');
        },
      });
      const { port } = (await scene.address(server, way)) as { port: number };
      for (let life = 0; life < moments.length; life++) {
        moment = moments[life] as string;
        decided = false;
        const { child, words } = clientProcess(port, way, `connection.send('fresh ${life}'); client.run();`);
        victim = child;
        let due = Number.POSITIVE_INFINITY;
        await scene.until(() => {
          if (decided && server.connections.length > 0) at('offer');
          if (words.length > 0) due = Math.min(due, performance.now() + (mix(seed - life) % 10_000) / 1000);
          if (performance.now() >= due) at('any');
          return child.signalCode !== null;
        }, `the kill at ${moment}`);
        const gone = (): boolean => server.connections.every(({ state }) => state !== 'connected');
        await scene.until(gone, 'the server to notice');
      }
      expect(reached).to.deep.equal(moments);
      const client = scene.client({ onMessage: () => {} });
      const fresh = await scene.connect(client, { port, transport: way === 'shm' ? 'shm' : 'tcp' });
      fresh.send('the end');
      await scene.until(() => heard.includes('the end'), 'the last message');
      expect(heard.filter((text) => !/^fresh \d$|^the end$/.test(text))).to.deep.equal([]);
      expect(heard).to.deep.equal([...new Set(heard)].sort());
      expect(fresh.pushed).to.equal(heard.length);
      fresh.close();
      await scene.until(() => server.connections.every(({ state }) => state !== 'connected'), 'the end');

      // And all is left for the old one.
      const texts: string[] = [];
      const again = scene.server({
        onMessage(connection, message) {
          texts.push(message.text());
          connection.pop();
        },
      });
      const resumed = await scene.connect(client, await scene.address(again, way));
      await scene.until(() => texts.length === stale.length, 'the old messages');
      expect([texts, resumed.pushed]).to.deep.equal([stale, 3]);
    });
  }

  for (const way of WAYS) {
    it(`a reset after the server went live loses its welcome: here what onConnection sends arrives, over ${way}`, async () => {
      const client = await lastWith('predecessor');
      for (let n = 0; n < 10; n++) {
        const server = scene.server({
          ...scene.wire(way),
          name: `successor-${n}`,
          onConnection: (connection) => connection.send(`welcome ${n}`),
          onMessage: () => {},
        });
        const connection = await scene.connect(client, await scene.address(server, way));
        await scene.until(() => connection.front() !== null, 'the welcome');
        expect([connection.front()?.text(), connection.popped]).to.deep.equal([`welcome ${n}`, 0]);
        // Something un-popped in both directions, for the next change of servers to leave behind.
        connection.send('never read');
        await server.close();
        await scene.until(() => connection.state === 'disconnected', 'the end');
      }

      async function lastWith(name: string): Promise<Client> {
        const { client, server, local } = await scene.pair(
          way,
          { name, onMessage: () => {} },
          { onMessage() {} },
        );
        local.send('never read');
        await server.close();
        await scene.until(() => local.state === 'disconnected', 'the end');
        return client;
      }
    });
  }
});
