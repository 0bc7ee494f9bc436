import { expect } from 'chai';
import fc from 'fast-check';
import { RingConsumer } from '../../lib/ring/consumer.js';
import { RECORDS } from '../../lib/ring/layout.js';
import type { RingMemory } from '../../lib/ring/memory.js';
import { RingProducer } from '../../lib/ring/producer.js';
import { RingReplica, type Unfinished } from '../../lib/ring/replica.js';
import { FrameReader, MAX_CARRY_BYTES } from '../../lib/session/frame.js';
import { Replication, type ReplicationState } from '../../lib/session/replication.js';
import { CAPACITY, claim, copyRing, newRing } from '../ring/rings.js';
import { expectCode } from '../support/failure.js';
import { dataFrame } from '../support/frames.js';
import { fault, sizeOf } from '../support/traffic.js';

/** One side: its two rings, the four ends that work on them, and the bytes that come to it. */
class Side {
  outgoing: RingMemory;
  incoming: RingMemory;
  producer!: RingProducer;
  acknowledger!: RingConsumer;
  consumer!: RingConsumer;
  replica!: RingReplica;
  replication!: Replication;
  #reader!: FrameReader;
  /** Bytes on their way to this side. */
  arriving: number[] = [];
  readonly #first: number;
  readonly #expected: number;
  heartbeats = 0;
  wrong: string | null = null;

  /** Sends messages numbered from `first`, and expects some numbered from `expected`. */
  constructor(start: number, first: number, expected: number, capacity: number) {
    this.outgoing = newRing(start, 0, capacity);
    this.incoming = newRing(start, 0, capacity);
    this.#first = first;
    this.#expected = expected;
    this.open();
  }

  open(unfinished: Unfinished | null = null): void {
    this.producer = new RingProducer(this.outgoing);
    this.acknowledger = new RingConsumer(this.outgoing);
    this.consumer = new RingConsumer(this.incoming);
    this.replica = new RingReplica(this.incoming, unfinished);
  }

  /** All ends die, and others go on with what memory holds. */
  restart(): void {
    this.outgoing = copyRing(this.outgoing);
    this.incoming = copyRing(this.incoming);
    this.open();
  }

  push(): boolean {
    if (!claim(this.producer, this.#first + this.producer.pushed)) return false;
    this.producer.push();
    return true;
  }

  pop(): boolean {
    const message = this.consumer.front();
    if (message === null) return false;
    const n = this.#expected + this.consumer.popped;
    this.wrong ??= fault(message, n, sizeOf(n, 200));
    this.consumer.pop();
    return true;
  }

  get told(): { readonly received: number; readonly popped: number } {
    return { received: this.replica.published, popped: this.consumer.position };
  }

  /** What a login does, given what the other side has told. */
  connect(peer: { readonly received: number; readonly popped: number }): void {
    this.acknowledger.popUpTo(peer.popped, this.producer.published);
    this.acknowledger.reclaim();
    this.#begin(peer.received);
    this.arriving = [];
    this.#reader = new FrameReader({
      dataBegins: (position, length) => this.replication.dataBegins(position, length),
      dataArrives: (block, start, length) => this.replication.dataArrives(block, start, length),
      dataEnds: (acknowledged, sequence) => this.replication.dataEnds(acknowledged, sequence),
      control: (kind) => {
        throw new Error(`a frame of kind ${kind}`);
      },
    });
  }

