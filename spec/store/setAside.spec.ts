import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { TcpshmError } from '../../lib/errors.js';
import { native } from '../../lib/memory/native.js';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RECORDS, ringBytes } from '../../lib/ring/layout.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { segmentFileName } from '../../lib/session/names.js';
import { type Identity, Segment, SUPERBLOCK_BYTES } from '../../lib/session/segment.js';
import { readSideState } from '../../lib/session/state.js';
import { readTenure } from '../../lib/session/tenure.js';
import { createSegmentFile, openSegmentFile } from '../../lib/store/files.js';
import type { OpenSegment } from '../../lib/store/openSegment.js';
import { listSessions } from '../../lib/store/sessionFiles.js';
import { Scene } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { type Folders, newFolders } from '../support/folders.js';
import { Random, randomSeed } from '../support/random.js';

const CAPACITY = 4096;
const IDENTITY: Identity = {
  client: 'alice',
  server: 'bob',
  sessionId: '0123456789abcdef',
  bootId: '',
  clientToServer: CAPACITY,
  serverToClient: CAPACITY,
  journal: false,
};
const NAMES = { client: 'alice', server: 'bob' };
const FIRST_RING = SUPERBLOCK_BYTES;
const SECOND_RING = FIRST_RING + ringBytes(CAPACITY);
const FLIPS = 3000;

/** What a file says of the owner of its server side. */
function tenureIn(bytes: Buffer): Float64Array {
  return new Segment(new Uint8Array(bytes).buffer, IDENTITY).tenure.server;
}

/** Damage to the bytes of a session's file, and what is said of it. */
const DAMAGES: [string, RegExp, (bytes: Buffer) => Buffer][] = [
  ['another start', /start with/, (bytes) => poke(bytes, 0, 0x41414141)],
  ['another layout version', /layout version 1, got 2/, (bytes) => poke(bytes, 8, 2)],
  ['a layout version that was lost', /never finished, got data/, (bytes) => poke(bytes, 8, 0)],
  ['a superblock that was lost', /never finished, got data/, (bytes) => bytes.fill(0, 0, SUPERBLOCK_BYTES)],
  ['the other byte order', /byte order/, (bytes) => poke(bytes, 12, 0x04030201)],
  ['a byte-order mark of no machine', /byte-order mark/, (bytes) => poke(bytes, 12, 7)],
  ['another alignment', /alignment 8, got 64/, (bytes) => poke(bytes, 16, 64)],
  ['an impossible capacity', /power of two/, (bytes) => poke(bytes, 20, 12345)],
  ['another capacity', /size of/, (bytes) => poke(bytes, 24, 8192)],
  ['another client', /expected client alice/, (bytes) => poke(bytes, 128, 0x41414141)],
  ['another server', /expected server bob/, (bytes) => poke(bytes, 192, 0x41414141)],
  ['its end cut off', /size of/, (bytes) => bytes.subarray(0, bytes.length - 1)],
  ['its rings cut off', /size of/, (bytes) => bytes.subarray(0, SUPERBLOCK_BYTES)],
  ['one byte left', /size of at least/, (bytes) => bytes.subarray(0, 1)],
  ['nothing left', /at least 1 bytes, has 0/, () => Buffer.alloc(0)],
  ['more bytes than it had', /size of/, (bytes) => Buffer.concat([bytes, Buffer.alloc(4096)])],
  ['garbage in it', /start with/, () => Buffer.from('garbage'.repeat(2000))],
  [
    'an impossible position',
    /client→server: .*consumer's state/,
    (bytes) => poke(bytes, FIRST_RING + 128, 99),
  ],
  ['an impossible record', /client→server: .*record at/, (bytes) => poke(bytes, FIRST_RING + RECORDS, 3)],
  [
    'such a record the other way',
    /server→client: .*record/,
    (bytes) => poke(bytes, SECOND_RING + RECORDS, 3),
  ],
];

