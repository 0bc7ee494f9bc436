/**
 * Six fields written and read in one thread, by the properties of a struct and by a DataView: in one message that stays
 * where it is, which must not allocate, and through a queue whose both ends are here, which may: V8 inlines 920 bytes of code
 * into a function, and those of the queue come before those of fields. A number that goes to or comes from an accessor
 * that is not inlined is allocated.
 */
import { getHeapStatistics } from 'node:v8';
import { type Connection, type Message, RingChannel } from '../../lib/index.js';
import { type Effort, type Measurement, measureBatches } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { CpuPair, Measurable } from '../subject.js';
import { QUOTE_BYTES, type Quote, quote } from './messages.js';

const BATCH = 10_000;
/** So many are written, then read. */
const TURN = 100;
/** Messages after which it is looked whether memory was allocated: less for each of them than the smallest object takes. */
const LOOKED_AT = 100_000;
const LOOKS = 5;
const ALLOCATED_BYTES = 4 * LOOKED_AT;

type Run = (first: number, count: number) => void;

// Of their own: those of messages.ts are called with other objects as well in this process, and are compiled for all of them.

function writeQuote(to: Quote, sequence: number): void {
  to.time = sequence + 0.5;
  to.price = sequence * 0.25;
  to.id = sequence | 0;
  to.quantity = sequence >>> 0;
  to.venue = sequence & 0xffff;
  to.side = sequence & 0xff;
}

function verifyQuote(from: Quote, sequence: number): void {
  const right =
    from.time === sequence + 0.5 &&
    from.price === sequence * 0.25 &&
    from.id === (sequence | 0) &&
    from.quantity === sequence >>> 0 &&
    from.venue === (sequence & 0xffff) &&
    from.side === (sequence & 0xff);
  if (!right) throw new Error(`message ${sequence} came wrong`);
}

/** As one writes it who knows the layout. */
function writeView({ view, offset }: Message, sequence: number): void {
  view.setFloat64(offset, sequence + 0.5, true);
  view.setFloat64(offset + 8, sequence * 0.25, true);
  view.setInt32(offset + 16, sequence | 0, true);
  view.setUint32(offset + 20, sequence >>> 0, true);
  view.setUint16(offset + 24, sequence & 0xffff, true);
  view.setUint8(offset + 26, sequence & 0xff);
}

function verifyView({ view, offset }: Message, sequence: number): void {
  const right =
    view.getFloat64(offset, true) === sequence + 0.5 &&
    view.getFloat64(offset + 8, true) === sequence * 0.25 &&
    view.getInt32(offset + 16, true) === (sequence | 0) &&
    view.getUint32(offset + 20, true) === sequence >>> 0 &&
    view.getUint16(offset + 24, true) === (sequence & 0xffff) &&
    view.getUint8(offset + 26) === (sequence & 0xff);
  if (!right) throw new Error(`message ${sequence} came wrong`);
}

const structInPlace = ({ local }: RingChannel): Run => {
  const cursor = quote.alloc(local) as Quote;
  return (first, count) => {
    for (let i = first; i < first + count; i++) {
      writeQuote(cursor, i);
      verifyQuote(cursor, i);
    }
  };
};

const viewInPlace = ({ local }: RingChannel): Run => {
  const message = local.alloc(QUOTE_BYTES) as Message;
  return (first, count) => {
    for (let i = first; i < first + count; i++) {
      writeView(message, i);
      verifyView(message, i);
    }
  };
};

/** In two loops, as two sides have them. */
const inTurns =
  (produce: Run, consume: Run): Run =>
  (first, count) => {
    for (let i = 0; i < count; i += TURN) {
      produce(first + i, TURN);
      consume(first + i, TURN);
    }
  };

const structQueue = ({ local }: RingChannel, far: Connection): Run =>
  inTurns(
    (first, count) => {
      for (let i = first; i < first + count; i++) {
        writeQuote(quote.alloc(local) as Quote, i);
        local.push();
      }
    },
    (first, count) => {
      for (let i = first; i < first + count; i++) {
        verifyQuote(quote.of(far.front() as Message), i);
        far.pop();
      }
    },
  );

const viewQueue = ({ local }: RingChannel, far: Connection): Run =>
  inTurns(
    (first, count) => {
      for (let i = first; i < first + count; i++) {
        writeView(local.alloc(QUOTE_BYTES) as Message, i);
        local.push();
      }
    },
    (first, count) => {
      for (let i = first; i < first + count; i++) {
        verifyView(far.front() as Message, i);
        far.pop();
      }
    },
  );

function fieldsOf(
  name: string,
  mayAllocate: boolean,
  make: (near: RingChannel, far: Connection) => Run,
): Measurable {
  return {
    name,
    limit: 'core-to-core',
    floor: null,
    busyThreads: 0,
    batch: BATCH,
    async measure(cpus: CpuPair, batch: number, effort: Effort): Promise<Measurement> {
      const near = new RingChannel();
      const far = RingChannel.open(near.remote);
      const run = make(near, far);
      let sequence = 0;
      const timed = {
        asynchronous: false,
        run(count: number): void {
          run(sequence, count);
          sequence = (sequence + count) | 0;
        },
      };
      const stop = async (): Promise<void> => {
        near.local.close();
        far.close();
      };
      return pinnedWhile(cpus, { stop }, async () => {
        const measured = await measureBatches(name, timed, batch, effort);
        if (!mayAllocate) checkAllocation(() => timed.run(LOOKED_AT));
        return measured;
      });
    },
  };
}

/** Throws if what `run` does allocates, whenever it is done. */
export function checkAllocation(run: () => void): void {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < LOOKS; i++) {
    const before = getHeapStatistics().used_heap_size;
    run();
    const allocated = getHeapStatistics().used_heap_size - before;
    // What was collected meanwhile is less than nothing, and says nothing.
    if (allocated >= 0) least = Math.min(least, allocated);
  }
  if (least > ALLOCATED_BYTES) {
    throw new Error(`it allocates: ${least} bytes for ${LOOKED_AT} messages`);
  }
}

export const inPlace = fieldsOf('everyday/fields', false, structInPlace);
export const queued = fieldsOf('everyday/fields/queue', true, structQueue);
export const peerInPlace = fieldsOf('peer/data-view', false, viewInPlace);
export const peerQueued = fieldsOf('peer/data-view/queue', false, viewQueue);