  #begin(start: number | ReplicationState): void {
    this.replication = new Replication(
      {
        outgoing: this.outgoing,
        producer: this.producer,
        acknowledger: this.acknowledger,
        incoming: this.incoming,
        replica: this.replica,
        consumer: this.consumer,
        durability: null,
      },
      start,
    );
  }

  /** Whether a frame is on its way, in or out. */
  get busy(): boolean {
    return this.replication.sending || !this.#reader.betweenFrames;
  }

  /** Other ends and another replication go on in the same rings, with the same stream: as in another thread. */
  handOver(): void {
    // What was claimed and not pushed is not handed over.
    this.producer.forget();
    const replicated = structuredClone(this.replication.state);
    const read = structuredClone(this.#reader.state);
    this.open(replicated.unfinished);
    this.#begin(replicated);
    this.#reader = new FrameReader(this.#reader.sink, read);
  }

  /** One poll: takes up to `receive` bytes, and sends up to `send`. True if anything moved. */
  poll(other: Side, receive: number, send: number): boolean {
    const count = Math.min(receive, this.arriving.length);
    if (count > 0) {
      const words = new Int32Array((count + MAX_CARRY_BYTES + 7) >> 2);
      const block = { words, bytes: new Uint8Array(words.buffer) };
      const carried = this.#reader.restore(block);
      block.bytes.set(this.arriving.splice(0, count), carried);
      this.#reader.consume(block, carried + count);
    }
    const idle = this.arriving.length === 0 && count === 0;
    this.replication.settle(idle);
    if (idle) this.replication.idle();
    let left = send;
    const { replication } = this;
    while (left > 0 && replication.prepare()) {
      const bytes = Buffer.concat([
        replication.header.bytes.subarray(replication.headerStart),
        this.outgoing.bytes.subarray(
          replication.firstStart,
          replication.firstStart + replication.firstLength,
        ),
        this.outgoing.bytes.subarray(RECORDS, RECORDS + replication.secondLength),
      ]).subarray(0, left);
      for (const byte of bytes) other.arriving.push(byte);
      replication.sent(bytes.length);
      left -= bytes.length;
    }
    return count > 0 || left < send;
  }
}

function pair(start: number, capacity = CAPACITY): [Side, Side] {
  const a = new Side(start, 0, 1_000_000, capacity);
  const b = new Side(start, 1_000_000, 0, capacity);
  connect(a, b);
  return [a, b];
}

/** A login: each side tells what it has, then both go on. `between` happens after the telling. */
function connect(a: Side, b: Side, between: () => void = () => {}): void {
  const toldByA = a.told;
  const toldByB = b.told;
  between();
  a.connect(toldByB);
  b.connect(toldByA);
}

/** Polls both sides until nothing moves any more. */
function settle(a: Side, b: Side, cut = 1_000_000): void {
  for (let still = 0; still < 10; still++) {
    if (a.poll(b, cut, cut)) still = 0;
    if (b.poll(a, cut, cut)) still = 0;
  }
}

/** Both sides take all that comes, until nothing does. */
function drain(a: Side, b: Side): void {
  for (;;) {
    settle(a, b);
    let any = false;
    for (const side of [a, b]) while (side.pop()) any = true;
    if (!any) return;
  }
}

function expectAll(a: Side, b: Side): void {
  expect([a.wrong, b.wrong]).to.deep.equal([null, null]);
  expect(b.consumer.popped).to.equal(a.producer.pushed);
  expect(a.consumer.popped).to.equal(b.producer.pushed);
  for (const side of [a, b])
    expect(side.producer.claim(CAPACITY / 4), 'room for the largest').to.not.equal(null);
}

const STARTS = [0, 2 ** 31 - 4096, -4096] as const;