describe('a session file that is damaged', () => {
  let folders: Folders;
  let path: string;
  /** A file with two messages in each direction. */
  let good: Buffer;

  beforeEach(() => {
    folders = newFolders();
    path = join(folders.directory, segmentFileName('alice', 'bob'));
    const open = createSegmentFile(path, 'server', IDENTITY);
    for (const ring of [open.segment.clientToServer, open.segment.serverToClient])
      fill(new RingProducer(ring), 2);
    open.close();
    good = readFileSync(path);
  });
  afterEach(() => folders.remove());

  function write(bytes: Buffer): void {
    rmSync(path, { force: true });
    writeFileSync(path, bytes, { mode: 0o600 });
  }

  function open(whenDamaged: 'report' | 'set aside' = 'set aside'): OpenSegment | null {
    return openSegmentFile(path, 'server', NAMES, { whenDamaged });
  }

  for (const [what, message, damage] of DAMAGES) {
    it(`by ${what} is set aside untouched, and the next opening finds none`, () => {
      const bad = damage(Buffer.from(good));
      write(bad);
      const { ino } = statSync(path);
      const error = expectCode(open, 'ERR_SEGMENT', message);
      expect(error.message).to.include(`${path}.aside-1`).and.include(path);
      expect(error.cause).to.be.instanceOf(TcpshmError);
      expect(readdirSync(folders.directory)).to.deep.equal([`${segmentFileName('alice', 'bob')}.aside-1`]);
      expect(readFileSync(`${path}.aside-1`).equals(bad)).to.equal(true);
      expect(statSync(`${path}.aside-1`).ino).to.equal(ino);
      expect(open()).to.equal(null);
      createSegmentFile(path, 'server', IDENTITY).close();
    });

    it(`by ${what} stays where it is if it is the other side's`, () => {
      const bad = damage(Buffer.from(good));
      write(bad);
      expectCode(() => open('report'), 'ERR_SEGMENT', message);
      expect(readdirSync(folders.directory)).to.have.length(1);
      expect(readFileSync(path).equals(bad)).to.equal(true);
    });
  }

  it('by a record that reaches into those before it is set aside', () => {
    // The ring is all in use, and its last record, at the start of the memory, is made longer than the free rest.
    write(Buffer.alloc(0));
    rmSync(path);
    const made = createSegmentFile(path, 'server', IDENTITY);
    const ring = made.segment.clientToServer;
    const producer = new RingProducer(ring);
    fill(producer, 3, 1016);
    const consumer = new RingConsumer(ring);
    consumer.front();
    consumer.pop();
    consumer.reclaim();
    fill(producer, 1, 1008);
    fill(producer, 1, 504);
    made.close();
    write(poke(readFileSync(path), FIRST_RING + RECORDS, 1032));
    expectCode(open, 'ERR_SEGMENT', /records of at most 4088 bytes, got 4104.*aside-1/);
  });

  it('takes the lowest number that is free, and overwrites nothing', () => {
    writeFileSync(`${path}.aside-1`, 'first');
    mkdirSync(`${path}.aside-2`);
    writeFileSync(`${path}.aside-4`, 'fourth');
    const bad = poke(Buffer.from(good), 0, 1);
    for (const n of [3, 5]) {
      write(bad);
      expectCode(open, 'ERR_SEGMENT', new RegExp(`set aside as .*aside-${n}$`));
      expect(readFileSync(`${path}.aside-${n}`).equals(bad)).to.equal(true);
    }
    expect(readFileSync(`${path}.aside-1`, 'utf8')).to.equal('first');
    expect(readFileSync(`${path}.aside-4`, 'utf8')).to.equal('fourth');
  });

  it('stays while the other side has it open, and goes when that has ended', () => {
    const live = openSegmentFile(path, 'client', NAMES) as OpenSegment;
    const bytes = Buffer.from(good);
    writeFileSync(path, poke(bytes, 8, 9), { flag: 'r+' });
    expectCode(open, 'ERR_SEGMENT', /version 1, got 9; it stays there, as it is open elsewhere/);
    expect(readdirSync(folders.directory)).to.have.length(1);
    expect(live.lost).to.equal(false);
    live.close();
    expectCode(open, 'ERR_SEGMENT', /set aside as/);
  });

  it('stays while somebody has the same side open', () => {
    const live = open() as OpenSegment;
    writeFileSync(path, poke(Buffer.from(good), 8, 9), { flag: 'r+' });
    expectCode(open, 'ERR_ALREADY_CONNECTED');
    expect(readdirSync(folders.directory)).to.have.length(1);
    live.close();
  });

  it('stays while somebody has it open, even if nothing is left in it', () => {
    const live = native().mapFile(path, { create: false, sizeBytes: 1 });
    expect(live.lock(0, 1)).to.equal(true);
    truncateSync(path, 0);
    expectCode(open, 'ERR_SEGMENT', /it stays there, as it is open elsewhere/);
    expect(existsSync(path)).to.equal(true);
    live.close();
    expectCode(open, 'ERR_SEGMENT', /set aside as/);
    expect(existsSync(path)).to.equal(false);
  });

  it('stays if others may read it', () => {
    write(poke(Buffer.from(good), 0, 1));
    chmodSync(path, 0o640);
    expectCode(open, 'ERR_FILE', /mode/);
    expect(readdirSync(folders.directory)).to.have.length(1);
  });

  it('stays if it is somebody else’s', function () {
    if (process.geteuid?.() !== 0) this.skip(); // Only root can give a file away.
    write(poke(Buffer.from(good), 0, 1));
    chownSync(path, 12345, 12345);
    expectCode(open, 'ERR_FILE', /belong/);
    expect(readdirSync(folders.directory)).to.have.length(1);
  });

  it('is still made anew, and not set aside, if its creation was never finished', () => {
    write(Buffer.alloc(good.length));
    expect(open()).to.equal(null);
    expect(readdirSync(folders.directory)).to.deep.equal([]);
  });

  it('is listed with its session and path, also from the folder above', () => {
    write(poke(Buffer.from(good), 0, 1));
    expectCode(open, 'ERR_SEGMENT');
    const journal = join(folders.directory, 'a.b@c.segment.client.journal.aside-12');
    writeFileSync(journal, '');
    for (const other of ['x@y.segments', 'x@y.segment.aside-', 'x@y.segment.aside-0', 'notes.aside-1']) {
      writeFileSync(join(folders.directory, other), '');
    }
    mkdirSync(join(folders.directory, 'x@y.segment.aside-1'));
    const expected = [
      { client: 'a.b', server: 'c.segment', kind: 'client.journal', setAside: true, path: journal },
      { client: 'alice', server: 'bob', kind: 'segment', setAside: true, path: `${path}.aside-1` },
    ];
    expect(listSessions(folders.directory)).to.deep.equal(expected);
    const above = join(folders.directory, 'above');
    mkdirSync(join(above, 'below'), { recursive: true });
    const below = join(above, 'below', 'x@y.server.journal.aside-1');
    writeFileSync(below, '');
    expect(listSessions(above)).to.deep.equal([
      { client: 'x', server: 'y', kind: 'server.journal', setAside: true, path: below },
    ]);
    expect(listSessions(join(folders.directory, 'none'))).to.deep.equal([]);
    expectCode(() => listSessions(journal), 'ERR_FILE', /ENOTDIR/);
  });

  it(`by any flipped bit either opens to a valid state or is set aside (${FLIPS} flips)`, function () {
    this.timeout(60_000);
    // To replay a failure, put the seed of its message here.
    const seed = randomSeed();
    const random = new Random(seed);
    const places = bitPlaces(good);
    const seen = { opened: 0, aside: 0, waiting: 0 };
    for (let n = 0; n < FLIPS; n++) {
      const bytes = Buffer.from(good);
      const at = random.pick(places);
      const bit = random.below(8);
      bytes[at] = (bytes[at] as number) ^ (1 << bit);
      write(bytes);
      const label = `seed ${seed}, flip ${n}: bit ${bit} of byte ${at}`;
      try {
        const file = open();
        expect(file, label).to.not.equal(null);
        expectValid(file as OpenSegment);
        (file as OpenSegment).close();
        seen.opened++;
      } catch (error) {
        if ((error as TcpshmError).code === 'ERR_ALREADY_CONNECTED') {
          // A flip may turn its last owner into one who is waited for: until he has been silent for his timeout.
          expect(readTenure(tenureIn(bytes)), label).to.include({ toCome: true, processId: process.pid });
          rmSync(path);
          seen.waiting++;
          continue;
        }
        expect(error, `${label}: ${String(error)}`).to.have.property('code', 'ERR_SEGMENT');
        const aside = `${path}.aside-1`;
        expect((error as Error).message, label).to.include(`set aside as ${aside}`);
        expect(readFileSync(aside).equals(bytes), label).to.equal(true);
        expect(existsSync(path), label).to.equal(false);
        rmSync(aside);
        seen.aside++;
      }
    }
    // The fault has happened: some of the flips were found, some were in bytes that mean nothing.
    expect(seen.opened, `seed ${seed}`).to.be.above(0);
    expect(seen.aside, `seed ${seed}`).to.be.above(0);
  });
});

