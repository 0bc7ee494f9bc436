import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { Scene, type Talk } from '../peers/support.js';

const IS_ROOT = process.geteuid?.() === 0;
/** A user who owns nothing on any machine. */
const STRANGER = 54321;

const WAYS = ['shm', 'tcp native'] as const;

describe('files of sessions, and other users', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  /** What a process of another user gets when it does these things: the code of each error, or 'done'. */
  async function stranger(acts: readonly string[]): Promise<string[]> {
    const { words }: Talk = scene.child(`
      const fs = await import('node:fs');
      process.setgid(${STRANGER});
      process.setgroups([]);
      process.setuid(${STRANGER});
      for (const act of ${JSON.stringify(acts)}) {
        try {
          new Function('fs', act)(fs);
          say('done');
        } catch (error) {
          say(error.code ?? error.message);
        }
      }
      say('end');`);
    await scene.until(() => words.at(-1) === 'end', 'the process of another user');
    return words.slice(0, -1);
  }

  for (const way of WAYS) {
    it(`cannot be read, written, cut, linked, replaced or removed by another user, over ${way}`, async function () {
      if (!IS_ROOT) this.skip();
      // What is above the session folders is open to all, as usual.
      for (const folder of [scene.folders.directory, scene.folders.sharedDirectory]) {
        expect(statSync(folder).mode & 0o777).to.equal(0o700);
      }
      const { local, log } = await scene.pair(way);
      const files = scene.files();
      const before = files.map((file) => readFileSync(file));
      expect(files).to.have.length.at.least(way === 'shm' ? 1 : 2);
      const acts = files.flatMap((file) => {
        const path = JSON.stringify(file);
        return [
          `fs.readFileSync(${path})`,
          `fs.openSync(${path}, 'r+')`,
          `fs.truncateSync(${path}, 0)`,
          `fs.linkSync(${path}, '/dev/shm/tcpshm-stolen')`,
          `fs.renameSync(${path}, '/dev/shm/tcpshm-stolen')`,
          `fs.unlinkSync(${path})`,
          `fs.chmodSync(${path}, 0o666)`,
          `fs.readdirSync(${JSON.stringify(dirname(file))})`,
          `fs.writeFileSync(${JSON.stringify(`${file}.moving`)}, '')`,
        ];
      });
      const got = await stranger(acts);
      expect(got).to.deep.equal(acts.map(() => 'EACCES'));
      expect(existsSync('/dev/shm/tcpshm-stolen')).to.equal(false);
      expect(files.map((file) => readFileSync(file))).to.satisfy((after: Buffer[]) =>
        after.every((bytes, i) => bytes.length === before[i]?.length),
      );
      local.send('as before');
      await scene.until(() => log.includes('server: as before'), 'the message');
    });

    it(`cannot be begun where another user was first, over ${way}`, async function () {
      if (!IS_ROOT) this.skip();
      const root = mkdtempSync('/dev/shm/tcpshm-spec-open-');
      try {
        chmodSync(root, 0o1777);
        const folder = join(root, 'squatted');
        mkdirSync(folder, { mode: 0o777 });
        chmodSync(folder, 0o777);
        chownSync(folder, STRANGER, STRANGER);
        const places = way === 'shm' ? { sharedDirectory: folder } : { directory: folder };
        const server = scene.server();
        const address = await scene.address(server, way);
        const squatted = way === 'shm' ? scene.server({ name: 'squatted', ...places }) : null;
        if (squatted === null) {
          const client = scene.client(places);
          await scene.refused(client.connect(address), 'ERR_FILE', /belong|owner|mode/);
        } else {
          const port = await scene.address(squatted, way);
          await scene.refused(scene.client(places).connect(port), 'ERR_FILE', /belong|owner|mode|user/);
        }
        expect(lstatSync(folder).uid).to.equal(STRANGER);
      } finally {
        rmSync(root, { recursive: true, force: true });
      }
    });

    it(`are not opened by a name that leads elsewhere, over ${way}`, async () => {
      const first = await scene.pair(way);
      const [file = ''] = scene
        .files()
        .filter((path) => (way === 'shm' ? path.endsWith('.segment') : path.includes('server.journal')));
      await first.client.close();
      await first.server.close();
      const elsewhere = join(dirname(file), '..', 'elsewhere');
      const attempt = async (): Promise<void> => {
        const server = scene.server();
        const client = scene.client();
        await scene.refused(
          client.connect(await scene.address(server, way)),
          'ERR_FILE',
          new RegExp(basename(file)),
        );
        await client.close();
        await server.close();
      };
      const good = readFileSync(file);

      // A symbolic link to a private file of this user.
      renameSync(file, `${elsewhere}.real`);
      symlinkSync(`${elsewhere}.real`, file);
      await attempt();
      rmSync(file);

      // A hard link to one: in folders of one file system only.
      const here = join(dirname(file), '..', 'witness');
      writeFileSync(here, good, { mode: 0o600 });
      linkSync(here, file);
      await attempt();
      expect(readFileSync(here).equals(good), 'the linked file is as it was').to.equal(true);
      rmSync(file);
      rmSync(here);
      rmSync(`${elsewhere}.real`);

      await scene.pair(way);
    });
  }
});
