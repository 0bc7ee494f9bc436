import { expect } from 'chai';
import {
  checkIdentity,
  formatSegment,
  type Identity,
  PAGE_BYTES,
  readIdentity,
  Segment,
  SUPERBLOCK_BYTES,
  segmentBytes,
} from '../../lib/session/segment.js';
import { expectCode } from '../support/failure.js';

const IDENTITY: Identity = {
  client: 'c'.repeat(63),
  server: 'the.server',
  sessionId: '0123456789abcdef',
  bootId: '01234567-89ab-cdef-0123-456789abcdef',
  clientToServer: 4096,
  serverToClient: 8192,
  journal: false,
};
/** Offsets of the superblock, as its layout says; a change of the layout must change its version. */
const OFFSET = { magic: 0, version: 8, byteOrder: 12, alignment: 16, toServer: 20, toClient: 24, kind: 80 };

function formatted(change: (view: DataView, bytes: Uint8Array) => void = () => {}): ArrayBuffer {
  const buffer = new ArrayBuffer(segmentBytes(IDENTITY));
  formatSegment(buffer, IDENTITY);
  change(new DataView(buffer), new Uint8Array(buffer));
  return buffer;
}

describe('a segment', () => {
  it('says whose it is', () => {
    expect(readIdentity(formatted(), 'it')).to.deep.equal(IDENTITY);
    expect(readIdentity(new Uint8Array(formatted()).slice().buffer, 'it')).to.deep.equal(IDENTITY);
  });

  it('is the same in shared memory', () => {
    const buffer = new SharedArrayBuffer(segmentBytes(IDENTITY));
    formatSegment(buffer, { ...IDENTITY, bootId: '' });
    expect(readIdentity(buffer, 'it')).to.deep.equal({ ...IDENTITY, bootId: '' });
  });

  it('has two rings and two presence words that do not overlap', () => {
    const buffer = formatted();
    const segment = new Segment(buffer, IDENTITY);
    segment.clientToServer.bytes.fill(1);
    segment.serverToClient.bytes.fill(2);
    segment.presence.client[0] = 3;
    segment.presence.server[0] = 4;
    expect(readIdentity(buffer, 'it')).to.deep.equal(IDENTITY);
    expect(segment.clientToServer.bytes.every((byte) => byte === 1)).to.equal(true);
    expect(segment.serverToClient.bytes.every((byte) => byte === 2)).to.equal(true);
    expect([segment.presence.client[0], segment.presence.server[0]]).to.deep.equal([3, 4]);
    expect(segment.presence.client.byteOffset + 128).to.be.at.most(segment.presence.server.byteOffset);
    expect(segment.outgoing('client')).to.equal(segment.incoming('server'));
    expect(segment.outgoing('server')).to.equal(segment.incoming('client'));
    expect(segment.outgoing('client')).to.equal(segment.clientToServer);
  });

  it('has, as a journal, two pages of checkpoints behind its rings', () => {
    const journal = { ...IDENTITY, journal: true };
    const buffer = new ArrayBuffer(segmentBytes(journal));
    formatSegment(buffer, journal);
    expect(readIdentity(buffer, 'it')).to.deep.equal(journal);
    const segment = new Segment(buffer, journal);
    const [first, second] = segment.checkpoints as readonly [Int32Array, Int32Array];
    expect([first.byteOffset % PAGE_BYTES, first.byteLength]).to.deep.equal([0, PAGE_BYTES]);
    expect(second.byteOffset).to.equal(first.byteOffset + PAGE_BYTES);
    expect(second.byteOffset + second.byteLength).to.equal(buffer.byteLength);
    const { byteOffset, byteLength } = segment.serverToClient.bytes;
    expect(first.byteOffset).to.be.at.least(byteOffset + byteLength);
    expect(new Segment(formatted(), IDENTITY).checkpoints).to.equal(null);
  });

  it('tells the boot and the file that it was last opened in', () => {
    const buffer = formatted();
    const segment = new Segment(buffer, IDENTITY);
    segment.witness('boot', 2 ** 40 + 1);
    expect(readIdentity(buffer, 'it')).to.deep.equal({ ...IDENTITY, bootId: 'boot' });
    expect(segment.inode[0]).to.equal(2 ** 40 + 1);
  });

  describe('whose creation was never finished', () => {
    it('is none: all zeroes', () => {
      expect(readIdentity(new ArrayBuffer(SUPERBLOCK_BYTES), 'it')).to.equal(null);
      expect(readIdentity(new ArrayBuffer(segmentBytes(IDENTITY)), 'it')).to.equal(null);
    });

    it('is none: everything but the version', () => {
      expect(
        readIdentity(
          formatted((view) => view.setUint32(OFFSET.version, 0, true)),
          'it',
        ),
      ).to.equal(null);
    });

    it('is another file when it starts with something else', () => {
      const buffer = new ArrayBuffer(segmentBytes(IDENTITY));
      new Uint8Array(buffer).set(Buffer.from('SQLite format 3\0').subarray(0, 8));
      expectCode(
        () => readIdentity(buffer, 'it'),
        'ERR_SEGMENT',
        /start with "TCPSHM\\r\\n", got "SQLite f"/,
      );
    });
  });

  const WRONG: readonly (readonly [string, RegExp, (view: DataView, bytes: Uint8Array) => void])[] = [
    ['magic', /expected it to start with "TCPSHM\\r\\n", got "XCPSHM/, (view) => view.setUint8(0, 0x58)],
    ['line ends', /got "TCPSHM\\n\\n"/, (view) => view.setUint8(6, 0x0a)],
    ['version, newer', /expected layout version 1, got 2/, (view) => view.setUint32(OFFSET.version, 2, true)],
    [
      'version, none',
      /expected layout version 1, got 4294967295/,
      (view) => view.setUint32(OFFSET.version, 2 ** 32 - 1, true),
    ],
    [
      'byte order, of another machine',
      /byte order of this machine, got the other one/,
      (view) => {
        view.setUint32(OFFSET.byteOrder, 0x01020304, false);
        view.setUint32(OFFSET.version, 1, false);
      },
    ],
    [
      'byte order',
      /expected byte-order mark 16909060, got 5/,
      (view) => view.setUint32(OFFSET.byteOrder, 5, true),
    ],
    [
      'alignment',
      /expected record alignment 8, got 64/,
      (view) => view.setUint32(OFFSET.alignment, 64, true),
    ],
    [
      'capacity to the server',
      /client→server of it must be a power of two.*got 4095/,
      (view) => view.setUint32(OFFSET.toServer, 4095, true),
    ],
    [
      'capacity to the client',
      /server→client of it must be a power of two.*got 0/,
      (view) => view.setUint32(OFFSET.toClient, 0, true),
    ],
    [
      'capacity beyond the limit',
      /must be a power of two.*got 2147483648/,
      (view) => view.setUint32(OFFSET.toClient, 2 ** 31, true),
    ],
    [
      'size for its capacities',
      /expected a size of \d+, got \d+ bytes/,
      (view) => view.setUint32(OFFSET.toClient, 65536, true),
    ],
  ];
  for (const [field, message, change] of WRONG) {
    it(`with a wrong ${field} is refused, with what was expected and what came`, () => {
      expectCode(() => readIdentity(formatted(change), 'it'), 'ERR_SEGMENT', message);
    });
  }

  it('that is cut short or too long is refused', () => {
    const whole = new Uint8Array(formatted());
    for (const length of [0, 1, SUPERBLOCK_BYTES - 1]) {
      expectCode(() => readIdentity(whole.slice(0, length).buffer, 'it'), 'ERR_SEGMENT', /at least 512, got/);
    }
    for (const length of [SUPERBLOCK_BYTES, whole.length - 8, whole.length + 8]) {
      const buffer = new ArrayBuffer(length);
      new Uint8Array(buffer).set(whole.subarray(0, length));
      expectCode(
        () => readIdentity(buffer, 'it'),
        'ERR_SEGMENT',
        new RegExp(`a size of ${whole.length}, got ${length} `),
      );
    }
  });

  it('with names, a session id or capacities changed at any byte is refused, or is another segment', () => {
    for (let at = 0; at < 256; at++) {
      const buffer = formatted((_, bytes) => {
        bytes[at] = (bytes[at] as number) ^ 0x10;
      });
      let identity: Identity | null;
      try {
        identity = readIdentity(buffer, 'it');
      } catch (error) {
        expect(error).to.have.property('code', 'ERR_SEGMENT');
        continue;
      }
      expect(identity, `byte ${at}`).to.not.equal(null);
      // Bytes between the kind and the names are no part of the identity.
      if (at >= 84 && at < 128) expect(identity).to.deep.equal(IDENTITY);
      else
        expect(() => checkIdentity(identity as Identity, IDENTITY, 'it'), `byte ${at}`).to.throw(
          /is not the segment/,
        );
    }
  });

  it('of a kind that is not known is refused', () => {
    const buffer = formatted((view) => view.setUint32(OFFSET.kind, 2, true));
    expectCode(() => readIdentity(buffer, 'it'), 'ERR_SEGMENT', /expected kind 0 or 1, got 2/);
  });

  it('is compared in what is asked for', () => {
    checkIdentity(IDENTITY, {}, 'it');
    checkIdentity(IDENTITY, { client: IDENTITY.client, serverToClient: 8192 }, 'it');
    for (const [key, other] of Object.entries({
      client: 'x',
      server: 'y',
      sessionId: 'f'.repeat(16),
      bootId: '',
      clientToServer: 8192,
    })) {
      const error = expectCode(() => checkIdentity(IDENTITY, { [key]: other }, 'it'), 'ERR_SEGMENT');
      expect(error.message).to.include(`expected ${key} ${other}, got ${IDENTITY[key as keyof Identity]}`);
    }
  });
});
