import { TcpshmError } from '../../../lib/errors.js';
import { BatchConsumer } from '../../../lib/ring/batches.js';
import { RingConsumer } from '../../../lib/ring/consumer.js';
import {
  COMMIT_POSITION,
  COMMIT_SEQUENCE,
  CONSUMED,
  CONTINUED,
  PADDING_KIND,
  RECLAIMED,
  RECORDS,
  WAITING,
} from '../../../lib/ring/layout.js';
import type { RingMemory } from '../../../lib/ring/memory.js';
import type { Message } from '../../../lib/ring/message.js';
import { RingProducer } from '../../../lib/ring/producer.js';
import { RingReplica } from '../../../lib/ring/replica.js';
import { CAPACITY, newRing } from '../../ring/rings.js';
import type { Random } from '../../support/random.js';
import { extreme } from '../mutate.js';
import { refusesAtMost, require, type Surface } from '../surface.js';

const CODES = ['ERR_PROTOCOL', 'ERR_SEGMENT'] as const;
const POSITIONS = [CONSUMED, RECLAIMED, WAITING, ...COMMIT_POSITION];

function scribble(memory: RingMemory, random: Random): void {
  const next = (memory.words[CONSUMED] as number) & memory.mask & -8;
  const { words, sequences } = memory;
  switch (random.below(4)) {
    case 0:
      words[random.pick(POSITIONS)] = random.once(2) ? extreme(random) : 8 * random.below(CAPACITY);
      break;
    case 1:
      sequences[random.pick(COMMIT_SEQUENCE)] = random.pick([-1, 0.5, Number.NaN, 2 ** 53, random.next()]);
      break;
    case 2: {
      const at = (RECORDS + (random.once(2) ? next : 8 * random.below(CAPACITY / 8))) >> 2;
      words[at] = random.once(2) ? extreme(random) : 8 + random.below(1100);
      words[at + 1] = random.pick([0, 1, 65535, PADDING_KIND, CONTINUED | 1, extreme(random)]);
      break;
    }
    default:
      words[random.below(words.length)] = extreme(random);
  }
}

function look(message: Message): void {
  const { offset, size } = message;
  require(size >= 0 && size <= CAPACITY / 4 && offset >= RECORDS && offset + size <= RECORDS + CAPACITY, () =>
    `a message of ${size} bytes at ${offset}`);
}

/** Both ends of a ring at work, while somebody scribbles between their calls. */
export const segment: Surface = {
  what: 'rings whose words are changed between the calls of their ends, and when they are opened',
  run(random) {
    const marks = random.once(3);
    const start = random.once(2) ? CAPACITY - 8 * random.below(64) : 8 * random.below(CAPACITY / 4);
    const memory = newRing(start, random.below(9), CAPACITY, false, marks);
    let producer: RingProducer | null = new RingProducer(memory);
    let consumer: RingConsumer | null = new RingConsumer(memory);
    const batches = marks ? new BatchConsumer(memory) : null;
    for (let step = random.between(4, 40); step > 0; step--) {
      if (random.once(4)) scribble(memory, random);
      try {
        if (random.once(16)) {
          producer = null;
          producer = new RingProducer(memory);
        }
        if (random.once(16)) {
          consumer = null;
          consumer = new RingConsumer(memory);
        }
        if (random.once(32)) new RingReplica(memory).discard();
        if (producer !== null && random.once(2)) {
          const message = producer.claim(random.below(random.pick([16, 200, CAPACITY / 4 + 1])));
          if (message !== null) {
            look(message);
            if (random.once(3)) producer.pushMore();
            else producer.push();
          }
        }
        if (consumer === null) continue;
        if (batches === null) {
          const message = consumer.front();
          if (message === null) continue;
          look(message);
          if (random.once(2)) consumer.pop();
        } else if (batches.front()) {
          for (let message = batches.next(); message !== null; message = batches.next()) look(message);
          batches.pop();
          batches.reclaim();
        }
      } catch (error) {
        refusesAtMost(CODES, () => {
          throw error;
        });
        if (!(error instanceof TcpshmError)) throw error;
      }
    }
  },
};
