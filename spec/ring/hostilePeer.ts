/**
 * A hostile process of the same user: maps the file of a session that it has no part in, and scribbles into it in one of
 * some ways, from a seed, as fast as it can until it is killed. Says 'at it' once the first scribbles are done.
 */
import { native } from '../../lib/memory/native.js';
import {
  COMMIT_POSITION,
  COMMIT_SEQUENCE,
  CONSUMED,
  PADDING_KIND,
  RECLAIMED,
  RECORDS,
  WAITING,
} from '../../lib/ring/layout.js';
import { readIdentity, Segment } from '../../lib/session/segment.js';
import { Random } from '../support/random.js';
import type { Attack } from './attacks.js';

const { path, attack, seed } = JSON.parse(process.argv[2] as string) as {
  readonly path: string;
  readonly attack: Attack;
  readonly seed: number;
};
const random = new Random(seed);
const file = native().mapFile(path, { create: false, sizeBytes: 1 });
const identity = readIdentity(file.buffer, path);
if (identity === null) throw new Error(`${path} is no segment`);
const segment = new Segment(file.buffer, identity);
const all = new Int32Array(file.buffer);
const rings = [segment.clientToServer, segment.serverToClient];
const EXTREMES = [0, 1, -1, 7, 8, 9, 16, 4096, 1032, 1033, 65536, 2 ** 30, 2 ** 31 - 1, -(2 ** 31)];

function any(): number {
  return random.once(2) ? random.pick(EXTREMES) : random.next() | 0;
}

const WAYS: Readonly<Record<Attack, () => void>> = {
  'random words anywhere': () => {
    all[random.below(all.length)] = any();
  },
  'random words in headers of lines': () => {
    const { words, sequences } = random.pick(rings);
    words[random.pick([WAITING, CONSUMED, RECLAIMED, ...COMMIT_POSITION])] = any();
    sequences[random.pick(COMMIT_SEQUENCE)] = random.pick([0, -1, 0.5, Number.NaN, 2 ** 53, random.next()]);
  },
  'sizes that change back and forth': () => {
    const { words, mask } = random.pick(rings);
    const at = (RECORDS + ((8 * random.below(64)) & mask)) >> 2;
    const size = words[at] as number;
    words[at] = any();
    words[at + 1] = random.pick([1, 0, PADDING_KIND, 65535, any()]);
    words[at] = size;
  },
  'positions that move back and forth': () => {
    const { words, sequences } = random.pick(rings);
    const position = (random.next() & -8) | 0;
    words[COMMIT_POSITION[0]] = position;
    words[COMMIT_POSITION[1]] = (position + 8) | 0;
    sequences[COMMIT_SEQUENCE[0]] = random.next();
    words[RECLAIMED] = position;
    for (let i = 0; i < 100; i++) words[CONSUMED] = (position + 8 * (i & 1)) | 0;
  },
  'padding all over': () => {
    const { words, capacity } = random.pick(rings);
    for (let position = 0; position < capacity; position += 8) {
      const at = (RECORDS + position) >> 2;
      words[at + 1] = PADDING_KIND;
      words[at] = random.once(2) ? capacity - position : 8;
    }
  },
  'the shortest records all over': () => {
    const { words, capacity } = random.pick(rings);
    for (let position = 0; position < capacity; position += 8) {
      const at = (RECORDS + position) >> 2;
      words[at + 1] = 1;
      words[at] = 8;
    }
  },
  'a session that always moves': () => {
    Atomics.store(segment.notices, 0, 1);
  },
  'sleepers that are none, with bells of others': () => {
    for (const role of ['client', 'server'] as const) {
      segment.parking[role].hang({
        path: random.pick(['/etc/passwd', '/dev/null', path, '../..', '\0', 'x']),
        token: random.next(),
      });
      segment.parking[role].words[0] = random.next() | 1;
      segment.tenure[role].set([random.pick([-1, 0.5, Number.NaN, 1e300]), any(), any()]);
      segment.epoch[role][0] = any();
      segment.presence[role][0] = any();
    }
  },
};

const way = WAYS[attack];
way();
console.log('at it');
process.stdout.write('', () => {
  for (;;) way();
});
