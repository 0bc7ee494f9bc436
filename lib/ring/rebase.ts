import { TcpshmError } from '../errors.js';
import { distance, shown } from '../memory/wrap.js';
import { RingConsumer } from './consumer.js';
import { RECORDS } from './layout.js';
import type { RingMemory } from './memory.js';
import { RingProducer } from './producer.js';
import { readPublished } from './recovery.js';
import { RingReplica } from './replica.js';

/**
 * The ends of a ring that was copied to fresh memory go on there: what each of them did in the old memory after the
 * copy was taken is done again. The other end of the fresh ring may be alive.
 */

/** Nothing may be claimed, and no batch open. Throws ERR_SEGMENT when the fresh ring is no copy of the old one. */
export function rebaseProducer(producer: RingProducer, from: RingMemory, to: RingMemory): RingProducer {
  const replica = new RingReplica(to);
  const length = distance(replica.published, producer.published);
  if (length < 0) throw noCopy('published', producer.published, replica.published);
  const start = replica.published & from.mask;
  const beforeEnd = Math.min(length, from.capacity - start);
  replica.append(from, RECORDS + start, beforeEnd);
  replica.append(from, RECORDS, length - beforeEnd);
  replica.publish();
  const next = new RingProducer(to);
  if (next.published !== producer.published || next.pushed !== producer.pushed) {
    throw noCopy('published', producer.published, next.published);
  }
  return next;
}

/** A message that `front` has given is held in the fresh ring again. Throws ERR_SEGMENT as above. */
export function rebaseConsumer(consumer: RingConsumer, to: RingMemory): RingConsumer {
  const next = new RingConsumer(to);
  const { position } = readPublished(to);
  // Beyond what was copied there can be padding only, of a record that was never taken for published.
  const beyond = distance(position, consumer.position) > 0;
  next.popUpTo(beyond ? position : consumer.position, position);
  if (next.popped !== consumer.popped) throw noCopy('popped', consumer.position, next.position);
  if (consumer.held) next.front();
  return next;
}

function noCopy(what: string, mine: number, fresh: number): TcpshmError {
  return new TcpshmError(
    'ERR_SEGMENT',
    `the session has moved to a fresh file that is no copy of it: ${what} up to position ${shown(mine)} here, ${shown(fresh)} there`,
  );
}
