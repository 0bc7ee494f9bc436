import { once } from 'node:events';
import { truncateSync } from 'node:fs';
import { expect } from 'chai';
import type { Connection, TcpshmError } from '../../lib/index.js';
import { native } from '../../lib/memory/native.js';
import { SUPERBLOCK_BYTES } from '../../lib/session/segment.js';
import { Scene } from '../peers/support.js';
import { expectCode, thrownBy } from '../support/failure.js';

/** So much of a file is left: nothing, or the superblock and the start of the first ring, up to a page. */
const LEFT_BYTES = [0, 4096] as const;

/** What a call of the user throws when it meets what is gone: that, or that a poll has closed the connection for it. */
function exchange(connection: Connection): unknown {
  try {
    for (let i = 0; i < 200; i++) {
      if (!connection.send(`message ${i}`)) return null;
    }
    return null;
  } catch (error) {
    return error;
  }
}

describe('a file that is shortened while it is mapped', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => scene.end());

  for (const left of LEFT_BYTES) {
    for (const way of ['shm', 'tcp native'] as const) {
      it(`ends its connection with an error, and nothing else, over ${way}, with ${left} bytes left`, async () => {
        const other = await scene.pair('inproc', {}, { name: 'other' });
        const pair = await scene.pair(way, { name: 'cut' }, {});
        for (const file of scene.files()) truncateSync(file, left);
        const thrown = [exchange(pair.local), exchange(pair.remote)] as (TcpshmError | null)[];
        for (const error of thrown) {
          if (error !== null) expect(error.code, error.message).to.be.oneOf(['ERR_SEGMENT', 'ERR_CLOSED']);
        }
        await scene.until(
          () => pair.local.state === 'closed' && pair.remote.state === 'closed',
          'both sides to give it up',
        );
        const told = [...pair.serverEnded, ...pair.clientEnded];
        for (const { reason, error } of told) {
          // The one who gives it up first hangs up on the other.
          if (reason === 'peer ended') continue;
          expect([reason, error?.code]).to.deep.equal(['memory lost', 'ERR_SEGMENT']);
          expect(error?.message).to.include('was shortened by another program');
        }
        expect(thrown.filter((error) => error?.code === 'ERR_SEGMENT').length + told.length).to.be.at.least(
          2,
        );
        expectCode(() => pair.local.send('more'), 'ERR_CLOSED');
        expect(other.local.send('still here')).to.equal(true);
        await scene.until(
          () => other.log.includes('server: still here'),
          'the message of the other connection',
        );
      });
    }
  }

  it('is noticed with the next sign of life where nobody touches what is gone', async () => {
    const { local, remote, serverEnded, clientEnded } = await scene.pair(
      'shm',
      { heartbeatIntervalMs: 20, sendCapacityBytes: 65536, receiveCapacityBytes: 65536 },
      { heartbeatIntervalMs: 20 },
    );
    const [file = ''] = scene.files().filter((path) => path.endsWith('.segment'));
    // The rings begin within what is left, and are empty.
    truncateSync(file, 65536 + SUPERBLOCK_BYTES + 4096);
    await scene.until(() => local.state === 'closed' && remote.state === 'closed', 'both sides to notice');
    const reasons = [...serverEnded, ...clientEnded].map(({ reason }) => reason);
    expect(reasons).to.include('memory lost');
  });

  it('reads as zeroes where it is gone, and tells it in a word of the mapping', () => {
    const path = `${scene.folders.sharedDirectory}/file`;
    const file = native().mapFile(path, { create: true, sizeBytes: 5 * 4096 });
    const other = native().mapFile(path, { create: false, sizeBytes: 1 });
    const bytes = new Uint8Array(file.buffer).fill(7);
    const words = new Int32Array(file.buffer);
    file.tellLoss(8);
    other.tellLoss(8);
    expect(file.lost).to.equal(false);
    truncateSync(path, 4096);
    expect([file.lost, words[2]]).to.deep.equal([true, 0x07070707]);
    expect([bytes[3 * 4096], bytes[4 * 4096 + 5]]).to.deep.equal([0, 0]);
    expect(words[2]).to.equal(1);
    bytes[4 * 4096] = 9;
    expect(bytes[4 * 4096]).to.equal(9);
    // The page with the word is this mapping's alone by now; the other one has touched nothing that is gone.
    expect(new Int32Array(other.buffer)[2]).to.equal(0x07070707);
    expect(other.lost).to.equal(true);
    truncateSync(path, 0);
    expect(new Int32Array(other.buffer)[2]).to.equal(1);
    file.close();
    other.close();
    expect(file.lost).to.equal(false);
    expect(thrownBy(() => file.tellLoss(2))).to.be.instanceOf(RangeError);
    expect(thrownBy(() => other.tellLoss(5 * 4096))).to.be.instanceOf(RangeError);
  });

  it('takes as many mappings as there are, and forgets those that were closed', () => {
    const path = `${scene.folders.sharedDirectory}/file`;
    native().mapFile(path, { create: true, sizeBytes: 8192 }).close();
    for (let round = 0; round < 3; round++) {
      const files = Array.from({ length: 300 }, () =>
        native().mapFile(path, { create: false, sizeBytes: 8192 }),
      );
      truncateSync(path, 4096);
      for (const file of files) expect(new Uint8Array(file.buffer)[5000]).to.equal(0);
      for (const file of files) file.close();
      truncateSync(path, 8192);
      const fresh = native().mapFile(path, { create: false, sizeBytes: 8192 });
      expect([fresh.lost, new Uint8Array(fresh.buffer)[5000]]).to.deep.equal([false, 0]);
      fresh.close();
    }
  });

  it('is survived by each thread for itself', async () => {
    const path = `${scene.folders.sharedDirectory}/file`;
    const file = native().mapFile(path, { create: true, sizeBytes: 1 << 20 });
    const module = new URL('../../lib/memory/native.js', import.meta.url).href;
    const threads = [1, 2].map(() =>
      scene.worker(`
        const { native } = await import(${JSON.stringify(module)});
        const file = native().mapFile(${JSON.stringify(path)}, { create: false, sizeBytes: 1 });
        const bytes = new Uint8Array(file.buffer);
        say('open');
        while (!file.lost) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
        // The size goes first, and what is mapped a moment later.
        let sum;
        do {
          sum = 0;
          for (let i = 0; i < bytes.length; i += 512) sum += bytes[i];
        } while (sum !== 0);
        say(sum);
        file.close();`),
    );
    await scene.until(() => threads.every(({ words }) => words.length === 1), 'both threads to map it');
    new Uint8Array(file.buffer).fill(1);
    truncateSync(path, 0);
    await scene.until(() => threads.every(({ words }) => words.length === 2), 'both threads to read it');
    for (const { words } of threads) expect(words[1]).to.equal(0);
    file.close();
  });

  it('leaves any other SIGBUS as deadly as it was', async () => {
    const path = `${scene.folders.sharedDirectory}/file`;
    const module = new URL('../../lib/memory/native.js', import.meta.url).href;
    const { child, words } = scene.child(`
      const { native } = await import(${JSON.stringify(module)});
      const file = native().mapFile(${JSON.stringify(path)}, { create: true, sizeBytes: 4096 });
      setInterval(() => {}, 1000);
      say('ready');`);
    await scene.until(() => words.length === 1, 'the other process');
    child.kill('SIGBUS');
    const [, signal] = await once(child, 'exit');
    expect(signal).to.equal('SIGBUS');
  });
});
