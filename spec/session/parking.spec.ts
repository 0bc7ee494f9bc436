import { expect } from 'chai';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { formatSegment, type Identity, Segment, segmentBytes } from '../../lib/session/segment.js';
import { Rouser } from '../../lib/wire/rouser.js';

const IDENTITY: Identity = {
  client: 'alice',
  server: 'bob',
  sessionId: '0123456789abcdef',
  bootId: '',
  journal: false,
  clientToServer: 4096,
  serverToClient: 4096,
};

/**
 * A side, step by step: each `yield` is a moment at which the other one may act. 'sleep' waits for the bell, 'drain' until
 * the store is in memory.
 */
type Side = Generator<'step' | 'sleep' | 'drain', void, void>;

/** Order of the first two steps of a side: as it should be, or the wrong way round, or without what is between them. */
interface Orders {
  readonly sleeper: 'park, barrier, look' | 'park, look' | 'look, park';
  readonly waker: 'store, look' | 'look, store';
}
const RIGHT: Orders = { sleeper: 'park, barrier, look', waker: 'store, look' };

interface Scene {
  readonly waker: Side;
  readonly sleeper: Side;
  /** Of the waker's processor: a plain store stays in it until it is drained, at any time or by a barrier. */
  readonly buffer: StoreBuffer;
  /** Whether the bell has rung since it was last answered, and how often it was rung in all. */
  readonly bell: { rung: boolean; rings: number };
}

/** Holds one store back. Loads of the same thread go past it, as they do in real ones (Intel SDM vol. 3A, 8.2.3.4). */
class StoreBuffer {
  #store: (() => void) | null = null;

  get empty(): boolean {
    return this.#store === null;
  }

  hold(store: () => void): void {
    this.#store = store;
  }

  drain(): void {
    this.#store?.();
    this.#store = null;
  }
}

function segment(): Segment {
  const buffer = new SharedArrayBuffer(segmentBytes(IDENTITY));
  formatSegment(buffer, IDENTITY);
  return new Segment(buffer, IDENTITY);
}

/** Sleeps with the real steps, until `ready` is true after waking. */
function* goToSleep(
  { parking }: Segment,
  orders: Orders,
  { bell, buffer }: Pick<Scene, 'bell' | 'buffer'>,
  stirs: () => boolean,
): Side {
  const place = parking.server;
  place.hang({ path: '/bell', token: 7 });
  if (orders.sleeper !== 'look, park') {
    place.park();
    yield 'step';
    if (orders.sleeper === 'park, barrier, look') {
      buffer.drain();
      yield 'step';
    }
    if (stirs()) {
      place.leave();
      return;
    }
  } else {
    if (stirs()) return;
    yield 'step';
    place.park();
  }
  yield 'sleep';
  bell.rung = false;
  yield 'step';
  place.leave();
}

/** The client pushes messages, the server takes them and sleeps in between. */
function messages(count: number, orders: Orders): Scene {
  const memory = segment();
  const bell = { rung: false, rings: 0 };
  const buffer = new StoreBuffer();
  const producer = new RingProducer(memory.clientToServer);
  const consumer = new RingConsumer(memory.clientToServer);
  const rouser = new Rouser(memory.parking.server, () => {
    bell.rung = true;
    bell.rings++;
  });
  function* waker(): Side {
    for (let i = 0; i < count; i++) {
      producer.claim(8);
      if (orders.waker === 'store, look') {
        buffer.hold(() => producer.push());
        yield 'step';
        rouser.published();
      } else {
        rouser.published();
        yield 'step';
        producer.push();
      }
      // Stores stay in order, so one that is held back at a time will do.
      yield 'drain';
    }
  }
  function* sleeper(): Side {
    for (let taken = 0; taken < count; ) {
      yield 'step';
      if (consumer.front() === null)
        yield* goToSleep(memory, orders, { bell, buffer }, () => consumer.unseen);
      else {
        consumer.pop();
        taken++;
      }
    }
  }
  return { waker: waker(), sleeper: sleeper(), buffer, bell };
}

/** Messages of 1000 bytes that a ring of 4096 has room for. */
const FULL = 4;

