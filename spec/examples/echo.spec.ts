import { expect } from 'chai';
import type { EchoReport } from '../../examples/echo/exchange.js';
import { Server } from '../../lib/index.js';
import { cleanUp, Folders, NOTHING_WRONG, Program, startClient, startServer } from './support.js';

describe('the echo programs', () => {
  afterEach(cleanUp);

  for (const transport of ['shm', 'tcp'] as const) {
    it(`exchange messages over ${transport}, the numbering goes on from run to run, and nothing stays`, async () => {
      const folders = new Folders();
      const { server, port } = await startServer([...folders.options, '--remove-sessions']);
      const options = [...folders.options, '--transport', transport, '--count', '1000'];

      const one = (await startClient(port, options).json()) as EchoReport;
      expect(one).to.include({ ...NOTHING_WRONG, transport, first: 0, sent: 1000, received: 1000 });
      for (const figure of ['meanNs', 'p50Ns', 'p99Ns', 'messagesPerSecond'] as const) {
        expect(one[figure], figure).to.be.a('number').above(0);
      }
      const two = (await startClient(port, [...options, '--window', '100']).json()) as EchoReport;
      expect(two).to.include({ ...NOTHING_WRONG, transport, first: 1000, sent: 1000, received: 1000 });

      expect(await server.end('SIGTERM')).to.equal(0);
      expect(folders.sharedFiles()).to.deep.equal([]);
    });
  }

  it('choose shared memory by themselves on one host', async () => {
    const folders = new Folders();
    const { port } = await startServer(folders.options);
    const report = await startClient(port, [...folders.options, '--count', '100']).json();
    expect(report).to.include({ ...NOTHING_WRONG, transport: 'shm', received: 100 });
  });

  it('exchange messages between two threads of the client over inproc', async () => {
    const folders = new Folders();
    const options = [...folders.options, '--transport', 'inproc', '--count', '5000', '--window', '10'];
    const client = new Program('echo/client', ['--json', ...options]);
    const report = await client.json();
    expect(report).to.include({ ...NOTHING_WRONG, transport: 'inproc', sent: 5000, received: 5000 });
    expect(folders.sharedFiles()).to.deep.equal([]);
  });

  it('take one size for all messages, busy polling, and more in flight than a queue holds', async () => {
    const folders = new Folders();
    const { port } = await startServer([...folders.options, '--idle', 'busy']);
    const size = ['--size', '50001', '--window', '200', '--idle', 'busy', '--count', '2000'];
    for (const transport of ['shm', 'tcp']) {
      const report = await startClient(port, [...folders.options, '--transport', transport, ...size]).json();
      expect(report).to.include({ ...NOTHING_WRONG, transport, received: 2000 });
    }
  });

  it('take their names: a client waits in vain for a server of another name', async () => {
    const folders = new Folders();
    const { port } = await startServer(['--name', 'exchange', ...folders.options]);
    const named = ['--name', 'trader-1', ...folders.options, '--count', '10'];
    const right = startClient(port, [...named, '--server-name', 'exchange']);
    expect(await right.json()).to.include({ received: 10 });
    const wrong = startClient(port, [...named, '--server-name', 'other']);
    expect(await wrong.ended()).to.equal(1);
    expect(wrong.stderr).to.include("the client wants the server 'other', this is 'exchange'");
  });

  it('start in any order', async () => {
    const folders = new Folders();
    const { server, port } = await startServer(folders.options);
    await server.end('SIGTERM');
    const client = startClient(port, [...folders.options, '--count', '100']);
    await startServer(folders.options, port);
    expect(await client.json()).to.include({ ...NOTHING_WRONG, received: 100 });
  });

  it('say in words what happened, without --json', async () => {
    const folders = new Folders();
    const server = new Program('echo/server', ['--port', '0', ...folders.options]);
    await server.until(({ stderr }) => /echo-server listens on 127\.0\.0\.1:\d+/.test(stderr));
    const { port } = JSON.parse(server.stdout) as { port: number };
    const client = new Program('echo/client', [
      '--port',
      String(port),
      '--count',
      '10',
      '--transport',
      'tcp',
      ...folders.options,
    ]);
    expect(await client.ended()).to.equal(0);
    expect(client.stdout).to.match(/^tcp: sent 10 messages from number 0 on, 10 came back/);
    expect(client.stdout).to.include('lost 0, duplicated 0, reordered 0');
  });

  it('send the reply that a server owed when it was ended between pop and push', async () => {
    const folders = new Folders();
    // A server that dies at the worst moment: one message was popped, its reply was not pushed.
    const dying = new Server({
      name: 'echo-server',
      directory: folders.sessions,
      sharedDirectory: folders.shared,
      onMessage(connection) {
        connection.pop();
        stop.abort();
      },
    });
    const stop = new AbortController();
    const { port } = await dying.listen({ port: 0 });
    const client = startClient(port, [...folders.options, '--transport', 'tcp', '--count', '100']);
    await dying.run({ signal: stop.signal });
    expect(dying.connections.map(({ popped, pushed }) => ({ popped, pushed }))).to.deep.equal([
      { popped: 1, pushed: 0 },
    ]);
    await dying.close();
    await startServer(folders.options, port);
    expect(await client.json()).to.include({ ...NOTHING_WRONG, sent: 100, received: 100 });
  });
});
