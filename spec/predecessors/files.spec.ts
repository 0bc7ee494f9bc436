import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import type { ErrorCode, ServerOptions, TcpshmError } from '../../lib/index.js';
import { newName, type Pair, Scene } from '../peers/support.js';

const FILE_WAYS = ['tcp native', 'shm'] as const;

describe("TCPSHM's faults: files", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  /** A session with a message in each direction that was not popped; closed by both sides. */
  async function leave(way: (typeof FILE_WAYS)[number]): Promise<Pair> {
    const pair = await scene.pair(way, { onMessage: () => {} }, { onMessage: () => {} });
    pair.local.send('to the server');
    pair.remote.send('to the client');
    await scene.until(() => pair.remote.front() !== null && pair.local.front() !== null, 'both messages');
    await pair.client.close();
    await pair.server.close();
    return pair;
  }

  /** That both messages of `leave` are still there. */
  async function expectLeft(way: (typeof FILE_WAYS)[number]): Promise<void> {
    const { local, remote } = await scene.pair(way, { onMessage: () => {} }, { onMessage: () => {} });
    await scene.until(() => remote.front() !== null && local.front() !== null, 'both messages');
    expect([remote.front()?.text(), local.front()?.text()]).to.deep.equal(['to the server', 'to the client']);
  }

  /** Why a client and a server that are started anew do not get at the session. */
  async function refusal(
    way: (typeof FILE_WAYS)[number],
    code: ErrorCode,
    message: RegExp,
    options: Partial<ServerOptions> = {},
  ): Promise<TcpshmError> {
    const server = scene.server(options);
    const client = scene.client();
    const error = await scene.refused(client.connect(await scene.address(server, way)), code, message);
    await client.close();
    await server.close();
    return error;
  }

  for (const way of FILE_WAYS) {
    it(`files are world-writable: here files and folders are their user's alone, under any umask, over ${way}`, async () => {
      const umask = process.umask(0);
      try {
        const directory = join(scene.folders.directory, 'deep', 'sessions');
        const sharedDirectory = join(scene.folders.sharedDirectory, 'segments');
        await scene.pair(way, { directory, sharedDirectory }, { directory, sharedDirectory });
        await scene.server({ name: newName('path') }).listen({ path: join(directory, 'socket') });
        const witness = join(scene.folders.directory, 'witness');
        writeFileSync(witness, '');
        expect(statSync(witness).mode & 0o777, 'the umask has no effect').to.equal(0o666);
        const files = scene.files().filter((file) => file !== witness);
        expect(files).to.have.length(way === 'shm' ? 2 : 3);
        const folders = files.map((file) => dirname(file));
        expect(files.map((file) => statSync(file).mode & 0o7777)).to.deep.equal(files.map(() => 0o600));
        expect(folders.map((file) => statSync(file).mode & 0o7777)).to.deep.equal(folders.map(() => 0o700));
      } finally {
        process.umask(umask);
      }
    });

    it(`files have no magic or version: here a foreign file is refused, and stays as it was, over ${way}`, async () => {
      await leave(way);
      for (const file of scene.files()) {
        const good = readFileSync(file);
        for (const [spoil, message] of [
          [(bytes: Buffer) => bytes.write('FOREIGN!'), /expected it to start with .*, got/],
          [(bytes: Buffer) => bytes.writeUInt32LE(999, 8), /version 1, got 999/],
        ] as const) {
          const foreign = Buffer.from(good);
          spoil(foreign);
          writeFileSync(file, foreign);
          const error = await refusal(way, 'ERR_SEGMENT', message);
          const aside = /set aside as (\S+)$/.exec(error.message)?.[1] as string;
          expect(readFileSync(aside).equals(foreign)).to.equal(true);
          writeFileSync(file, good, { mode: 0o600 });
        }
      }
      await expectLeft(way);
    });

    it(`files have no lock: here a second process is refused until the first is dead, over ${way}`, async () => {
      const { server, client } = await leave(way);
      const transport = way === 'shm' ? 'shm' : 'tcp';
      const { child, words } = scene.child(
        `const { name, transport, ...folders } = JSON.parse(process.env.PLACE);
         const server = new tcpshm.Server({ name, ...folders });
         const { port } = await server.listen({ port: 0 });
         server.run();
         const client = new tcpshm.Client({ name: ${JSON.stringify(client.name)}, ...folders });
         await client.connect({ port, transport });
         say('open');
         await client.run();`,
        { PLACE: JSON.stringify({ name: server.name, transport, ...scene.folders }) },
      );
      await scene.until(() => words.length > 0, 'the other process');
      await refusal(way, 'ERR_ALREADY_CONNECTED', /server side of .* open elsewhere/);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await expectLeft(way);
    });

    it(`files are resized silently: here another capacity or size is refused, and nothing is lost, over ${way}`, async () => {
      await leave(way);
      const before = scene.files().map((file) => [file, readFileSync(file)] as const);
      await refusal(way, 'ERR_CAPACITY', /was begun with 4096 bytes .* wanted now are 8192/, {
        sendCapacityBytes: 8192,
        receiveCapacityBytes: 8192,
      });
      expect(scene.files()).to.deep.equal(before.map(([file]) => file));
      for (const [file, bytes] of before) {
        expect(statSync(file).size).to.equal(bytes.length);
        for (const size of [bytes.length - 8, bytes.length + 8]) {
          truncateSync(file, size);
          await refusal(way, 'ERR_SEGMENT', /size of/);
          writeFileSync(file, bytes, { mode: 0o600 });
        }
      }
      await expectLeft(way);
    });

    it(`files are never removed: here they go with their session, when it is asked for, over ${way}`, async () => {
      const removals: ((pair: Pair) => void | Promise<void>)[] = [
        ({ local, remote }) => {
          for (const one of [local, remote]) one.close({ remove: true });
        },
        async ({ client, server }) => {
          await client.close({ removeSessions: true });
          await server.close({ removeSessions: true });
        },
      ];
      for (const remove of removals) {
        const pair = await scene.pair(way, { name: newName('server') });
        pair.local.send('gone');
        expect(scene.files()).to.have.length(way === 'shm' ? 1 : 2);
        await remove(pair);
        expect(scene.files()).to.deep.equal([]);
        await pair.client.close();
      }
      // Nor does a login that fails leave any.
      const server = scene.server({ acceptLogin: () => ({ reject: 'no' }) });
      await scene.refused(scene.client().connect(await scene.address(server, way)), 'ERR_LOGIN_REJECTED');
      expect(scene.files()).to.deep.equal([]);
    });
  }

  it('a full /dev/shm kills with SIGBUS: here it is ERR_NO_SPACE at the login, and sessions that began go on', async function () {
    const { sharedDirectory } = scene.folders;
    const small = smallFileSystem(sharedDirectory);
    if (small === null) this.skip();
    const { child, words } = scene.child(
      `import { dirname, join } from 'node:path';
       import { openSync, readdirSync, statSync, statfsSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
       const sharedDirectory = ${JSON.stringify(sharedDirectory)};
       const server = new tcpshm.Server({ name: 'server', sharedDirectory,
         sendCapacityBytes: 16384, receiveCapacityBytes: 16384,
         onMessage(connection, message) { if (connection.send(message.bytes())) connection.pop(); } });
       const { port } = await server.listen({ port: 0 });
       server.run();
       const client = (name) => new tcpshm.Client({ name, sharedDirectory, loginTimeoutMs: 30000 });
       const codeOf = (promise) => promise.then((connection) => connection.transport, (error) => error.code);
       const connection = await client('early').connect({ port, transport: 'shm' });
       const folder = dirname(connection.side.ends.open.where);
       const sparse = join(folder, 'sparse@server.segment');
       writeFileSync(sparse, '', { mode: 0o600 });
       truncateSync(sparse, statSync(connection.side.ends.open.where).size);
       const filler = openSync(join(sharedDirectory, 'filler'), 'w');
       try { for (;;) writeSync(filler, Buffer.alloc(4096)); } catch (error) { say(error.code); }
       say(statfsSync(sharedDirectory).bfree + ' free, ' + statSync(sparse).blocks + ' of the sparse file');
       const bytes = new Uint8Array(4096).fill(7);
       let back = 0;
       while (back < 1000) {
         connection.send(bytes);
         const echo = connection.front();
         if (echo === null) await new Promise(setImmediate);
         else { if (echo.size !== 4096 || echo.getUint8(4095) !== 7) say('torn'); connection.pop(); back++; }
       }
       say(await codeOf(client('late').connect({ port, transport: 'shm' })));
       say(await codeOf(client('sparse').connect({ port, transport: 'shm' })));
       say(await codeOf(client('flexible').connect({ port, transport: 'auto' })));
       say(readdirSync(folder).join());
       process.exit();`,
      {},
      4096,
      small,
    );
    await scene.until(() => child.exitCode !== null || child.signalCode !== null, 'the end of the process');
    expect([child.exitCode, child.signalCode]).to.deep.equal([0, null]);
    await scene.until(() => words.length >= 6, 'its words');
    expect(words).to.deep.equal([
      'ENOSPC',
      '0 free, 0 of the sparse file',
      'ERR_NO_SPACE',
      'ERR_NO_SPACE',
      'tcp',
      'early@server.segment,sparse@server.segment',
    ]);
  });
});

/** What to put before a command so that it finds a small file system at the folder; null where nobody may mount one. */
function smallFileSystem(folder: string): string[] | null {
  const mount = 'mount -t tmpfs -o size=128k,mode=0700 tmpfs "$0" && exec "$@"';
  const command = ['unshare', '--map-root-user', '--mount', 'sh', '-c', mount, folder] as const;
  return spawnSync(command[0], [...command.slice(1), 'true']).status === 0 ? [...command] : null;
}
