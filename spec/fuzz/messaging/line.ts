import type { Connection, TcpshmError } from '../../../lib/index.js';
import { RingConsumer } from '../../../lib/ring/consumer.js';
import type { Message } from '../../../lib/ring/message.js';
import { RingProducer } from '../../../lib/ring/producer.js';
import { CAPACITY, newRing } from '../../ring/rings.js';

/** Whoever reads a connection, as a messenger does. */
interface Visited {
  readonly wants: boolean;
  visit(limit: number): boolean;
  closed(error: TcpshmError): void;
}

const RINGS = [newRing(), newRing()] as const;

/**
 * A connection as a messenger sees it, over two rings of plain memory, and the ends of its peer: to make one takes some µs,
 * so that each case can have its own, one after the other. There is no link that could end, so one is connected until it is closed.
 */
export class Line {
  /** What is read of the peer, by the number of the message: called before anybody looks at it. */
  onFront: (n: number) => void = () => {};
  readonly peer: { readonly producer: RingProducer; readonly consumer: RingConsumer };
  readonly side: {
    readonly delivery: { reader: Visited | null };
    readonly sleep: { stir(): void };
    readonly ends: {
      closed: boolean;
      violation: TcpshmError | null;
      readonly producer: RingProducer;
      readonly consumer: RingConsumer;
      isTold(error: unknown): boolean;
    };
    throwIfRead(): void;
    violate(error: TcpshmError): void;
  };
  readonly transport = 'inproc';
  readonly remoteName = 'peer';
  readonly #producer: RingProducer;
  readonly #consumer: RingConsumer;
  #seen = -1;

  constructor() {
    // One line is in use at a time, and memory is most of what it costs.
    const [outgoing, incoming] = RINGS;
    for (const ring of RINGS) ring.bytes.fill(0);
    const producer = new RingProducer(outgoing);
    const consumer = new RingConsumer(incoming);
    this.#producer = producer;
    this.#consumer = consumer;
    this.peer = { producer: new RingProducer(incoming), consumer: new RingConsumer(outgoing) };
    const ends: Line['side']['ends'] = {
      closed: false,
      violation: null,
      producer,
      consumer,
      isTold: () => false,
    };
    this.side = {
      delivery: { reader: null },
      sleep: { stir() {} },
      ends,
      throwIfRead() {},
      violate(error) {
        ends.violation ??= error;
      },
    };
  }

  /** As what a messenger is made of. */
  get connection(): Connection {
    return this as unknown as Connection;
  }
  get state(): 'connected' | 'closed' {
    return this.side.ends.closed ? 'closed' : 'connected';
  }
  get maxMessageBytes(): number {
    return CAPACITY / 4;
  }
  get pushed(): number {
    return this.#producer.pushed;
  }
  get popped(): number {
    return this.#consumer.popped;
  }

  /** How much was written and read, by either end of both rings. */
  get moved(): number {
    return this.pushed + this.popped + this.peer.consumer.popped;
  }

  /** A visit of a poll, which takes up to so many messages. */
  visit(limit: number): void {
    this.side.delivery.reader?.visit(limit);
  }

  front(): Message | null {
    const message = this.#consumer.front();
    if (message !== null && this.#seen !== this.popped) {
      this.#seen = this.popped;
      this.onFront(this.#seen);
    }
    return message;
  }

  pop(): void {
    this.#consumer.pop();
  }

  alloc(sizeBytes: number): Message | null {
    return this.#producer.claim(sizeBytes);
  }

  push(): void {
    this.#producer.push();
  }
}
