import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { distance } from '../../lib/memory/wrap.js';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RingMemory } from '../../lib/ring/memory.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { Durability } from '../../lib/session/durability.js';
import type { Identity } from '../../lib/session/segment.js';
import { readSideState } from '../../lib/session/state.js';
import { createSegmentFile, openSegmentFile } from '../../lib/store/files.js';
import type { Journal } from '../../lib/store/journal.js';
import type { OpenSegment } from '../../lib/store/openSegment.js';
import { type Folders, newFolders } from '../support/folders.js';
import { Random, randomSeed } from '../support/random.js';
import { type DiskSync, SimulatedDisk } from '../support/simulatedDisk.js';
import { fault, fill, sizeOf } from '../support/traffic.js';

const CAPACITY = 16384;
const LARGEST = CAPACITY / 4;
const IDENTITY: Identity = {
  client: 'alice',
  server: 'bob',
  sessionId: '0123456789abcdef',
  bootId: '',
  clientToServer: CAPACITY,
  serverToClient: CAPACITY,
  journal: true,
};
const RUNS = 20;
const STEPS = 1500;

/** What a journal must not lose, or what it holds: counts of messages. */
interface Counts {
  readonly acknowledged: number;
  readonly pushed: number;
  readonly popped: number;
}

/** The side of a session that has a journal on a disk, without its peer: both flows follow from numbers. */
class Side {
  readonly disk: SimulatedDisk;
  #sync: DiskSync | null = null;
  readonly #producer: RingProducer;
  readonly #acknowledger: RingConsumer;
  readonly #arrivals: RingProducer;
  readonly #consumer: RingConsumer;
  readonly #durability: Durability;
  /** Positions behind the messages that were pushed here, by number. */
  readonly #ends: Map<number, number>;

  constructor(open: OpenSegment, ends: Map<number, number>, random: Random) {
    this.#ends = ends;
    const outgoing = open.segment.outgoing('client');
    const incoming = open.segment.incoming('client');
    this.disk = new SimulatedDisk(outgoing.words.buffer, random);
    this.#producer = new RingProducer(outgoing);
    this.#acknowledger = new RingConsumer(outgoing);
    this.#arrivals = new RingProducer(incoming);
    this.#consumer = new RingConsumer(incoming);
    this.#durability = new Durability(
      {
        outgoing,
        producer: this.#producer,
        acknowledger: this.#acknowledger,
        incoming,
        consumer: this.#consumer,
      },
      (open.journal as Journal).checkpoints,
    );
  }

  get now(): Counts {
    return {
      acknowledged: this.#acknowledger.popped,
      pushed: this.#producer.pushed,
      popped: this.#consumer.popped,
    };
  }

  /** How many messages the peer may have got by now, and how many it may have been told to be popped. */
  get told(): Pick<Counts, 'pushed' | 'popped'> {
    let pushed = this.#acknowledger.popped;
    while (this.#isSafe(pushed)) pushed++;
    return { pushed, popped: this.#durability.popped };
  }

  push(): void {
    const n = this.#producer.pushed;
    const message = this.#producer.claim(sizeOf(n, LARGEST));
    if (message === null) return;
    fill(message, n);
    this.#producer.push();
    this.#ends.set(n, this.#producer.published);
  }

  /** The peer has popped a message, of those that it may have got. */
  acknowledge(): void {
    const n = this.#acknowledger.popped;
    if (this.#isSafe(n)) this.#acknowledger.popUpTo(this.#ends.get(n) as number, this.#durability.published);
  }

  receive(): void {
    const n = this.#arrivals.pushed;
    const message = this.#arrivals.claim(sizeOf(n, LARGEST));
    if (message === null) return;
    fill(message, n);
    this.#arrivals.push();
  }

  pop(): void {
    const message = this.#consumer.front();
    if (message === null) return;
    const n = this.#consumer.popped;
    expect(fault(message, n, sizeOf(n, LARGEST))).to.equal(null);
    this.#consumer.pop();
  }

  sync(): void {
    if (this.#sync !== null) {
      this.#sync.finish();
      this.#sync = null;
      this.#durability.complete();
    } else if (this.#durability.urgent()) {
      this.#durability.begin();
      this.#sync = this.disk.beginSync();
      this.#sync.progress();
    }
  }

  #isSafe(n: number): boolean {
    const end = this.#ends.get(n);
    return end !== undefined && distance(end, this.#durability.published) >= 0;
  }
}

/** What a journal that was opened holds, each message looked at, and the positions behind those that wait. */
function inspect({ segment }: OpenSegment): { counts: Counts; ends: Map<number, number> } {
  const { acknowledged, pushed, popped } = readSideState(segment, 'client');
  const ends = new Map<number, number>();
  const copy = new Uint8Array(segment.outgoing('client').bytes);
  const reader = new RingConsumer(new RingMemory(copy.buffer, 0, CAPACITY));
  for (let message = reader.front(); message !== null; message = reader.front()) {
    const n = reader.popped;
    expect(fault(message, n, sizeOf(n, LARGEST))).to.equal(null);
    reader.pop();
    ends.set(n, reader.position);
  }
  expect(reader.popped).to.equal(pushed.sequence);
  const counts = { acknowledged: acknowledged.sequence, pushed: pushed.sequence, popped: popped.sequence };
  return { counts, ends };
}

describe('a journal on a disk, after the loss of power', () => {
  let folders: Folders;
  beforeEach(() => {
    folders = newFolders();
  });
  afterEach(() => folders.remove());

  it(`has what was told to the peer, whichever pages got to the disk (${RUNS} runs)`, function () {
    this.timeout(120_000);
    // To replay a failure, put the seed of its message here.
    const base = randomSeed();
    let losses = 0;
    let lost = 0;
    for (let seed = base; seed < base + RUNS; seed++) {
      const random = new Random(seed);
      let file = join(folders.directory, `${seed}.journal`);
      let open = createSegmentFile(file, 'client', IDENTITY, { durability: 'disk' });
      let side = new Side(open, new Map(), random);
      for (let step = 0; step < STEPS; step++) {
        const dice = random.fraction();
        try {
          if (dice < 0.4) side.push();
          else if (dice < 0.6) side.acknowledge();
          else if (dice < 0.7) side.receive();
          else if (dice < 0.8) side.pop();
          else if (dice < 0.99) side.sync();
          else if (dice < 0.995) side.disk.writeBack();
          else {
            const { told, now } = side;
            file = join(folders.directory, `${seed}-${step}.journal`);
            writeFileSync(file, new Uint8Array(side.disk.losePower()), { mode: 0o600 });
            open.remove();
            open = openSegmentFile(
              file,
              'client',
              { client: 'alice' },
              { durability: 'disk' },
            ) as OpenSegment;
            const { counts, ends } = inspect(open);
            expect(counts.pushed).to.be.within(told.pushed, now.pushed);
            expect(counts.popped).to.be.within(told.popped, now.popped);
            expect(counts.acknowledged).to.be.at.most(now.acknowledged);
            losses++;
            lost += now.pushed - counts.pushed;
            side = new Side(open, ends, random);
          }
        } catch (error) {
          throw new Error(`seed ${seed}, step ${step}: ${(error as Error).message}`, { cause: error });
        }
      }
      open.remove();
    }
    // The fault has happened: messages that were not safe yet are gone.
    expect(losses, `seed ${base}`).to.be.above(0);
    expect(lost, `seed ${base}`).to.be.above(0);
  });
});
