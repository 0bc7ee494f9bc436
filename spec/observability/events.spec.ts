import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  type Connection,
  channel,
  DIAGNOSTIC_CHANNELS,
  type DiagnosticEvents,
  type DiagnosticName,
  RingPool,
  textCodec,
} from '../../lib/index.js';
import { GroupScene } from '../groups/support.js';
import { newName, WAYS } from '../peers/support.js';
import { TASKS } from '../pool/support.js';

type Events = DiagnosticEvents<Connection>;

/** What is published while it listens, of those whom `mine` is about. */
class Listener {
  readonly #heard: { readonly name: DiagnosticName; readonly event: Events[DiagnosticName] }[] = [];
  readonly #ends: (() => void)[] = [];

  constructor(names: readonly DiagnosticName[] = DIAGNOSTIC_CHANNELS) {
    for (const name of names) {
      const hear = (event: unknown): void => {
        this.#heard.push({ name, event: event as Events[DiagnosticName] });
      };
      subscribe(name, hear);
      this.#ends.push(() => unsubscribe(name, hear));
    }
  }

  of<N extends DiagnosticName>(name: N): Events[N][] {
    return this.#heard.filter((heard) => heard.name === name).map(({ event }) => event as Events[N]);
  }

  get names(): readonly DiagnosticName[] {
    return this.#heard.map(({ name }) => name);
  }