describe('a damaged segment between a client and a server', () => {
  it('is refused once, set aside, and the next login begins anew', async () => {
    const scene = new Scene();
    try {
      const { local, client, server } = await scene.pair('shm', { onMessage: () => {} });
      local.send('before the damage');
      await client.close();
      await server.close();
      const [file] = scene.files() as [string];
      const bad = poke(readFileSync(file), FIRST_RING + RECORDS, 3);
      writeFileSync(file, bad);
      const again = scene.server();
      const other = scene.client();
      const address = await scene.address(again, 'shm');
      await scene.refused(other.connect(address), 'ERR_SEGMENT', /set aside as .*\.segment\.aside-1/);
      expect(readFileSync(`${file}.aside-1`).equals(bad)).to.equal(true);
      const connection = await scene.connect(other, address);
      expect([connection.transport, connection.pushed, connection.popped]).to.deep.equal(['shm', 0, 0]);
      connection.send('after it');
      await scene.until(() => again.connections[0]?.front() != null, 'the message');
      expect(again.connections[0]?.front()?.text()).to.equal('after it');
      expect(listSessions(scene.folders.sharedDirectory)).to.deep.equal([
        { client: scene.clientName, server: scene.serverName, kind: 'segment', setAside: false, path: file },
        {
          client: scene.clientName,
          server: scene.serverName,
          kind: 'segment',
          setAside: true,
          path: `${file}.aside-1`,
        },
      ]);
      expect(listSessions(dirname(file))).to.have.length(2);
    } finally {
      await scene.end();
    }
  });
});

