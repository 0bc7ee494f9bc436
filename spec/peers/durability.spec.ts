import { copyFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Client, type Connection, listSessions, Server, type SideState } from '../../lib/index.js';
import { PAGE_BYTES } from '../../lib/session/segment.js';
import { expectCode } from '../support/failure.js';
import { Random, randomSeed } from '../support/random.js';
import { Scene, type Way } from './support.js';

const ON_DISK = { durability: 'disk' } as const;

describe('durability', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  describe("'process'", () => {
    for (const way of ['tcp native', 'tcp net', 'shm', 'inproc'] as const) {
      it(`has everything safe at once: flush has nothing to wait for (${way})`, async () => {
        const { local, client } = await scene.pair(way);
        local.send('safe');
        await local.flush();
        await client.close();
        await local.flush().then(
          () => expect.fail('flushed'),
          (error) => expect(error).to.have.property('code', 'ERR_CLOSED'),
        );
      });
    }

    it('brings a journal back after a reboot as it was closed', async () => {
      const { local, remote, client, server } = await scene.pair('tcp native', { onMessage: () => {} });
      local.send('one');
      local.send('two');
      await scene.until(() => remote.front() !== null, 'the first');
      remote.pop();
      remote.send('for you');
      await scene.until(() => local.popped === 1, 'the other way');
      await client.close();
      await server.close();
      // A copy is as good as a reboot: its pages are no witness of what was stored last.
      for (const file of journals(scene)) copyOf(file);
      const again = scene.server({ onMessage: () => {} });
      const back = await scene.connect(scene.client(), await scene.address(again, 'tcp native'));
      expect([back.pushed, back.popped]).to.deep.equal([2, 1]);
      await scene.until(() => again.connections[0]?.front() != null, 'the second');
      expect(again.connections[0]?.front()?.text()).to.equal('two');
    });

    it('sets a journal aside after a reboot if it has no whole checkpoint', async () => {
      const { local, client, server } = await scene.pair('tcp native', { onMessage: () => {} });
      local.send('one');
      await server.close();
      await client.close();
      const [file] = journals(scene).filter((name) => name.endsWith('client.journal')) as [string];
      const bytes = readFileSync(file);
      bytes.fill(0, bytes.length - 2 * PAGE_BYTES);
      writeFileSync(`${file}.copy`, bytes, { mode: 0o600 });
      copyOf(`${file}.copy`, file);
      const again = scene.server();
      const address = await scene.address(again, 'tcp native');
      await scene.refused(
        scene.client().connect(address),
        'ERR_SEGMENT',
        /expected a checkpoint.*durability 'disk'.*set aside as/,
      );
    });

    it('notices messages of a closed journal that have changed', async () => {
      const { local, client, server } = await scene.pair('tcp native', { onMessage: () => {} });
      await server.close();
      await scene.until(() => local.state === 'disconnected', 'the end');
      local.send('what was said');
      await client.close();
      const [file] = journals(scene).filter((name) => name.endsWith('client.journal')) as [string];
      const bytes = readFileSync(file);
      bytes.write('what was sold', bytes.indexOf('what was said'));
      writeFileSync(file, bytes);
      const address = await scene.address(scene.server(), 'tcp native');
      await scene.refused(scene.client().connect(address), 'ERR_SEGMENT', /checksum differs.*set aside/);
    });
  });

  describe("'disk'", () => {
    it('needs a directory', () => {
      const options = { name: 'a', ...ON_DISK };
      expectCode(() => new Client(options), 'ERR_OPTION', /needs a directory/);
      expectCode(() => new Server(options), 'ERR_OPTION', /needs a directory/);
      const wrong = { name: 'a', durability: 'tape' as 'disk' };
      expectCode(
        () => new Client(wrong),
        'ERR_OPTION',
        /durability must be one of process, disk, got "tape"/,
      );
    });

    it('is not to be had of memory', async () => {
      const onDisk = scene.server(ON_DISK);
      const shm = await scene.address(onDisk, 'shm');
      const inproc = await scene.address(onDisk, 'inproc');
      const careful = scene.client(ON_DISK);
      for (const address of [shm, inproc]) {
        await scene.refused(scene.client().connect(address), 'ERR_OPTION', /server's durability 'disk'/);
        await scene.refused(careful.connect(address), 'ERR_OPTION', /client's durability 'disk'/);
      }
      const auto = { ...shm, transport: 'auto' } as typeof shm;
      expect((await scene.connect(careful, auto)).transport).to.equal('tcp');
      expect((await scene.connect(scene.client({ name: 'another' }), auto)).transport).to.equal('tcp');
    });

    for (const way of ['tcp native', 'tcp net'] as const) {
      it(`carries messages both ways, through many queue lengths (${way})`, async () => {
        const { local, remote } = await scene.pair(way, ON_DISK, ON_DISK);
        const count = 300;
        let [toServer, toClient] = [0, 0];
        await scene.until(() => {
          while (toServer < count && local.send(`${toServer}`.padEnd(100, '.'))) toServer++;
          while (toClient < count && remote.send(`${toClient}`.padEnd(100, '.'))) toClient++;
          return local.popped === count && remote.popped === count;
        }, 'all messages');
        expect([local.pushed, remote.pushed]).to.deep.equal([count, count]);
      });
    }

    it('sends nothing before it is safe, and acknowledges nothing whose pop is not', async () => {
      const { local, remote } = await scene.pair('tcp native', ON_DISK, ON_DISK);
      // Whatever arrives or is acknowledged is there in an image of only what was safe: see the images below. Here, that
      // a push waits for a poll and a write: the event loop does not turn.
      local.send('not yet');
      expect(remote.popped).to.equal(0);
      await local.flush();
      await scene.until(() => remote.popped === 1, 'the message');
      await scene.until(() => local.side.readState().acknowledged.sequence === 1, 'its acknowledgement');
    });

    it('flushes while disconnected, and when nobody polls', async () => {
      const { local, server, client } = await scene.pair('tcp native', ON_DISK, ON_DISK);
      await server.close();
      await scene.until(() => local.state === 'disconnected', 'the end');
      local.send('waits');
      await local.flush();
      await client.close();
    });

    it('has all safe when a connection was closed, and resolves those who wait for it', async () => {
      const { local, client, server } = await scene.pair('tcp native', ON_DISK, ON_DISK);
      await server.close();
      await scene.until(() => local.state === 'disconnected', 'the end');
      local.send('waits');
      const flushed = local.flush();
      await client.close();
      await flushed;
      for (const file of journals(scene)) copyOf(file);
      const back = await reconnected(scene, 'tcp native');
      expect(back.pushed).to.equal(1);
    });

    it('goes on after the loss of power on one side or both, with all that was flushed', async function () {
      this.timeout(60_000);
      const seed = randomSeed();
      const random = new Random(seed);
      const got: string[] = [];
      let expected = 0;
      const options = {
        ...ON_DISK,
        onMessage(connection: Connection, message: { text(): string }) {
          got.push(message.text());
          connection.pop();
        },
      };
      for (let round = 0; round < 12; round++) {
        const label = `seed ${seed}, round ${round}`;
        const server = scene.server(options);
        const client = scene.client(ON_DISK);
        const local = await scene.connect(client, await scene.address(server, 'tcp native'));
        expect(local.pushed, label).to.be.at.least(expected);
        expected = local.pushed;
        const flushed = random.below(20);
        for (let i = 0; i < flushed; i++) if (local.send(`${expected}`)) expected++;
        for (let turns = random.below(9); turns > 0; turns--) await scene.turn();
        await scene.settled(local.flush(), 'the flush');
        const safe = journals(scene).map((file) => [file, readFileSync(file)] as const);
        // None of these is written before the power goes: some of their pages are, at best.
        for (let i = 0; i < 5; i++) local.send(`${expected + i}`);
        const image = safe.map(([file, before]) => [file, torn(before, readFileSync(file), random)] as const);
        await client.close();
        await server.close();
        for (const [file, bytes] of image) {
          if (random.fraction() < 0.3) continue;
          writeFileSync(`${file}.copy`, bytes, { mode: 0o600 });
          copyOf(`${file}.copy`, file);
        }
      }
      const last = await scene.connect(
        scene.client(ON_DISK),
        await scene.address(scene.server(options), 'tcp native'),
      );
      await scene.until(
        () => last.side.readState().acknowledged.sequence === last.pushed,
        'the rest to arrive',
      );
      // Each message that came is the next one or one whose pop was not safe.
      let next = 0;
      for (const text of got) {
        expect(Number(text), `seed ${seed}`).to.be.at.most(next);
        next = Math.max(next, Number(text) + 1);
      }
      expect(next, `seed ${seed}`).to.be.at.least(expected);
    });

    it('survives kill -9 as every journal does, also what was not flushed', async () => {
      const server = scene.server({ ...ON_DISK, onMessage: () => {} });
      const { port } = (await scene.address(server, 'tcp native')) as { port: number };
      const { child, words } = scene.child(`
        const client = new tcpshm.Client({ name: ${JSON.stringify(scene.clientName)}, durability: 'disk',
          directory: ${JSON.stringify(scene.folders.directory)} });
        const connection = await client.connect({ port: ${port}, transport: 'tcp' });
        for (let i = 0; i < 10; i++) connection.send('message ' + i);
        console.log('sent');
        setInterval(() => {}, 1000);
      `);
      await scene.until(() => words.includes('sent'), 'the messages');
      child.kill('SIGKILL');
      await scene.until(() => server.connections[0]?.state === 'disconnected', 'its death');
      const back = await scene.connect(scene.client(ON_DISK), { port, transport: 'tcp' });
      expect(back.pushed).to.equal(10);
    });
  });

  describe('of a session that cannot go on', () => {
    for (const way of ['tcp native', 'shm'] as const) {
      it(`resetSession on both sides begins it anew, and its files are set aside and listed (${way})`, async () => {
        const told: SideState[] = [];
        const resetting = {
          onSequenceMismatch(connection: Connection, { local }: { local: SideState }) {
            told.push(local);
            connection.resetSession();
          },
        };
        const { local, remote, client, address } = await scene.pair(way, {
          ...resetting,
          onMessage: () => {},
        });
        local.send('lost with the backup');
        await scene.until(() => remote.front() !== null, 'the message');
        if (way === 'shm') {
          expect(local.resetSession()).to.match(/\.aside-1$/);
        } else {
          await client.close();
          const file = journals(scene).find((name) => name.endsWith('client.journal')) as string;
          writeFileSync(file, '');
          const again = scene.client(resetting);
          await scene.refused(again.connect(address), 'ERR_SEGMENT', /set aside/);
          await scene.refused(again.connect(address), 'ERR_SEQUENCE_MISMATCH');
          await scene.until(() => told.length === 2, 'both to be told');
          expect(told.map(({ received }) => received.sequence).sort()).to.deep.equal([0, 1]);
        }
        await scene.until(() => remote.state !== 'connected', 'the end');
        const fresh = await scene.connect(scene.client(), address);
        expect([fresh.pushed, fresh.popped]).to.deep.equal([0, 0]);
        const root = way === 'shm' ? scene.folders.sharedDirectory : scene.folders.directory;
        const aside = listSessions(root).filter((file) => file.setAside);
        expect(aside.map(({ client: name, server }) => [name, server])).to.deep.include([
          scene.clientName,
          scene.serverName,
        ]);
      });
    }

    it('resetSession on one side alone changes nothing for the other: still refused', async () => {
      const { local, remote, address } = await scene.pair('tcp native', { onMessage: () => {} });
      local.send('one');
      await scene.until(() => remote.front() !== null, 'the message');
      local.resetSession();
      expect(local.state).to.equal('closed');
      await scene.until(() => remote.state === 'disconnected', 'the end');
      await scene.refused(scene.client().connect(address), 'ERR_SEQUENCE_MISMATCH');
      expect(remote.front()?.text()).to.equal('one');
    });
  });

  for (const way of ['tcp native', 'shm'] as const) {
    it(`a server under another name has a session of its own; the old one stays, is listed, and goes on (${way})`, async () => {
      const { local, server, client } = await scene.pair(way, { onMessage: () => {} });
      await server.close();
      await scene.until(() => local.state === 'disconnected', 'the end');
      local.send('for the old name');
      await client.close();
      const renamed = scene.server({ name: `${scene.serverName}-2`, onMessage: () => {} });
      const other = scene.client();
      const fresh = await scene.connect(other, await scene.address(renamed, way));
      expect([fresh.pushed, fresh.remoteName]).to.deep.equal([0, renamed.name]);
      expect(renamed.connections[0]?.front()).to.equal(null);
      const root = way === 'shm' ? scene.folders.sharedDirectory : scene.folders.directory;
      const servers = new Set(listSessions(root).map((file) => file.server));
      expect([...servers].sort()).to.deep.equal([scene.serverName, renamed.name]);
      await other.close();
      await renamed.close();
      const back = await reconnected(scene, way);
      expect(back.pushed).to.equal(1);
    });
  }
});

function journals({ folders: { directory } }: Scene): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.journal'))
    .map((name) => join(directory, name));
}

/** Replaces a file by a copy of itself or of another one: by another inode. */
function copyOf(file: string, target = file): void {
  copyFileSync(file, `${file}.new`);
  renameSync(`${file}.new`, target);
}

/** For each page, the one or the other. */
function torn(before: Buffer, after: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(before);
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    if (random.once(2)) after.copy(bytes, at, at, at + PAGE_BYTES);
  }
  return bytes;
}

async function reconnected(scene: Scene, way: Way): Promise<Connection> {
  const server = scene.server({ onMessage: () => {} });
  return scene.connect(scene.client(), await scene.address(server, way));
}
