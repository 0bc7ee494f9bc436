import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type MappedFile, native } from '../../lib/memory/native.js';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { journalFileName, type Role } from '../../lib/session/names.js';
import type { Identity, Segment } from '../../lib/session/segment.js';
import { readTenure } from '../../lib/session/tenure.js';
import { createSegmentFile, openSegmentFile } from '../../lib/store/files.js';
import type { OpenSegment } from '../../lib/store/openSegment.js';
import { LOCK_BYTE } from '../../lib/store/sessionFile.js';
import { takeOver } from '../../lib/store/takeOver.js';
import { Scene } from '../peers/support.js';
import { expectCode } from '../support/failure.js';
import { silence } from '../support/silence.js';

const IDENTITY: Identity = {
  client: 'alice',
  server: 'bob',
  sessionId: '0123456789abcdef',
  bootId: native().bootId(),
  clientToServer: 4096,
  serverToClient: 8192,
  journal: false,
};
const NAMES = { client: 'alice', server: 'bob' };
const TIMEOUT_MS = 60_000;

describe('taking over a side of a session file', () => {
  let scene: Scene;
  let folder: string;
  let path: string;
  const opened: OpenSegment[] = [];
  const mapped: MappedFile[] = [];

  beforeEach(() => {
    scene = new Scene();
    folder = scene.folders.directory;
    path = join(folder, journalFileName('alice', 'bob', 'client'));
  });
  afterEach(async () => {
    for (const open of opened.splice(0)) open.close();
    for (const file of mapped.splice(0)) file.close();
    await scene.end();
  });

  function begin(role: Role, journal = false): OpenSegment {
    const open = createSegmentFile(path, role, { ...IDENTITY, journal }, { timeoutMs: TIMEOUT_MS });
    opened.push(open);
    return open;
  }

  function open(role: Role): OpenSegment {
    const found = openSegmentFile(path, role, NAMES, { timeoutMs: TIMEOUT_MS }) as OpenSegment;
    opened.push(found);
    return found;
  }

  function map(): MappedFile {
    const file = native().mapFile(path, { create: false, sizeBytes: 1 });
    mapped.push(file);
    return file;
  }

  function push(open: OpenSegment, ...texts: string[]): void {
    const producer = new RingProducer(open.segment.outgoing(open.role));
    for (const text of texts) {
      producer.claim(Buffer.byteLength(text))?.setText(text);
      producer.push();
    }
  }

  function pop(open: OpenSegment): string[] {
    const consumer = new RingConsumer(open.segment.incoming(open.role));
    const texts: string[] = [];
    for (let message = consumer.front(); message !== null; message = consumer.front()) {
      texts.push(message.text());
      consumer.pop();
    }
    return texts;
  }

  for (const journal of [false, true]) {
    describe(journal ? 'of one side alone' : 'that both sides share', () => {
      it('is refused at once while its owner gives signs of life, saying who and how long ago', () => {
        const owner = begin('client', journal);
        push(owner, 'one');
        silence(owner, TIMEOUT_MS - 20_000);
        const bytes = readFileSync(path);
        expectCode(
          () => open('client'),
          'ERR_ALREADY_CONNECTED',
          new RegExp(`process ${process.pid}.* 4[0-9]{4} ms ago.*after ${TIMEOUT_MS}`),
        );
        expect(readFileSync(path).equals(bytes)).to.equal(true);
        silence(owner, TIMEOUT_MS + 1);
        owner.renew();
        expectCode(() => open('client'), 'ERR_ALREADY_CONNECTED');
        expect(owner.segment.notices[0]).to.equal(0);
        expect(readdirSync(folder)).to.have.length(1);
      });

      it('gives a fresh file with all that was in the old one, whose owner is shut out', () => {
        const owner = begin('client', journal);
        const inode = statSync(path).ino;
        owner.segment.inode[0] = inode;
        push(owner, 'one', 'two');
        const epoch = owner.segment.epoch.client[0] as number;
        silence(owner, TIMEOUT_MS);
        const successor = open('client');
        expect(statSync(path).ino).to.not.equal(inode);
        expect(readdirSync(folder)).to.have.length(1);
        expect(owner.segment.notices[0]).to.equal(1);
        expect(successor.segment.notices[0]).to.equal(0);
        expect(successor.segment.identity).to.deep.equal(owner.segment.identity);
        expect(successor.segment.epoch.client[0]).to.be.above(epoch);
        expect(successor.segment.inode[0]).to.equal(statSync(path).ino);
        expect(successor.lost).to.equal(false);
        expect(owner.follow()).to.deep.equal({ kind: 'taken', by: process.pid });

        const bytes = readFileSync(path);
        push(owner, 'three');
        owner.renew();
        expect(readFileSync(path).equals(bytes), 'bytes of the fresh file').to.equal(true);
        owner.remove();
        expect(existsSync(path)).to.equal(true);
        push(successor, '3');
        successor.close();
        expect(new RingProducer(open('client').segment.clientToServer).pushed).to.equal(3);
      });
    });
  }

  it('leaves a dead owner’s place free at once', () => {
    begin('client').close();
    const before = statSync(path).ino;
    const next = open('client');
    expect(statSync(path).ino).to.equal(before);
    expect(next.segment.epoch.client[0]).to.equal(2);
  });

  it('takes the other side along, which repeats there what it did meanwhile', () => {
    const client = begin('client');
    const server = open('server');
    push(client, 'to server');
    push(server, 'to client');
    silence(client, TIMEOUT_MS);
    const successor = open('client');
    const found = server.follow();
    expect(found.kind).to.equal('moved');
    if (found.kind !== 'moved') return;
    opened.push(found.open);
    expect(found.open.segment.epoch.server[0]).to.equal(server.segment.epoch.server[0]);
    expect(readTenure(found.open.segment.tenure.server)?.toCome).to.equal(false);
    push(successor, 'more');
    expect(pop(found.open)).to.deep.equal(['to server', 'more']);
    expect(pop(successor)).to.deep.equal(['to client']);
    expectCode(() => open('server'), 'ERR_ALREADY_CONNECTED', /sign of life/);
  });

  it('keeps the place of the other side for it, until it has followed', () => {
    const client = begin('client');
    const server = open('server');
    silence(client, TIMEOUT_MS);
    open('client');
    expectCode(() => open('server'), 'ERR_ALREADY_CONNECTED', /follows the session/);
    expect(server.follow().kind).to.equal('moved');
  });

  it('does not keep the place of one that is dead by then', () => {
    const client = begin('client');
    const server = open('server');
    silence(client, TIMEOUT_MS);
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    server.segment.tenure.server[0] = pid;
    open('client');
    const next = open('server');
    expect(next.segment.epoch.server[0]).to.be.above(server.segment.epoch.server[0] as number);
    expect(server.follow()).to.deep.equal({ kind: 'taken', by: process.pid });
  });

  it('does not keep the place of one that is silent for long', () => {
    const client = begin('client');
    const server = open('server');
    silence(client, TIMEOUT_MS);
    silence(server, TIMEOUT_MS);
    open('client');
    open('server');
    expect(server.follow().kind).to.equal('taken');
  });

  it('of one that was removed since is the end of it', () => {
    const client = begin('client');
    const server = open('server');
    silence(client, TIMEOUT_MS);
    open('client').remove();
    expect(server.follow()).to.deep.equal({ kind: 'taken', by: null });
    const next = createSegmentFile(path, 'server', { ...IDENTITY, sessionId: 'fedcba9876543210' });
    opened.push(next);
    expect(server.follow()).to.deep.equal({ kind: 'taken', by: null });
  });

  it('takes along what is done while it copies', () => {
    const owner = begin('client');
    const { segment } = owner;
    silence(owner, TIMEOUT_MS);
    const file = map();
    let looks = 0;
    // Somebody is at work in it between the first look and the second.
    const busy = Object.create(segment, {
      clientToServer: {
        get: () => {
          if (++looks === 2) push(owner, 'meanwhile');
          return segment.clientToServer;
        },
      },
    }) as Segment;
    takeOver({ file, segment: busy, role: 'client' }, TIMEOUT_MS);
    expect(looks).to.equal(4);
    expect(pop(open('server'))).to.deep.equal(['meanwhile']);
  });

  describe('by one who dies in the middle of it', () => {
    it('has taken nothing: the owner goes on', () => {
      const owner = begin('client');
      owner.segment.notices[0] = 1;
      expect(owner.follow()).to.deep.equal({ kind: 'here' });
      expect(owner.segment.notices[0]).to.equal(0);
      expect(owner.lost).to.equal(false);
    });

    it('leaves the file to the next one who opens it, and a copy that is in nobody’s way', () => {
      const owner = begin('client');
      push(owner, 'one');
      owner.segment.notices[0] = 1;
      owner.close();
      writeFileSync(`${path}.moving`, 'a part of it', { mode: 0o600 });
      const next = open('client');
      expect(next.segment.notices[0]).to.equal(0);
      silence(next, TIMEOUT_MS);
      const successor = open('client');
      successor.close();
      expect(pop(open('server'))).to.deep.equal(['one']);
      expect(readdirSync(folder)).to.deep.equal([journalFileName('alice', 'bob', 'client')]);
    });
  });

  describe('while another one moves it', () => {
    it('is refused, and the owner has to wait', () => {
      const owner = begin('client');
      const mover = map();
      expect(mover.lock(LOCK_BYTE.moving, 1)).to.equal(true);
      silence(owner, TIMEOUT_MS);
      expectCode(() => open('client'), 'ERR_ALREADY_CONNECTED', /being taken over/);
      owner.segment.notices[0] = 1;
      expectCode(() => open('server'), 'ERR_ALREADY_CONNECTED', /moving to a fresh file/);
      expect(owner.follow()).to.deep.equal({ kind: 'moving' });
      owner.remove();
      expect(existsSync(path)).to.equal(true);
      mover.close();
      expect(open('client').segment.notices[0]).to.equal(0);
    });
  });

  it('is given up when the owner gives a sign of life at the last moment', async () => {
    const owner = begin('client');
    push(owner, 'one');
    const inode = statSync(path).ino;
    const { words } = scene.worker(
      `const { native } = await import(${JSON.stringify(new URL('../../lib/memory/native.js', import.meta.url).href)});
       const file = native().mapFile(workerData.path, { create: false, sizeBytes: 1 });
       const moved = new Int32Array(file.buffer, workerData.moved, 1);
       const tenure = new Float64Array(file.buffer, workerData.tenure, 3);
       say('looking');
       while (moved[0] === 0);
       tenure[2] = native().monotonicMs();
       say('alive');`,
      {
        path,
        moved: owner.segment.notices.byteOffset,
        tenure: owner.segment.tenure.client.byteOffset,
      },
    );
    await scene.until(() => words.length > 0, 'the other thread');
    silence(owner, TIMEOUT_MS);
    expectCode(() => open('client'), 'ERR_ALREADY_CONNECTED', /sign of life/);
    await scene.until(() => words.length > 1, 'the sign of life');
    expect(owner.segment.notices[0]).to.equal(0);
    expect(statSync(path).ino).to.equal(inode);
    expect(readdirSync(folder)).to.have.length(1);
  });

  it('by several at the same time is the success of one', async () => {
    const rounds = 20;
    for (let round = 1; round <= rounds; round++) {
      const owner = createSegmentFile(`${path}-${round}`, 'client', IDENTITY, { timeoutMs: TIMEOUT_MS });
      opened.push(owner);
      silence(owner, TIMEOUT_MS);
    }
    const start = new Int32Array(new SharedArrayBuffer(4));
    const files = JSON.stringify(new URL('../../lib/store/files.js', import.meta.url).href);
    const contenders = [0, 1].map(() =>
      scene.worker(
        `const { openSegmentFile } = await import(${files});
         const { start, path } = workerData;
         const opened = [];
         for (let round = 1; round <= ${rounds}; round++) {
           say('ready ' + round);
           while (Atomics.load(start, 0) < round);
           try {
             opened.push(openSegmentFile(path + '-' + round, 'client', {}, { timeoutMs: ${TIMEOUT_MS} }));
             say('opened');
           } catch (error) {
             say(error.code);
           }
         }
         setInterval(() => opened.length, 1000);`,
        { start, path },
      ),
    );
    const said = (word: string): number =>
      contenders.flatMap(({ words }) => words).filter((other) => other === word).length;
    for (let round = 1; round <= rounds; round++) {
      await scene.until(() => said(`ready ${round}`) === 2, 'both to be ready');
      Atomics.store(start, 0, round);
      await scene.until(() => said('opened') + said('ERR_ALREADY_CONNECTED') === 2 * round, 'both to try');
      expect(said('opened'), `successes until round ${round}`).to.equal(round);
    }
  });
});
