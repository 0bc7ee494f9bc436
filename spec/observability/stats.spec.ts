import { expect } from 'chai';
import { type Connection, RingChannel } from '../../lib/index.js';
import { Scene, WAYS } from '../peers/support.js';
import { until } from '../support/until.js';

/** Bytes of the record of a message. */
const record = (sizeBytes: number): number => Math.ceil((sizeBytes + 8) / 8) * 8;

describe('the numbers of a connection', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const way of WAYS) {
    it(`are those of its messages, on both sides, over ${way}`, async () => {
      const { local, remote } = await scene.pair(way, { onMessage: () => {} }, { onMessage: () => {} });
      const before = local.stats();
      expect(before).to.include({
        localName: scene.clientName,
        remoteName: scene.serverName,
        transport: local.transport,
        state: 'connected',
        sentMessages: 0,
        sentBytes: 0,
        receivedMessages: 0,
        receivedBytes: 0,
        logins: 1,
        resumes: 0,
        pushed: 0,
      });
      const sizes = [0, 1, 8, 100];
      let bytes = 0;
      for (const size of sizes) {
        expect(local.send(new Uint8Array(size))).to.equal(true);
        bytes += record(size);
      }
      expect(local.stats()).to.include({ sentMessages: 4, sentBytes: bytes, pushed: 4 });
      await scene.until(() => remote.stats().incoming.depthMessages === 4, 'the messages to arrive');
      expect(remote.stats().incoming).to.deep.equal({
        capacityBytes: 4096,
        depthMessages: 4,
        depthBytes: bytes,
      });
      expect(local.stats().outgoing).to.deep.equal({
        capacityBytes: 4096,
        depthMessages: 4,
        depthBytes: bytes,
      });
      await scene.turn();
      expect(local.stats().highWaterBytes).to.equal(bytes);
      remote.front();
      remote.pop();
      expect(remote.stats()).to.include({ receivedMessages: 1, receivedBytes: record(0), popped: 1 });
      expect(remote.stats().incoming.depthMessages).to.equal(3);
      await scene.until(() => local.stats().outgoing.depthMessages === 3, 'the pop to be known');
      while (remote.front() !== null) remote.pop();
      await scene.until(() => local.stats().outgoing.depthMessages === 0, 'the pops to be known');
      expect(remote.stats()).to.include({ receivedMessages: 4, receivedBytes: bytes });
      expect(local.stats().highWaterBytes).to.equal(bytes);
      // What was given before stays as it was.
      expect(before.sentMessages).to.equal(0);
    });

    it(`tell of a full queue, over ${way}`, async () => {
      const { local, remote } = await scene.pair(way, { onMessage: () => {} });
      while (local.send(new Uint8Array(500)));
      for (let i = 0; i < 4; i++) expect(local.alloc(500)).to.equal(null);
      const full = local.stats();
      expect(full).to.include({ fullAllocs: 5, fullPeriods: 1 });
      expect(full.highWaterBytes).to.be.within(4096 - 8 - record(500), 4096 - 8);
      expect(full.outgoing.depthBytes).to.equal(full.highWaterBytes);
      await scene.until(() => {
        if (remote.front() !== null) remote.pop();
        return remote.popped === local.pushed;
      }, 'all to be popped');
      await scene.until(() => local.alloc(500) !== null, 'room');
      const { fullAllocs, fullPeriods } = local.stats();
      expect(fullPeriods).to.equal(1);
      expect(fullAllocs).to.be.at.least(5);
    });

    it(`count on over disconnects, and stay when it is closed, over ${way}`, async () => {
      const { server, client, address, local, remote } = await scene.pair(way);
      local.send('one');
      await scene.until(() => remote.popped === 1, 'the message');
      remote.close();
      expect(remote.stats()).to.include({ state: 'closed', receivedMessages: 1, popped: 1, logins: 1 });
      expect(remote.stats()).to.deep.equal(remote.stats());
      await scene.until(() => local.state === 'disconnected', 'the end');
      // Another object of the server has the session where it is kept; between threads it is there with the memory.
      const again = await scene.connect(client, address);
      expect(again).to.equal(local);
      local.send('two');
      await scene.until(() => server.stats().total.receivedMessages === 2, 'the other message');
      expect(local.stats()).to.include({ sentMessages: 2, pushed: 2, logins: 2, resumes: 1 });
      expect(server.stats().total).to.include({ receivedMessages: 2, logins: 2, resumes: 1 });
      expect(server.stats()).to.include({ admittedLogins: 2, refusedLogins: 0, connected: 1, sessions: 1 });
      expect(client.stats()).to.include({ attempts: 2, logins: 2, failures: 0, connected: true });
      expect(client.stats().total).to.include({ sentMessages: 2, sentBytes: 2 * record(3) });
      await scene.until(() => local.stats().outgoing.depthMessages === 0, 'the pop to be known');
      await client.close();
      await server.close();
      expect(local.stats()).to.include({ state: 'closed', sentMessages: 2, pushed: 2, resumes: 1 });
      expect(local.stats().outgoing.depthMessages).to.equal(0);
      expect(client.stats().total).to.include({ sentMessages: 2, logins: 2 });
      expect(server.stats().total).to.include({ receivedMessages: 2, logins: 2 });
      expect(server.stats()).to.include({ connected: 0, sessions: 0 });
    });
  }

  for (const way of ['tcp native', 'tcp net'] as const) {
    it(`are of this process, and those of the session beside them, over ${way}`, async () => {
      const { server, client, local, remote } = await scene.pair(way);
      for (let i = 0; i < 3; i++) local.send('before');
      await scene.until(() => remote.popped === 3, 'the messages');
      await client.close();
      const successor = scene.client(scene.wire(way));
      const { port } = await server.listen({ port: 0 });
      const next = await scene.connect(successor, { port, transport: 'tcp' });
      next.send('after');
      expect(next.stats()).to.include({ pushed: 4, sentMessages: 1, sentBytes: 16, logins: 1, resumes: 1 });
    });

    it(`have what sockets took and gave, over ${way}`, async () => {
      const { local, remote } = await scene.pair(way);
      for (let i = 0; i < 100; i++) {
        await scene.until(() => local.send('x'.repeat(500)), 'room');
      }
      await scene.until(() => remote.popped === 100, 'the messages');
      const sent = local.stats();
      expect(sent.sentBytes).to.be.at.least(100 * record(500));
      expect(sent.wireSentBytes).to.be.above(sent.sentBytes);
      expect(remote.stats().wireReceivedBytes).to.equal(sent.wireSentBytes);
      expect(remote.stats().receivedBytes).to.equal(sent.sentBytes);
      local.close();
      // With the goodbye, perhaps.
      expect(local.stats().wireSentBytes).to.be.at.least(sent.wireSentBytes);
      expect(local.stats().wireReceivedBytes).to.equal(sent.wireReceivedBytes);
    });
  }

  for (const way of ['tcp native', 'tcp net', 'shm'] as const) {
    for (const busy of [false, true]) {
      it(`have the round trip of heartbeats on ${busy ? 'a busy' : 'an idle'} link, over ${way}`, async () => {
        const times = { heartbeatIntervalMs: 100, connectionTimeoutMs: 100_000 };
        const { server, client, local, remote } = await scene.pair(way, times, times);
        expect([local.stats().roundTripMs, remote.stats().roundTripMs]).to.deep.equal([null, null]);
        // Clocks that have nothing to do with each other, and stand still while a heartbeat is held.
        let now = performance.now() + 1000;
        const apart = 5000;
        const known = (): boolean =>
          local.stats().roundTripMs !== null && remote.stats().roundTripMs !== null;
        await until(() => {
          // The first goes out at once, the other with the next poll, which has no need of a heartbeat then.
          for (let i = 0; busy && i < 2; i++) {
            local.send('busy');
            remote.send('busy');
          }
          client.poll(now);
          server.poll(now + apart);
          now += 7;
          return known();
        }, 'heartbeats to be answered');
        for (const stats of [local.stats(), remote.stats()]) {
          expect(stats.roundTripMs).to.be.at.least(0);
          // A multiple of the steps of the clock, but for what a heartbeat can say.
          const steps = (stats.roundTripMs as number) / 7;
          expect(Math.abs(steps - Math.round(steps)) * 7).to.be.below(0.05);
          expect(stats.smoothedRoundTripMs).to.be.at.least(0);
        }
        await client.close();
        expect(local.stats().roundTripMs).not.to.equal(null);
      });
    }
  }

  it('say nothing of heartbeats between threads', async () => {
    const { local } = await scene.pair('inproc');
    await scene.turn();
    expect(local.stats()).to.include({ roundTripMs: null, wireSentBytes: 0, wireReceivedBytes: 0 });
  });

  it('do not believe what the peer wrote', () => {
    const { local, remote } = new RingChannel({ capacityBytes: 4096 });
    local.send('a');
    const words = new Int32Array(remote.memory);
    const noise = (): void => {
      for (let at = 0; at < words.length; at++) words[at] = -1;
    };
    noise();
    const { outgoing, incoming } = local.stats();
    expect(outgoing.depthMessages).to.equal(null);
    expect(outgoing.depthBytes).to.be.within(0, 4096);
    expect(incoming.depthMessages).to.equal(0);
  });

  it('count no more messages than may wait for a short while', () => {
    const { local, remote } = new RingChannel();
    const peer = RingChannel.open(remote);
    for (let i = 0; i < 5000; i++) local.send('');
    expect(peer.stats().incoming).to.include({ depthMessages: 4096, depthBytes: 4096 * 8 });
    expect(local.stats().outgoing).to.include({ depthMessages: 5000 });
    peer.close();
    local.close();
  });

  it('have the wake-ups of who sleeps, on both sides', async () => {
    const stop = new AbortController();
    const { server, client, local, remote } = await scene.pair('shm');
    const running = [server, client].map((peer) => peer.run({ idle: 'park', signal: stop.signal }));
    const woken = (connection: Connection): number => connection.stats().wakeups;
    for (let n = 1; woken(remote) < 3 || local.stats().rings < 3; n++) {
      expect(n, 'messages that woke nobody').to.be.below(1000);
      local.send('wake up');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(server.stats().sleeps).to.be.at.least(3);
    expect(server.stats().wakeups).to.be.within(1, server.stats().sleeps);
    stop.abort();
    await Promise.all(running);
  });
});