function fill(producer: RingProducer, count: number, sizeBytes = 24): void {
  for (let n = 0; n < count; n++) {
    const message = producer.claim(sizeBytes);
    if (message === null) throw new Error('the ring is full');
    message.type = 1;
    producer.push();
  }
}

/** What both sides find in the file can be opened, and read to its end without an error. */
function expectValid({ segment }: OpenSegment): void {
  readSideState(segment, 'server');
  for (const ring of [segment.clientToServer, segment.serverToClient]) {
    const producer = new RingProducer(ring);
    const consumer = new RingConsumer(ring);
    while (consumer.front() !== null) consumer.pop();
    expect(consumer.popped).to.equal(producer.pushed);
    expect(consumer.position).to.equal(producer.published);
  }
}

/** Places that mean something: the superblock, the control lines, and the headers of records. */
function bitPlaces(bytes: Buffer): number[] {
  const places: number[] = [];
  const add = (start: number, length: number): void => {
    for (let at = start; at < start + length; at++) places.push(at);
  };
  add(0, SUPERBLOCK_BYTES);
  for (const ring of [FIRST_RING, SECOND_RING]) {
    add(ring, RECORDS);
    let at = ring + RECORDS;
    // Headers weigh as much as lines; with the one behind the last record, which reads zero.
    for (let size = 1; size !== 0; at += size) {
      size = bytes.readUInt32LE(at);
      for (let weight = 0; weight < 8; weight++) add(at, 8);
    }
  }
  return places;
}

function poke(bytes: Buffer, at: number, word: number): Buffer {
  bytes.writeUInt32LE(word, at);
  return bytes;
}