describe('two copies of two rings', () => {
  type Step =
    | { readonly kind: 'push' | 'pop'; readonly side: 0 | 1; readonly count: number }
    | { readonly kind: 'poll'; readonly side: 0 | 1; readonly receive: number; readonly send: number }
    | { readonly kind: 'cut' | 'restart' | 'hand over'; readonly side: 0 | 1 };
  const side = fc.constantFrom(0 as const, 1 as const);
  const steps: fc.Arbitrary<Step[]> = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('push', 'pop'), side, count: fc.nat(30) }) },
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('poll'),
          side,
          receive: fc.oneof(fc.nat(40), fc.nat(5000)),
          send: fc.oneof(fc.nat(40), fc.nat(5000)),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('cut', 'restart'), side }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('hand over'), side }) },
    ),
    { maxLength: 200, size: 'max' },
  );

  it('have everything once and in order, whatever is cut, lost on the way and sent again', () => {
    let lost = 0;
    let handovers = 0;
    fc.assert(
      fc.property(fc.constantFrom(...STARTS), steps, (start, list) => {
        const sides = pair(start);
        const [a, b] = sides;
        for (const step of list) {
          const one = sides[step.side];
          const other = sides[1 - step.side] as Side;
          switch (step.kind) {
            case 'push':
              for (let i = 0; i < step.count; i++) one.push();
              break;
            case 'pop':
              for (let i = 0; i < step.count; i++) one.pop();
              break;
            case 'poll':
              one.poll(other, step.receive, step.send);
              break;
            case 'hand over':
              one.handOver();
              handovers += one.busy ? 1 : 0;
              break;
            case 'restart':
            case 'cut':
              lost += a.arriving.length + b.arriving.length;
              if (step.kind === 'restart') one.restart();
              connect(a, b);
              break;
          }
          expect([a.wrong, b.wrong]).to.deep.equal([null, null]);
        }
        drain(a, b);
        expectAll(a, b);
      }),
      { numRuns: 300 },
    );
    expect(lost, 'bytes lost at cuts').to.be.above(10_000);
    expect(handovers, 'handovers in the middle of a frame').to.be.above(50);
  });

  for (const start of STARTS) {
    it(`carry much more than one capacity in one direction without heartbeats, from ${start >>> 0}`, () => {
      const [a, b] = pair(start);
      let turns = 0;
      while (b.consumer.popped < 5000) {
        while (a.producer.pushed < 5000 && a.push());
        a.poll(b, 1e6, 1e6);
        b.poll(a, 1e6, 1e6);
        while (b.pop());
        expect(turns++).to.be.below(5000);
      }
      expect((b.consumer.position - start) >>> 0).to.be.above(100 * CAPACITY);
      drain(a, b);
      expectAll(a, b);
    });
  }

  it('go on after both queues were full', () => {
    const [a, b] = pair(0);
    for (const one of [a, b]) while (one.push());
    settle(a, b);
    for (const one of [a, b]) expect(one.push()).to.equal(false);
    const full = [a.producer.pushed, b.producer.pushed];
    drain(a, b);
    expectAll(a, b);
    for (const one of [a, b]) while (one.push());
    drain(a, b);
    expectAll(a, b);
    expect(a.producer.pushed).to.be.above((full[0] as number) + 10);
    expect(b.producer.pushed).to.be.above((full[1] as number) + 10);
  });

  it('acknowledge what was popped while they were apart', () => {
    const [a, b] = pair(0);
    while (a.push());
    settle(a, b);
    while (b.pop());
    connect(a, b);
    expect(a.push()).to.equal(true);
    drain(a, b);
    expectAll(a, b);
  });

  it('acknowledge what was popped while they logged in, without a heartbeat', () => {
    const [a, b] = pair(0);
    while (a.push());
    settle(a, b);
    connect(a, b, () => {
      while (b.pop());
    });
    settle(a, b);
    expect(a.push()).to.equal(true);
    drain(a, b);
    expectAll(a, b);
  });

  it('go on after a login that came while the consumer had not handed back what it popped', () => {
    const [a, b] = pair(0);
    while (a.push());
    settle(a, b);
    // Less than is handed back by itself.
    for (let i = 0; i < 2; i++) b.pop();
    connect(a, b);
    while (a.push());
    drain(a, b);
    expectAll(a, b);
  });

  it('send nothing when there is nothing to say, and a header alone as a heartbeat', () => {
    const [a, b] = pair(0);
    settle(a, b);
    expect(a.replication.prepare()).to.equal(false);
    expect(a.replication.prepare(0x80000000 | 0)).to.equal(true);
    expect([a.replication.firstLength, a.replication.secondLength]).to.deep.equal([0, 0]);
    expect(a.replication.sending).to.equal(true);
    a.replication.sent(23);
    expect([a.replication.sending, a.replication.headerStart]).to.deep.equal([true, 23]);
    a.replication.sent(1);
    expect(a.replication.sending).to.equal(false);
    expect(a.replication.prepare()).to.equal(false);
  });

  it('keep a batch apart until it is published', () => {
    const [a, b] = pair(0);
    for (let n = 0; n < 3; n++) {
      claim(a.producer, n);
      a.producer.pushMore();
    }
    settle(a, b);
    expect(b.replica.written).to.equal(0);
    a.producer.publish();
    settle(a, b);
    expect(b.replica.pushed).to.equal(3);
    drain(a, b);
    expectAll(a, b);
  });

  it('cut large frames', () => {
    const [a, b] = pair(0, 1 << 20);
    while (a.producer.pushed < 9000 && a.push());
    expect(a.replication.unsent).to.be.above(2 * 256 * 1024);
    expect(a.replication.prepare()).to.equal(true);
    expect(a.replication.firstLength).to.equal(256 * 1024);
    drain(a, b);
    expectAll(a, b);
  });

  describe('that come from a peer which breaks the rules', () => {
    const polls = (one: Side, other: Side): void => {
      for (let i = 0; i < 5; i++) one.poll(other, 1e6, 1e6);
    };

    for (const [what, acknowledged, sequence, message] of [
      ['acknowledge what was not sent', 4096, 100, /acknowledgement must be from position 0 to/],
      ['acknowledge backwards', -8, 0, /acknowledgement must be from position 0 to/],
      ['acknowledge half a record', 8, 0, /must end with a record/],
      ['count wrongly', -1, 2, /has popped 2 messages .* here they are 3/],
    ] as const) {
      it(`are refused when they ${what}`, () => {
        const [a, b] = pair(0);
        for (let i = 0; i < 3; i++) {
          claim(a.producer, i, 100);
          a.producer.push();
        }
        polls(a, b);
        const position = acknowledged === -1 ? a.producer.published : acknowledged;
        a.arriving.push(...dataFrame(0, new Uint8Array(0), position, sequence));
        expectCode(() => polls(a, b), 'ERR_PROTOCOL', message);
        if (acknowledged !== -1) expect(a.acknowledger.popped).to.equal(0);
      });
    }

    it('are refused when they acknowledge what is published and not sent yet', () => {
      const [a, b] = pair(0);
      claim(a.producer, 0, 100);
      a.producer.push();
      a.arriving.push(...dataFrame(0, new Uint8Array(0), a.producer.published, 1));
      expectCode(
        () => {
          for (let i = 0; i < 5; i++) a.poll(b, 1e6, 0);
        },
        'ERR_PROTOCOL',
        /acknowledgement must be from position 0 to 0, got 112/,
      );
    });

    for (const position of [8, -8, 2 ** 31 - 8]) {
      it(`are refused when they leave a gap or repeat: bytes from ${position}`, () => {
        const [a, b] = pair(0);
        a.arriving.push(...dataFrame(position, new Uint8Array(16), 0, 0));
        expectCode(() => polls(a, b), 'ERR_PROTOCOL', /expected the peer's bytes from position 0/);
      });
    }

    it('are refused when they do not fit', () => {
      const [a, b] = pair(0);
      a.arriving.push(...dataFrame(0, new Uint8Array(CAPACITY), 0, 0));
      expectCode(() => polls(a, b), 'ERR_PROTOCOL', /at most 4088 bytes/);
      expect(a.consumer.front()).to.equal(null);
    });

    it('are refused when they hold no record, and show nothing of it', () => {
      const [a, b] = pair(0);
      a.arriving.push(...dataFrame(0, new Uint8Array(16).fill(0xff), 0, 0));
      expectCode(() => polls(a, b), 'ERR_PROTOCOL', /record at position 0 is not valid/);
      expect(a.consumer.front()).to.equal(null);
    });

    it('show nothing when a bit was changed on the way', () => {
      const [sent, b] = pair(0);
      claim(sent.producer, 0, 30);
      sent.producer.push();
      polls(sent, b);
      const stream = b.arriving.slice();
      for (let bit = 0; bit < stream.length * 8; bit++) {
        const [, receiver] = pair(0);
        receiver.arriving = stream.slice();
        receiver.arriving[bit >> 3] = (stream[bit >> 3] as number) ^ (1 << (bit & 7));
        try {
          polls(receiver, sent);
        } catch (error) {
          expect((error as { code?: string }).code).to.match(/^ERR_PROTOCOL/);
        }
        expect(receiver.consumer.front(), `bit ${bit}`).to.equal(null);
        expect(new RingReplica(copyRing(receiver.incoming)).pushed, `bit ${bit}, after a crash`).to.equal(0);
      }
    });
  });
});
