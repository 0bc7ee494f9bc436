import { RingConsumer } from '../../../lib/ring/consumer.js';
import { RingProducer } from '../../../lib/ring/producer.js';
import {
  formatSegment,
  type Identity,
  Segment,
  SUPERBLOCK_BYTES,
  segmentBytes,
} from '../../../lib/session/segment.js';
import { readSideState } from '../../../lib/session/state.js';
import type { JournalFile } from '../../../lib/store/journal.js';
import { beginJournal, openJournal } from '../../../lib/store/journal.js';
import { checkRings, recognise } from '../../../lib/store/recognise.js';
import type { Random } from '../../support/random.js';
import { extreme, mutate } from '../mutate.js';
import { refusesAtMost, require, type Surface } from '../surface.js';

const CAPACITY = 4096;
const BOOT = '01234567-89ab-cdef-0123-456789abcdef';
const OTHER_BOOT = '11234567-89ab-cdef-0123-456789abcdef';
const NAMES = { client: 'alice', server: 'bob' };

function identityOf(journal: boolean): Identity {
  return {
    ...NAMES,
    sessionId: '0123456789abcdef',
    bootId: journal ? BOOT : '',
    clientToServer: CAPACITY,
    serverToClient: CAPACITY,
    journal,
  };
}

/** A file in memory, with a disk that takes everything. */
function fileOf(buffer: ArrayBuffer): JournalFile & { readonly buffer: ArrayBuffer } {
  return {
    buffer,
    path: 'a file',
    inode: 4711,
    sync(done, finished) {
      done[0] = 0;
      finished();
    },
    syncNow() {},
    writeOut() {},
  };
}

/** A file of a session with some messages, as both sides have left it. */
function validFile(random: Random, journal: boolean): ArrayBuffer {
  const identity = identityOf(journal);
  const buffer = new ArrayBuffer(segmentBytes(identity));
  formatSegment(buffer, identity);
  const segment = new Segment(buffer, identity);
  if (journal) beginJournal(fileOf(buffer), segment, 'client', 'process', BOOT);
  for (const ring of [segment.clientToServer, segment.serverToClient]) {
    const producer = new RingProducer(ring);
    const consumer = new RingConsumer(ring);
    for (let n = random.below(8); n > 0; n--) {
      if (producer.claim(random.below(300)) !== null) producer.push();
      if (random.once(3) && consumer.front() !== null) consumer.pop();
    }
  }
  if (journal && random.once(2)) openJournal(fileOf(buffer), segment, 'client', 'process', BOOT);
  return buffer;
}

function damaged(buffer: ArrayBuffer, random: Random): ArrayBuffer {
  if (random.once(16)) return mutate(new Uint8Array(buffer), random).buffer;
  const words = new Int32Array(buffer);
  for (let n = random.between(1, 4); n > 0; n--) {
    // The superblock, the headers of both rings and the checkpoints are most of what a file says of itself.
    const at = random.pick([
      0,
      SUPERBLOCK_BYTES >> 2,
      (SUPERBLOCK_BYTES + 384 + CAPACITY) >> 2,
      words.length - 2048,
    ]);
    const index = random.once(4) ? random.below(words.length) : at + random.below(at === 0 ? 128 : 96);
    if (index >= 0 && index < words.length)
      words[index] = random.once(3) ? (words[index] as number) ^ (1 << random.below(31)) : extreme(random);
  }
  return buffer;
}

/** Session files and journals as a crash, a bad disk or somebody else has left them. */
export const files: Surface = {
  what: 'session files and journals, damaged anywhere, opened in this boot and in another',
  run(random) {
    const journal = random.once(2);
    const buffer = damaged(validFile(random, journal), random);
    const file = fileOf(buffer);
    refusesAtMost(['ERR_SEGMENT', 'ERR_PROTOCOL'], () => {
      const segment = recognise(file, random.once(2) ? NAMES : { ...NAMES, journal });
      if (segment === null) return;
      if (segment.identity.journal)
        openJournal(
          file,
          segment,
          'client',
          random.once(2) ? 'disk' : 'process',
          random.once(2) ? BOOT : OTHER_BOOT,
        );
      else checkRings(segment, file.path);
      // What was opened can be worked with.
      const state = readSideState(segment, 'client');
      require(state.pushed.sequence >= state.acknowledged.sequence, () => JSON.stringify(state));
      for (const role of ['client', 'server'] as const) {
        const consumer = new RingConsumer(segment.incoming(role));
        const producer = new RingProducer(segment.incoming(role));
        const limit = CAPACITY / 8 + 1;
        let n = 0;
        for (let message = consumer.front(); message !== null; message = consumer.front()) {
          require(message.bytes().length === message.size, () => `a message of ${message?.size} bytes`);
          consumer.pop();
          require(++n <= limit, () => 'more messages than there is room for');
        }
        require(producer.claim(8) !== null, () => 'no room in an empty ring');
      }
    });
  },
};
