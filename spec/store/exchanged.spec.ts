import { once } from 'node:events';
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { TcpshmError } from '../../lib/errors.js';
import { openSegmentFile } from '../../lib/store/files.js';
import { Scene } from '../peers/support.js';
import { type Folders, newFolders } from '../support/folders.js';

const OPENINGS = 300;

describe('a session file of which nothing but zeroes was ever written', () => {
  let folders: Folders;
  beforeEach(() => {
    folders = newFolders();
  });
  afterEach(() => folders.remove());

  it('is removed by the side that begins it, and left alone by who was told its path', () => {
    const path = join(folders.sharedDirectory, 'file');
    const names = { client: 'alice', server: 'bob' };
    writeFileSync(path, new Uint8Array(8192), { mode: 0o600 });
    expect(openSegmentFile(path, 'client', names)).to.equal(null);
    expect(existsSync(path), 'left alone').to.equal(true);
    expect(openSegmentFile(path, 'server', names, { whenDamaged: 'set aside' })).to.equal(null);
    expect(existsSync(path), 'left alone').to.equal(false);
  });
});

describe('session files that another program exchanges all the time', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  it('are opened or refused, and nobody waits for ever', async () => {
    const { client, server, local } = await scene.pair('shm');
    const { clientName, serverName } = scene;
    const [path = ''] = scene.files().filter((file) => file.endsWith('.segment'));
    expect(local.state).to.equal('connected');
    await client.close();
    await server.close();
    const { child, words } = scene.child(`
      const { copyFileSync, renameSync } = await import('node:fs');
      const path = ${JSON.stringify(path)};
      let n = 0;
      const turn = () => {
        copyFileSync(path, path + '.next');
        renameSync(path + '.next', path);
        n++;
      };
      turn();
      say('at it');
      for (const end = Date.now() + 60000; Date.now() < end; ) turn();`);
    copyFileSync(path, `${path}.kept`);
    await scene.until(() => words.length === 1, 'the other program');
    let opened = 0;
    for (let i = 0; i < OPENINGS; i++) {
      try {
        const open = openSegmentFile(path, 'client', { client: clientName, server: serverName });
        if (open === null) continue;
        opened++;
        // It may be another one's place by now.
        open.renew();
        expect(open.lost).to.be.a('boolean');
        open.close();
      } catch (error) {
        expect(error, (error as Error).stack).to.be.instanceOf(TcpshmError);
        expect((error as TcpshmError).code).to.be.oneOf(['ERR_FILE', 'ERR_SEGMENT', 'ERR_ALREADY_CONNECTED']);
      }
    }
    expect(opened).to.be.above(0);
    expect(child.exitCode).to.equal(null);
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });
});
