import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { Server, type TcpshmError } from '../../lib/index.js';
import { newName, Scene } from './support.js';

describe('the program of the user', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  describe('errors of handlers within a login', () => {
    for (const where of ['acceptLogin', 'onConnection', 'onError'] as const) {
      it(`of ${where} reach the caller of poll, and the server goes on`, async () => {
        let failing = true;
        const fail = (): void => {
          if (failing) throw new Error(`${where} failed`);
        };
        const server = new Server({
          name: scene.serverName,
          acceptLogin() {
            if (where === 'acceptLogin') fail();
            return { group: where === 'onError' && failing ? 5 : 0 };
          },
          onConnection: () => where === 'onConnection' && fail(),
          onError: () => where === 'onError' && fail(),
        });
        try {
          const { port } = await server.listen({ port: 0 });
          const client = scene.client();
          const told: string[] = [];
          const login = async (): Promise<string> => {
            let outcome = '';
            client.connect({ port, transport: 'tcp' }).then(
              () => {
                outcome = 'in';
              },
              (error: TcpshmError) => {
                outcome = error.code;
              },
            );
            while (outcome === '') {
              try {
                server.poll();
              } catch (error) {
                told.push((error as Error).message);
              }
              await nextTurn();
            }
            return outcome;
          };
          const expected = { acceptLogin: 'ERR_LOGIN_REJECTED', onConnection: 'in', onError: 'ERR_OPTION' };
          expect(await login()).to.equal(expected[where]);
          expect(told).to.deep.equal([`${where} failed`]);
          failing = false;
          if (where !== 'onConnection') expect(await login()).to.equal('in');
          expect(server.connections.map(({ state }) => state)).to.deep.equal(['connected']);
        } finally {
          await server.close();
        }
      });
    }
  });

  describe('run', () => {
    it("'yield' lets the event loop turn, and stops by its signal", async () => {
      const { server, client, local, remote } = await scene.pair('tcp net');
      const stop = new AbortController();
      const running = [
        server.run({ signal: stop.signal }),
        client.run({ idle: 'yield', signal: stop.signal }),
      ];
      local.send('by itself');
      await waitFor(() => remote.popped === 1);
      stop.abort();
      await Promise.all(running);
      await server.run({ signal: stop.signal });
    });

    it('stops when what is driven is closed', async () => {
      const { server, client } = await scene.pair('shm');
      const running = [server.run(), client.run()];
      await nextTurn();
      await client.close();
      await server.close();
      await Promise.all(running);
    });

    it("'busy' serves until a handler stops it", async () => {
      const stop = new AbortController();
      for (const how of ['abort', 'close'] as const) {
        const { server, local } = await scene.pair(
          'shm',
          {
            name: newName('server'),
            onMessage(connection) {
              connection.pop();
              if (how === 'abort') stop.abort();
              else void server.close();
            },
          },
          { name: newName('client') },
        );
        local.send('stop');
        await server.run({ idle: 'busy', ...(how === 'abort' ? { signal: stop.signal } : {}) });
        expect(server.closed).to.equal(how === 'close');
      }
    });

    it('rejects with what a handler throws, and can go on', async () => {
      const failure = new Error('on purpose');
      let failing = true;
      const { server, local, remote } = await scene.pair('inproc', {
        onMessage(connection) {
          if (failing) throw failure;
          connection.pop();
        },
      });
      local.send('once more');
      const error = await server.run().then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).to.equal(failure);
      failing = false;
      const stop = new AbortController();
      const running = server.run({ signal: stop.signal });
      await waitFor(() => remote.popped === 1);
      stop.abort();
      await running;
    });
  });

  describe('a process', () => {
    const lives: [string, string, boolean][] = [
      ['listens with native sockets', "wire: 'native'", false],
      ['listens with node:net', "wire: 'net'", true],
    ];
    for (const [what, option, stays] of lives) {
      it(`that ${what} and does nothing else ${stays ? 'stays' : 'ends'}`, async () => {
        const { child, words } = scene.child(
          `const server = new tcpshm.Server({ name: 'server', ${option} });
           await server.listen({ port: 0 });
           process.stdin.on('data', async () => { await server.close(); process.stdin.destroy(); });
           process.stdin.unref();
           say('up');`,
        );
        await scene.until(() => words.length > 0, 'the process');
        if (stays) {
          expect(child.exitCode).to.equal(null);
          child.stdin?.write('close');
        }
        await scene.until(() => child.exitCode !== null, 'its end');
        expect(child.exitCode).to.equal(0);
      });
    }
  });
});

/** For what drives itself. The watchdog is that of the runner. */
async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}
