import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { diskOf, mountOf } from '../../bench/durability/fileSystem.js';
import { measureFlush } from '../../bench/durability/flush.js';
import { measureThroughput } from '../../bench/durability/throughput.js';
import { PAYLOAD_BYTES, Tally } from '../../bench/tally.js';
import { RingChannel } from '../../lib/index.js';

const MOUNTS = [
  '/dev/vda1 / ext4 rw,relatime 0 0',
  'tmpfs /tmp tmpfs rw 0 0',
  '/dev/vdb /srv/a\\040b xfs rw 0 0',
  '/dev/vdc /srv/a\\040b btrfs rw 0 0',
  '',
].join('\n');

describe('file system of a benchmark of durability', () => {
  it('is the innermost mount that a folder is in, and of those in one place the last', () => {
    expect(mountOf('/home', MOUNTS)).to.deep.equal({ type: 'ext4', device: '/dev/vda1' });
    expect(mountOf('/tmp', MOUNTS).type).to.equal('tmpfs');
    expect(mountOf('/tmp/deep/below', MOUNTS).type).to.equal('tmpfs');
    expect(mountOf('/tmpfoo', MOUNTS).type).to.equal('ext4');
    expect(mountOf('/srv/a b/c', MOUNTS)).to.deep.equal({ type: 'btrfs', device: '/dev/vdc' });
  });

  it('is refused where it is in memory', () => {
    expect(() => diskOf('/dev/shm')).to.throw(/\/dev\/shm is in memory \(tmpfs\)/);
  });
});

describe('messages of a benchmark of durability', () => {
  const exchange = (spoil: (view: DataView, at: number) => void): void => {
    const channel = new RingChannel();
    const far = RingChannel.open(channel.remote);
    const [written, read] = [new Tally(), new Tally()];
    try {
      for (let i = 0; i < 10; i++) {
        const message = channel.local.alloc(PAYLOAD_BYTES);
        if (message === null) throw new Error('no room');
        written.write(message);
        if (i === 7) spoil(message.view, message.offset);
        channel.local.push();
      }
      for (let message = far.front(); message !== null; message = far.front()) {
        read.read(message);
        far.pop();
      }
      read.answer(far, 4711);
      const answer = channel.local.front();
      if (answer === null) throw new Error('no answer');
      expect(written.check(answer)).to.equal(4711);
      const another = new Tally();
      expect(() => another.check(answer)).to.throw(/expected 0 messages .* has 10/);
    } finally {
      far.close();
      channel.local.close();
    }
  };

  it('come to the same count and checksum on both sides', () => {
    exchange(() => {});
  });

  it('are refused when one carries what another one should', () => {
    expect(() => exchange((view, at) => view.setInt32(at, 8, true))).to.throw(/message 7 came back wrong/);
    expect(() => exchange((view, at) => view.setInt32(at + PAYLOAD_BYTES - 4, 0, true))).to.throw(
      /message 7 came back wrong/,
    );
  });
});

describe('measurement of durability', () => {
  let directory = '';
  before(function () {
    directory = mkdtempSync(join(tmpdir(), 'tcpshm-spec-bench-'));
    try {
      diskOf(directory);
    } catch {
      this.skip();
    }
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('moves every message of its bursts at either level, and leaves nothing behind', async () => {
    for (const level of ['process', 'disk'] as const) {
      const taken = await measureThroughput(level, directory, { burst: 2000, bursts: 3 });
      expect(taken.samples, level).to.have.length(3);
      if (level === 'disk') {
        const least = 3 * 2000 * PAYLOAD_BYTES;
        expect(taken.written).to.be.at.least(least);
        expect(taken.serverWritten).to.be.at.least(least);
      }
    }
    expect(readdirSync(directory)).to.be.empty;
  });

  it('takes as many flushes as it takes syncs by hand, driven or not, and leaves nothing behind', async () => {
    for (const driven of [false, true]) {
      const slices = await measureFlush(directory, { perSlice: 5, slices: 2, warmUp: 1 }, driven);
      expect(slices).to.have.length(2);
      for (const { blocking, awaited, flush } of slices) {
        for (const times of [blocking, awaited, flush]) expect(times).to.have.length(5);
      }
    }
    expect(readdirSync(directory)).to.be.empty;
  });
});
