import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { Client, Connection, RunOptions, Server } from '../../lib/index.js';
import { newName, type Pair, Scene, WAYS, type Way } from '../peers/support.js';
import { Random, randomSeed } from '../support/random.js';

const ROUND_TRIPS = 5000;
/** So that no heartbeat can be what somebody wakes for. */
const NO_HEARTBEATS = { heartbeatIntervalMs: 3_600_000, connectionTimeoutMs: 7_200_000 };
const PARK: RunOptions = { idle: 'park' };
const BACKOFF: RunOptions = { idle: { strategy: 'backoff', spinMs: 0.05, yieldMs: 0.5 } };

describe('peers that sleep', () => {
  let scene: Scene;
  let stop: AbortController;
  let running: Promise<void>[];
  beforeEach(() => {
    scene = new Scene();
    stop = new AbortController();
    running = [];
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    await scene.end();
  });

  function run(peer: Client | Server, options: RunOptions): void {
    running.push(peer.run({ ...options, signal: stop.signal }));
  }

  /** A promise that a handler fulfils. The watchdog is that of the runner. */
  function signal<T>(): { readonly come: Promise<T>; readonly give: (value: T) => void } {
    let give: (value: T) => void = () => {};
    const come = new Promise<T>((resolve) => {
      give = resolve;
    });
    return { come, give };
  }

  /** Waits, and polls nothing. The watchdog is that of the runner. */
  async function waitFor(condition: () => boolean): Promise<void> {
    while (!condition()) await sleep(5);
  }

  /** How often a peer is polled while both do nothing for a while: once it sleeps, for its heartbeats only. */
  async function pollsIn(ms: number, peer: Client | Server): Promise<number> {
    let polls = 0;
    const original = peer.pollControl.bind(peer);
    peer.pollControl = (now) => {
      polls++;
      original(now);
    };
    await sleep(ms);
    return polls;
  }

  async function pair(way: Way, messages: (connection: Connection, text: string) => void): Promise<Pair> {
    const onMessage = (connection: Connection, message: { text(): string }): void => {
      const text = message.text();
      connection.pop();
      messages(connection, text);
    };
    return scene.pair(way, { onMessage }, { onMessage });
  }

  for (const way of WAYS) {
    for (const [how, options] of [
      ['park', PARK],
      ['backoff', BACKOFF],
    ] as const) {
      it(`wake each other for every message, with '${how}' over ${way}`, async () => {
        const done = signal<void>();
        let count = 0;
        const { server, client, local } = await pair(way, (connection, text) => {
          count++;
          expect(text).to.equal(`${count}`);
          if (count === 500) done.give();
          else connection.send(`${count + 1}`);
        });
        run(server, options);
        run(client, options);
        local.send('1');
        await done.come;
        expect(local.pushed + local.popped).to.equal(500);
      });
    }

    it(`are woken by what a timer of the application sends, over ${way}`, async () => {
      const done = signal<void>();
      const texts: string[] = [];
      const { server, client, local } = await pair(way, (_, text) => {
        texts.push(text);
        if (texts.length === 60) done.give();
      });
      run(server, PARK);
      run(client, PARK);
      for (let i = 0; i < 20; i++) {
        await sleep(5);
        // The second and third of a poll wait for the next one, over tcp.
        for (let k = 0; k < 3; k++) expect(local.send(`${3 * i + k}`)).to.equal(true);
      }
      await done.come;
      expect(texts).to.deep.equal(Array.from({ length: 60 }, (_, i) => `${i}`));
    });

    it(`are polled for their heartbeats only, and stay connected, over ${way}`, async () => {
      const { server, client, local, remote, serverEnded, clientEnded } = await scene.pair(
        way,
        { heartbeatIntervalMs: 90, connectionTimeoutMs: 600 },
        { heartbeatIntervalMs: 90, connectionTimeoutMs: 600 },
      );
      run(server, PARK);
      run(client, PARK);
      await sleep(100);
      const polls = await pollsIn(1500, client);
      expect([local.state, remote.state]).to.deep.equal(['connected', 'connected']);
      expect([...serverEnded, ...clientEnded]).to.deep.equal([]);
      // 50 for 30 ms each; and over tcp the heartbeats of the other side wake it as well.
      expect(polls).to.be.within(5, 200);
    });

    it(`acknowledge what was popped, in a handler or while they slept, over ${way}`, async () => {
      const server = scene.server({
        ...scene.wire(way),
        ...NO_HEARTBEATS,
        onMessage: (connection) => connection.pop(),
      });
      const client = scene.client({ ...scene.wire(way), ...NO_HEARTBEATS });
      const local = await scene.connect(client, await scene.address(server, way));
      await scene.until(() => server.connections.length > 0, 'the server to have the connection');
      const [remote] = server.connections as [Connection];
      run(server, PARK);
      run(client, PARK);
      for (let count = 1; count <= 5; count++) {
        await sleep(20);
        expect(local.send(`${count}`)).to.equal(true);
        await waitFor(() => local.side.readState().acknowledged.sequence === count);
        expect(remote.send(`${count}`)).to.equal(true);
        await waitFor(() => local.side.readState().received.sequence === count);
        await sleep(20);
        expect(local.front()?.text()).to.equal(`${count}`);
        local.pop();
        await waitFor(() => remote.side.readState().acknowledged.sequence === count);
      }
    });

    it(`hear of each other's end, over ${way}`, async () => {
      const { server, client, local, remote, serverEnded, clientEnded } = await scene.pair(way);
      run(server, PARK);
      run(client, PARK);
      await sleep(50);
      remote.close();
      await waitFor(() => clientEnded.length > 0);
      expect(clientEnded[0]?.reason).to.equal('closed by peer');
      expect(serverEnded).to.deep.equal([]);
      expect(local.state).to.equal('disconnected');
    });

    it(`log in while the server sleeps, over ${way}`, async () => {
      const server = scene.server({ ...scene.wire(way), onMessage: (connection) => connection.pop() });
      const address = await scene.address(server, way);
      run(server, PARK);
      for (let i = 0; i < 5; i++) {
        await sleep(30);
        const client = scene.client({ ...scene.wire(way), name: newName('client') });
        const connection = await client.connect(address);
        run(client, PARK);
        expect(connection.send('hello')).to.equal(true);
      }
      await waitFor(() => server.connections.every(({ popped }) => popped === 1));
      expect(server.connections).to.have.length(5);
    });

    it(`end by their signal, and by close, at once though they sleep, over ${way}`, async () => {
      const { server, client } = await scene.pair(way);
      const clientRuns = client.run(PARK);
      const serverRuns = server.run({ idle: 'park', signal: stop.signal });
      await sleep(50);
      stop.abort();
      await serverRuns;
      await client.close();
      await clientRuns;
    });

    it(`find each message of many connections, of which few move, over ${way}`, async () => {
      const got = new Map<string, number>();
      const server = scene.server({
        ...scene.wire(way),
        onMessage: (connection, message) => {
          const seen = got.get(connection.remoteName) ?? 0;
          expect(message.getInt32(0)).to.equal(seen);
          got.set(connection.remoteName, seen + 1);
          connection.pop();
        },
      });
      const address = await scene.address(server, way);
      const connections: Connection[] = [];
      const clients: Client[] = [];
      for (let i = 0; i < 40; i++) {
        const client = scene.client({ ...scene.wire(way), name: newName('client') });
        clients.push(client);
        connections.push(await scene.connect(client, address));
      }
      const sent = new Map<string, number>();
      const send = (connection: Connection): void => {
        const message = connection.alloc(4);
        const count = sent.get(connection.localName) ?? 0;
        message?.setInt32(0, count);
        connection.push();
        sent.set(connection.localName, count + 1);
      };
      // Polled, not run: idle ones become cold after some hundred polls.
      for (let round = 0; round < 40; round++) {
        const one = connections[(round * 7) % 40] as Connection;
        send(one);
        if (round % 5 === 0) send(connections[round] as Connection);
        for (let i = 0; i < 300; i++) {
          server.poll();
          if (i % 100 === 0) {
            for (const client of clients) client.poll();
            await new Promise(setImmediate);
          }
        }
      }
      await scene.until(() => [...sent].every(([name, count]) => got.get(name) === count), 'all messages');
    });
  }

  for (const way of WAYS) {
    for (const looks of [true, false]) {
      const how = looks ? 'has looked at' : 'has not looked at';
      it(`do not while there is a message that their reader ${how}, and wants now, over ${way}`, async () => {
        const { server, client, local, remote } = await scene.pair(way);
        let wants = true;
        remote.side.delivery.reader = {
          get wants() {
            return wants;
          },
          settles: false,
          visit: () => false,
          closed() {},
        };
        const rests = async (): Promise<number> => {
          for (let i = 0; i < 10; i++) {
            server.poll();
            client.poll();
            await new Promise(setImmediate);
          }
          return server.park(performance.now());
        };
        expect(await rests()).to.be.above(0);
        expect(local.send('for later')).to.equal(true);
        await scene.until(() => remote.side.ends.consumer.unseen, 'the message');
        if (looks) expect(remote.front()?.text()).to.equal('for later');
        expect(await rests()).to.equal(0);
        wants = false;
        expect(await rests()).to.be.above(0);
        // Awake again, as by a heartbeat; and then it comes to want it, when all polls before the sleep are over.
        remote.side.sleep.stir();
        await rests();
        remote.side.sleep.stir();
        wants = true;
        expect(server.park(performance.now())).to.equal(0);
      });
    }

    it(`wake for room that somebody waits for, though others have found some since, over ${way}`, async () => {
      const { server, client, local, remote } = await scene.pair(
        way,
        { receiveCapacityBytes: 4096, ...NO_HEARTBEATS },
        { sendCapacityBytes: 4096, ...NO_HEARTBEATS },
      );
      remote.side.delivery.reader = { wants: false, settles: false, visit: () => false, closed() {} };
      run(server, PARK);
      // By polls of both, also of the one whose driver sleeps meanwhile.
      await scene.until(() => !local.send('x'.repeat(100)), 'a full queue');
      let room = false;
      const waiting = local.writable(1000).then(() => {
        room = true;
      });
      run(client, PARK);
      await sleep(20);
      const take = (): boolean => {
        if (remote.front() === null) return false;
        remote.pop();
        remote.side.ends.consumer.reclaim();
        return true;
      };
      // Too little for who waits, and enough for a small one, which is sent while all sleep.
      for (let i = 0; i < 2; i++) expect(take()).to.equal(true);
      await waitFor(() => local.send('x'.repeat(100)));
      await sleep(20);
      expect(room).to.equal(false);
      await waitFor(() => {
        take();
        return room;
      });
      await waiting;
    });
  }

  for (const way of WAYS) {
    it(`are not kept by one who reads nothing, whose queue and socket are full, over ${way}`, async () => {
      const done = signal<void>();
      let count = 0;
      const server = scene.server({
        ...scene.wire(way),
        onMessage(connection) {
          connection.pop();
          connection.send('pong');
        },
      });
      const address = await scene.address(server, way);
      const deaf = scene.client({ ...scene.wire(way), name: 'deaf' });
      const unread = await scene.connect(deaf, address);
      const toDeaf = server.connections[0] as Connection;
      run(server, PARK);
      let filled = 0;
      for (let full = 0; full < 20; ) {
        if (toDeaf.send('x'.repeat(500))) filled++;
        else {
          full++;
          await sleep(1);
        }
      }
      const client = scene.client({
        ...scene.wire(way),
        name: 'other',
        onMessage(connection) {
          connection.pop();
          if (++count === 300) done.give();
          else connection.send('ping');
        },
      });
      const connection = await client.connect(address);
      run(client, PARK);
      connection.send('ping');
      await done.come;
      // And all is there, once it is looked for.
      let read = 0;
      while (read < filled) {
        deaf.poll();
        for (let message = unread.front(); message !== null; message = unread.front()) {
          unread.pop();
          read++;
        }
        await sleep(1);
      }
      expect(unread.front()).to.equal(null);
    });
  }

  for (const way of ['inproc', 'shm', 'tcp native'] as const) {
    it(`are woken by writers in other threads, over ${way}`, async () => {
      const done = signal<void>();
      let next = 0;
      const { server, client, local } = await pair(way, (_, text) => {
        expect(text).to.equal(`${next++}`);
        if (next === 100) done.give();
      });
      run(server, PARK);
      run(client, PARK);
      await sleep(20);
      // Also one that is made while its connection sleeps.
      scene.worker(
        `const writer = tcpshm.ConnectionWriter.open(workerData);
         for (let i = 0; i < 100; i++) {
           while (!writer.send(String(i)));
           Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, i % 4);
         }`,
        local.writer(),
      );
      await done.come;
    });
  }

  it("wake to have on the disk what a timer of the application sends, with durability 'disk'", async () => {
    const done = signal<void>();
    let count = 0;
    const onMessage = (connection: Connection): void => {
      connection.pop();
      if (++count === 20) done.give();
    };
    const { directory } = scene.folders;
    const server = scene.server({ onMessage, directory, durability: 'disk', ...NO_HEARTBEATS });
    const client = scene.client({ directory, durability: 'disk', ...NO_HEARTBEATS });
    const connection = await scene.connect(client, await scene.address(server, 'tcp native'));
    run(server, PARK);
    run(client, PARK);
    for (let i = 0; i < 20; i++) {
      await sleep(3);
      connection.send('one at a time');
    }
    await done.come;
  });

  it('do not sleep before they have acknowledged what they popped', async () => {
    const { client, remote } = await scene.pair('tcp native');
    expect(remote.send('one')).to.equal(true);
    while (!client.pollTcp()) await sleep(1);
    expect(client.park()).to.equal(0);
    for (let i = 0; i < 2; i++) client.pollTcp();
    expect(client.park()).to.be.above(0);
  });

  for (const way of ['inproc', 'shm', 'tcp native'] as const) {
    it(`wake a thread that sleeps as a whole, over ${way}`, async () => {
      const echo = `
        const server = new tcpshm.Server({ name: workerData.name, ...workerData.folders,
          onMessage(connection, message) { const text = message.text(); connection.pop(); connection.send(text + '!'); } });
        say(await server.listen(${way === 'inproc' ? "{ transport: 'inproc' }" : '{ port: 0 }'}));
        await server.run({ idle: 'park', blocking: true });`;
      const { directory, sharedDirectory } = scene.folders;
      const name = newName('server');
      const { words } = scene.worker(echo, { name, folders: { directory, sharedDirectory } });
      await scene.until(() => words.length > 0, 'the server');
      const { port } = words[0] as { port?: number };
      const done = signal<void>();
      let count = 0;
      const client = scene.client({
        onMessage(connection, message) {
          expect(message.text()).to.equal(`${count}!`);
          connection.pop();
          count++;
          if (count === 200) done.give();
          else connection.send(`${count}`);
        },
      });
      const connection = await scene.connect(
        client,
        port === undefined
          ? { transport: 'inproc', server: name }
          : { port, transport: way === 'shm' ? 'shm' : 'tcp' },
      );
      run(client, PARK);
      connection.send('0');
      await done.come;
    });
  }

  for (const way of ['shm', 'tcp native'] as const) {
    it(`in two processes never sleep through a message, whenever it comes, over ${way}`, async () => {
      // One message at a time: one that is slept through would be waited for to the end.
      const { directory, sharedDirectory } = scene.folders;
      const { words } = scene.child(
        `const { DIRECTORY: directory, SHARED: sharedDirectory } = process.env;
         const server = new tcpshm.Server({ name: 'echo', directory, sharedDirectory,
           onMessage(connection, message) { const n = message.getInt32(0); connection.pop();
             connection.alloc(4).setInt32(0, n + 1); connection.push(); } });
         say((await server.listen({ port: 0 })).port);
         await server.run({ idle: { strategy: 'backoff', spinMs: 0.02, yieldMs: 0.05 } });`,
        { DIRECTORY: directory, SHARED: sharedDirectory },
      );
      await scene.until(() => words.length > 0, 'the server');
      const seed = randomSeed();
      const random = new Random(seed);
      const done = signal<void>();
      let n = 0;
      const send = (connection: Connection): void => {
        connection.alloc(4)?.setInt32(0, n);
        connection.push();
      };
      const client = scene.client({
        onMessage(connection, message) {
          expect(message.getInt32(0), `seed ${seed}`).to.equal(++n);
          connection.pop();
          if (n === ROUND_TRIPS) done.give();
          // At once, after some microseconds or turns, or when the other side is fast asleep.
          else if (random.once(3)) send(connection);
          else if (random.once(40)) setTimeout(() => send(connection), 2);
          else {
            let pause = random.below(400);
            const later = (): void => {
              if (pause-- > 0) setImmediate(later);
              else send(connection);
            };
            later();
          }
        },
      });
      const connection = await scene.connect(client, {
        port: Number(words[0]),
        transport: way === 'shm' ? 'shm' : 'tcp',
      });
      run(client, { idle: { strategy: 'backoff', spinMs: 0.02, yieldMs: 0.05 } });
      send(connection);
      await done.come;
    });
  }

  it('go on where the receiver was killed in its sleep, and its doorbell goes with its successor', async () => {
    const text = `
      const server = new tcpshm.Server({ name: 'sleeper', directory: process.env.DIRECTORY, sharedDirectory: process.env.SHARED,
        onMessage(connection, message) { say(message.text()); connection.pop(); } });
      say((await server.listen({ port: Number(process.env.PORT) })).port);
      await server.run({ idle: 'park' });`;
    const { directory, sharedDirectory } = scene.folders;
    const environment = { DIRECTORY: directory, SHARED: sharedDirectory, PORT: '0' };
    const first = scene.child(text, environment);
    await scene.until(() => first.words.length > 0, 'the server');
    const port = Number(first.words[0]);
    const ends: string[] = [];
    const client = scene.client({ onDisconnect: (_, reason) => ends.push(reason) });
    const connection = await scene.connect(client, { port, transport: 'shm' });
    connection.send('one');
    await scene.until(() => first.words.includes('one'), 'the first message');
    await sleep(100);
    const bells = (): string[] => readdirSync(sharedDirectory).filter((name) => name.endsWith('.bell'));
    expect(bells()).to.have.length(1);
    first.child.kill('SIGKILL');
    await scene.until(() => ends.length > 0, 'the end');
    connection.send('two');
    const second = scene.child(text, { ...environment, PORT: `${port}` });
    await scene.until(() => second.words.length > 0, 'the next server');
    await scene.connect(client, { port, transport: 'shm' });
    connection.send('three');
    await scene.until(() => second.words.includes('three'), 'the other messages');
    expect(second.words.slice(1)).to.deep.equal(['two', 'three']);
  });

  describe('keep their process', () => {
    for (const [what, text, stays] of [
      ['while a server listens', '', true],
      ['no longer once the server is unrefed', 'server.unref();', false],
    ] as const) {
      it(what, async () => {
        const { child, words } = scene.child(
          `const server = new tcpshm.Server({ name: 'server' });
           await server.listen({ port: 0 });
           ${text}
           server.run({ idle: 'park' });
           say('up');`,
        );
        await scene.until(() => words.length > 0, 'the process');
        await sleep(300);
        if (stays) expect(child.exitCode).to.equal(null);
        else await scene.until(() => child.exitCode === 0, 'its end');
      });
    }

    it('while a connection is open that is not unrefed', async () => {
      const server = scene.server();
      const address = (await scene.address(server, 'tcp native')) as { port: number };
      run(server, PARK);
      const { child, words } = scene.child(
        `const client = new tcpshm.Client({ name: 'client' });
         const connection = await client.connect({ port: ${address.port}, transport: 'tcp' });
         client.run({ idle: 'park' });
         say('up');
         setTimeout(() => connection.unref(), 500);`,
      );
      await scene.until(() => words.length > 0, 'the process');
      await sleep(200);
      expect(child.exitCode).to.equal(null);
      await scene.until(() => child.exitCode === 0, 'its end');
    });
  });
});