  end(): void {
    for (const end of this.#ends) end();
  }
}

describe('what is published on diagnostics channels', () => {
  let scene: GroupScene;
  let listener: Listener;
  beforeEach(() => {
    scene = new GroupScene();
  });
  afterEach(async () => {
    listener.end();
    await scene.end();
  });

  for (const way of WAYS) {
    it(`is the life of a connection, on both sides, over ${way}`, async () => {
      listener = new Listener();
      const { server, client, address, local, remote } = await scene.pair(way);
      expect(listener.of('tcpshm:connecting')).to.deep.equal([
        { client: client.name, server: way === 'inproc' ? server.name : '', attempt: null },
      ]);
      const begun = listener.of('tcpshm:session-begun');
      expect(begun[0]).to.include({
        client: client.name,
        server: server.name,
        transport: local.transport,
        role: 'server',
      });
      expect(begun.map(({ role }) => role)).to.deep.equal(
        local.transport === 'tcp' ? ['server', 'client'] : ['server'],
      );
      const sessionId = begun[0]?.sessionId as string;
      const connected = (connection: Connection, role: string, resumed: boolean): object => ({
        connection,
        role,
        sessionId,
        resumed,
        moved: false,
      });
      expect(listener.of('tcpshm:connected')).to.have.deep.members([
        connected(local, 'client', false),
        connected(remote, 'server', false),
      ]);
      expect(listener.of('tcpshm:connected')[0]?.connection).to.be.oneOf([local, remote]);
      local.send('so that the session is not fresh');
      await scene.until(() => remote.popped === 1, 'the message');
      remote.close();
      expect(listener.of('tcpshm:closed')).to.deep.equal([{ connection: remote, how: 'closed' }]);
      await scene.until(() => listener.of('tcpshm:disconnected').length > 0, 'the end');
      expect(listener.of('tcpshm:disconnected')).to.deep.equal([
        { connection: local, reason: 'closed by peer', error: null },
      ]);
      await scene.connect(client, address);
      expect(listener.of('tcpshm:connected').at(-1)).to.include({ sessionId, resumed: true });
      await client.close({ removeSessions: true });
      expect(listener.of('tcpshm:closed').at(-1)).to.deep.equal({ connection: local, how: 'removed' });
      expect(listener.of('tcpshm:connect-failed')).to.deep.equal([]);
    });
  }

  it('is why a client was not let in, on both sides', async () => {
    listener = new Listener();
    const server = scene.server({ acceptLogin: () => ({ reject: 'not today' }) });
    const client = scene.client({ name: newName('client') });
    const { port } = await server.listen({ port: 0 });
    const error = await scene.refused(client.connect({ port, transport: 'tcp' }), 'ERR_LOGIN_REJECTED');
    const [refused] = listener.of('tcpshm:login-refused');
    expect(refused).to.include({
      server: server.name,
      client: client.name,
      code: 'ERR_LOGIN_REJECTED',
      reason: 'not today',
    });
    expect(refused?.address).to.match(/^127\.0\.0\.1:\d+$/);
    expect(listener.of('tcpshm:connect-failed')).to.deep.equal([
      { client: client.name, server: '', attempt: null, error },
    ]);
    expect(server.stats()).to.include({ refusedLogins: 1, admittedLogins: 0, pendingLogins: 0 });
    expect(client.stats()).to.include({ attempts: 1, failures: 1, logins: 0, connected: false });
  });

  it('is a session that was reset, and where its file went', async () => {
    const { local } = await scene.pair('tcp native');
    local.send('kept');
    listener = new Listener();
    const aside = local.resetSession();
    expect(listener.of('tcpshm:session-reset')).to.deep.equal([{ connection: local, aside }]);
    const [set] = listener.of('tcpshm:session-set-aside');
    expect(set?.aside).to.equal(aside);
    expect(readFileSync(set?.aside as string).length).to.be.above(0);
    expect(listener.of('tcpshm:closed')).to.deep.equal([{ connection: local, how: 'reset' }]);
  });

  it('is a session that was taken over from a process that is silent', async () => {
    const times = { heartbeatIntervalMs: 50, connectionTimeoutMs: 300 };
    const server = scene.server(times);
    const { port } = await server.listen({ port: 0 });
    const { directory, sharedDirectory } = scene.folders;
    const options = { name: scene.clientName, directory, sharedDirectory, ...times };
    const { child, words } = scene.child(`
      const client = new tcpshm.Client(${JSON.stringify(options)});
      await client.connect({ port: ${port}, transport: 'tcp' });
      console.log('connected');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    `);
    await scene.until(() => words.includes('connected'), 'the other process to connect');
    listener = new Listener();
    const client = scene.client({ ...times, reconnect: { initialDelayMs: 50, maxDelayMs: 50, factor: 1 } });
    await scene.until(() => server.stats().connected === 0, 'its end');
    let connection: Connection | null = null;
    while (connection === null) {
      connection = await scene.connect(client, { port, transport: 'tcp' }).catch(() => null);
    }
    const [taken] = listener.of('tcpshm:session-taken-over');
    expect(taken).to.include({ role: 'client', from: child.pid });
    expect(taken?.path).to.include(directory);
  });

  it('is the life of the threads of groups', async () => {
    listener = new Listener();
    const server = scene.groupServer({ count: 2 }, { heartbeatIntervalMs: 20, connectionTimeoutMs: 5000 });
    const address = await scene.address(server, 'inproc');
    const name = server.name;
    expect(listener.of('tcpshm:group-started')).to.have.deep.members([
      { server: name, group: 0 },
      { server: name, group: 1 },
    ]);
    const caller = await scene.caller('inproc', address);
    await caller.ask('hello');
    await scene.until(() => server.stats().threads[0]?.total.receivedMessages === 1, 'its report');
    const [first, second] = server.stats().threads;
    expect(first).to.include({ group: 0, up: true, starts: 1, connections: 1 });
    expect(second).to.include({ group: 1, up: true, starts: 1, connections: 0 });
    expect(first?.total).to.include({ sentMessages: 1, logins: 0 });
    expect(server.stats().total).to.include({ receivedMessages: 1, sentMessages: 1, logins: 1 });
    await scene.settled(server.move(caller.client.name, 1), 'the move');
    await caller.ask('there');
    await scene.until(() => server.stats().total.receivedMessages === 2, 'the other report');
    expect(server.stats().total).to.include({ sentMessages: 2, logins: 1 });
    expect(server.stats().threads[0]?.total).to.include({ receivedMessages: 1 });
    expect(server.stats().threads[1]?.total).to.include({ receivedMessages: 1 });
    caller.connection.send('exit');
    await scene.until(() => listener.of('tcpshm:group-died').length > 0, 'the death of a thread');
    const [died] = listener.of('tcpshm:group-died');
    expect(died).to.include({ server: name, group: 1 });
    expect(died?.error.code).to.equal('ERR_WORKER');
    await scene.until(() => server.stats().threads[1]?.starts === 2, 'another thread');
    expect(listener.of('tcpshm:group-started')).to.have.length(3);
    // What the thread had told stays.
    expect(server.stats().total).to.include({ logins: 1, sentMessages: 2 });
  });

  it('is the life of the threads of pools', async () => {
    listener = new Listener();
    const pool = new RingPool({ filename: TASKS, minThreads: 1, maxThreads: 1 });
    pool.on('error', () => {});
    expect(await pool.run({ a: 1, b: 2 })).to.equal(3);
    const [started] = listener.of('tcpshm:pool-thread-started');
    expect(started?.pool).to.equal(pool);
    expect(started?.threadId).to.equal(pool.threads[0]?.threadId);
    const stats = pool.stats();
    expect(stats).to.include({
      threads: 1,
      threadsUp: 1,
      threadsStarted: 1,
      threadsDied: 0,
      tasksQueued: 0,
      tasksRunning: 0,
      tasksCompleted: 1,
    });
    expect(stats.total.sentMessages).to.be.at.least(1);
    expect(stats.total.receivedMessages).to.be.at.least(1);
    await pool.threads[0]?.terminate();
    await scene.until(() => listener.of('tcpshm:pool-thread-died').length > 0, 'its death');
    const [died] = listener.of('tcpshm:pool-thread-died');
    expect(died).to.include({ pool, threadId: started?.threadId, wasUp: true });
    expect(died?.error.code).to.equal('ERR_WORKER');
    await pool.destroy();
    expect(pool.stats()).to.include({ threads: 0, threadsDied: 1, tasksCompleted: 1 });
    expect(pool.stats().total.sentMessages).to.be.at.least(stats.total.sentMessages);
    // A thread that the pool ends has not died.
    expect(listener.of('tcpshm:pool-thread-died')).to.have.length(1);
  });

  for (const way of WAYS) {
    it(`is what polls hand out, and only while somebody listens, over ${way}`, async () => {
      const { local, remote } = await scene.pair(way);
      local.send('not heard of');
      await scene.until(() => remote.popped === 1, 'the first message');
      listener = new Listener(['tcpshm:delivered']);
      for (let i = 0; i < 100; i++) expect(local.send('x'.repeat(i % 4))).to.equal(true);
      await scene.until(() => remote.popped === 101, 'the messages');
      const events = listener.of('tcpshm:delivered');
      expect(events.every(({ connection }) => connection === remote)).to.equal(true);
      expect(events.every(({ messages }) => messages > 0 && messages <= 64)).to.equal(true);
      expect(events.reduce((sum, { messages }) => sum + messages, 0)).to.equal(100);
      // 25 without payload, the others have up to 8 bytes of it.
      expect(events.reduce((sum, { bytes }) => sum + bytes, 0)).to.be.within(25 * 8 + 75 * 16, 4096);
      listener.end();
      local.send('not heard of');
      await scene.until(() => remote.popped === 102, 'the last message');
      expect(listener.of('tcpshm:delivered')).to.have.length(events.length);
    });
  }

  it('is what polls hand to who reads a channel, too', async () => {
    const { local, remote } = await scene.pair('tcp native');
    listener = new Listener(['tcpshm:delivered']);
    const texts: string[] = [];
    channel(remote, textCodec).on('any', (text) => texts.push(text));
    for (const text of ['a', 'b', 'c']) local.send(text);
    await scene.until(() => texts.length === 3, 'the values');
    const events = listener.of('tcpshm:delivered');
    expect(events.reduce((sum, { messages }) => sum + messages, 0)).to.equal(3);
    expect(events.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(48);
  });

  for (const way of ['tcp native', 'tcp net'] as const) {
    it(`is what sockets took and gave, over ${way}`, async () => {
      const { local, remote } = await scene.pair(way);
      await scene.turn();
      const [before, after] = [local.stats(), remote.stats()];
      listener = new Listener(['tcpshm:sent', 'tcpshm:received']);
      for (let i = 0; i < 50; i++) await scene.until(() => local.send('x'.repeat(300)), 'room');
      await scene.until(() => remote.popped === 50, 'the messages');
      const bytes = (name: 'tcpshm:sent' | 'tcpshm:received', of: Connection): number =>
        listener
          .of(name)
          .filter(({ connection }) => connection === of)
          .reduce((sum, event) => sum + event.bytes, 0);
      expect(bytes('tcpshm:sent', local)).to.equal(local.stats().wireSentBytes - before.wireSentBytes);
      expect(bytes('tcpshm:received', remote)).to.equal(
        remote.stats().wireReceivedBytes - after.wireReceivedBytes,
      );
      expect(bytes('tcpshm:sent', local)).to.be.at.least(50 * 308);
      for (const { frames } of listener.of('tcpshm:sent')) expect(frames).to.be.at.least(1);
    });
  }

  it('are the names that are listed, each once', () => {
    listener = new Listener([]);
    expect(new Set(DIAGNOSTIC_CHANNELS).size).to.equal(DIAGNOSTIC_CHANNELS.length);
    for (const name of DIAGNOSTIC_CHANNELS) expect(name).to.match(/^tcpshm:[a-z-]+$/);
  });
});