/** The server pushes into a full queue and sleeps in between; the client makes room. */
function room(count: number, orders: Orders): Scene {
  const memory = segment();
  const bell = { rung: false, rings: 0 };
  // Space is handed back by an atomic store, which waits in no buffer.
  const buffer = new StoreBuffer();
  const producer = new RingProducer(memory.serverToClient);
  const consumer = new RingConsumer(memory.serverToClient);
  const rouser = new Rouser(memory.parking.server, () => {
    bell.rung = true;
    bell.rings++;
  });
  for (let i = 0; i < FULL; i++) {
    producer.claim(1000);
    producer.push();
  }
  function* waker(): Side {
    // One more: the rest of the ring is too short for a message, and is passed over.
    for (let i = 0; i < count + 1; i++) {
      yield 'step';
      consumer.front();
      if (orders.waker === 'store, look') {
        consumer.pop();
        yield 'step';
        rouser.reclaimed(consumer);
      } else {
        rouser.reclaimed(consumer);
        yield 'step';
        consumer.pop();
      }
    }
  }
  function* sleeper(): Side {
    for (let pushed = 0; pushed < count; ) {
      yield 'step';
      if (producer.claim(1000) === null)
        yield* goToSleep(memory, orders, { bell, buffer }, () => producer.relieved);
      else {
        producer.push();
        pushed++;
      }
    }
  }
  return { waker: waker(), sleeper: sleeper(), buffer, bell };
}

/** The step in which the store buffer drains by itself. */
const DRAIN = 2;

interface Explored {
  readonly schedules: number;
  readonly lost: number;
  readonly mostRings: number;
}

/**
 * Goes through all schedules of two sides, each from its beginning, choosing at every step who goes on. One in which
 * the sleeper sleeps and nobody will ring is a wake-up that was lost.
 */
function explore(make: () => Scene): Explored {
  let schedules = 0;
  let lost = 0;
  let mostRings = 0;
  const choices: { taken: number; of: number }[] = [];
  for (;;) {
    const { waker, sleeper, buffer, bell } = make();
    const sides = [waker, sleeper];
    const states: ('step' | 'sleep' | 'drain' | 'done')[] = ['step', 'step'];
    let steps = 0;
    for (;;) {
      const able = sides.flatMap((_, i) => {
        if (states[i] === 'step' || (states[i] === 'drain' && buffer.empty)) return [i];
        return states[i] === 'sleep' && bell.rung ? [i] : [];
      });
      if (!buffer.empty) able.push(DRAIN);
      if (able.length === 0) break;
      let choice = choices[steps];
      if (choice === undefined) {
        choice = { taken: 0, of: able.length };
        choices.push(choice);
      }
      const side = able[choice.taken] as number;
      steps++;
      if (side === DRAIN) {
        buffer.drain();
        continue;
      }
      const next = (sides[side] as Side).next();
      states[side] = next.done === true ? 'done' : next.value;
    }
    schedules++;
    mostRings = Math.max(mostRings, bell.rings);
    if (states[1] !== 'done') lost++;
    // The next schedule in order.
    choices.length = steps;
    while (choices.length > 0 && (choices.at(-1)?.taken ?? 0) + 1 === choices.at(-1)?.of) choices.pop();
    const last = choices.at(-1);
    if (last === undefined) return { schedules, lost, mostRings };
    last.taken++;
  }
}

describe('parking and waking, in all interleavings', function () {
  this.timeout(120_000);

  for (const [what, make, count] of [
    ['messages', messages, 2],
    ['room', room, 1],
  ] as const) {
    describe(`for ${what}`, () => {
      it('loses no wake-up', () => {
        const { schedules, lost, mostRings } = explore(() => make(count, RIGHT));
        expect(lost).to.equal(0);
        expect(schedules).to.be.greaterThan(100);
        // And does ring.
        expect(mostRings).to.be.greaterThan(0);
      });

      if (what === 'messages') {
        it('loses one without the barrier', () => {
          expect(explore(() => make(count, { ...RIGHT, sleeper: 'park, look' })).lost).to.be.greaterThan(0);
        });
      }

      it('loses one if the sleeper looks before it parks', () => {
        expect(explore(() => make(count, { ...RIGHT, sleeper: 'look, park' })).lost).to.be.greaterThan(0);
      });

      it('loses one if the waker looks before it stores', () => {
        expect(explore(() => make(count, { ...RIGHT, waker: 'look, store' })).lost).to.be.greaterThan(0);
      });
    });
  }

  it('rings once for a sleeper, however many messages there are', () => {
    expect(explore(() => messages(2, RIGHT)).mostRings).to.be.within(1, 2);
  });
});
