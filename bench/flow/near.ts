/**
 * The near side: sends messages one way as fast as they go, until the other side has popped the last one and says so;
 * or has many on their way there and back.
 *
 *   near processor                                          far processor
 *   alloc, write, push ──► [ ring, or two over TCP ] ──►    front, verify, pop
 *                      ◄── count and checksum          ◄──  behind the last one
 */
import { performance } from 'node:perf_hooks';
import type { Connection } from '../../lib/index.js';
import { noAnswer } from '../subjects/exchange.js';
import { tallyOf } from './bulk.js';
import { type FlowSettings, LAST } from './settings.js';
import type { Sides } from './sides.js';

/** A started flow. Belongs to the thread that started it. */
export interface Flow {
  /** Whether `move` gives a promise, always, or never. */
  readonly asynchronous: boolean;
  /**
   * Moves `count` messages and is done when the last one was popped and both sides have the same count and checksum.
   * Throws, or rejects, when they have not, at the first message that is wrong, and when the other side is gone.
   */
  move(count: number): void | Promise<void>;
  /** What must happen now and then (heartbeats). Called between two moves, untimed. */
  between?(): void;
  /** Ends both sides and leaves nothing behind. Twice is harmless. */
  stop(): Promise<void>;
}

/** Messages that are on their way there and back at most. */
const WINDOW = 256;
/** Payload from one poll of a socket to the next: as much as limits/tcp_stream.c writes at once. */
const BYTES_PER_POLL = 65_536;
/** Looks at a queue from one look at the clock to the next. */
const LOOKS = 2 ** 16;
const PATIENCE_MS = 20_000;

export function makeFlow(settings: FlowSettings, sides: Sides): Flow {
  if (settings.carrier === 'tcp-net') return new LoopFlow(settings, sides);
  return settings.duty === 'echo' ? new EchoFlow(settings, sides) : new OneWayFlow(settings, sides);
}

abstract class PolledFlow implements Flow {
  readonly asynchronous = false;
  protected readonly connection: Connection;
  readonly #sides: Sides;
  readonly #polls: boolean;
  #now = performance.now();
  #looks = 0;
  #deadline = 0;

  constructor({ carrier }: FlowSettings, sides: Sides) {
    this.connection = sides.connection;
    this.#sides = sides;
    this.#polls = carrier === 'tcp';
  }

  abstract move(count: number): void;

  between(): void {
    this.#now = performance.now();
    this.#sides.client?.pollControl(this.#now);
  }

  stop(): Promise<void> {
    return this.#sides.stop();
  }

  protected begin(): void {
    this.#deadline = performance.now() + PATIENCE_MS;
  }

  /** Lets the socket move, where there is one: a poll needs a time, not the time. */
  protected poll(): void {
    if (this.#polls) this.#sides.client?.pollTcp(this.#now);
  }

  /** The same, in vain so far: throws when that has been so for long. */
  protected wait(sequence: number): void {
    this.poll();
    if (++this.#looks % LOOKS !== 0) return;
    this.between();
    if (this.connection.state !== 'connected')
      throw new Error(`the far side is gone, at message ${sequence}`);
    if (this.#now > this.#deadline) throw noAnswer(sequence);
  }
}

class OneWayFlow extends PolledFlow {
  readonly #settings: FlowSettings;
  readonly #pushesPerPoll: number;
  readonly #seen;

  constructor(settings: FlowSettings, sides: Sides) {
    super(settings, sides);
    this.#settings = settings;
    this.#pushesPerPoll = pushesPerPoll(settings);
    this.#seen = tallyOf(settings.bytes);
  }

  move(count: number): void {
    this.begin();
    if (this.#settings.batch === 1) this.#pushEach(count);
    else this.#pushBatches(count, this.#settings.batch);
    let message = this.connection.front();
    for (; message === null; message = this.connection.front()) this.wait(this.#seen.count);
    this.#seen.check(message);
    this.connection.pop();
  }

  #pushEach(count: number): void {
    const { connection } = this;
    const { bytes } = this.#settings;
    const seen = this.#seen;
    const perPoll = this.#pushesPerPoll;
    for (let i = 1; i <= count; i++) {
      let message = connection.alloc(bytes);
      for (; message === null; message = connection.alloc(bytes)) this.wait(seen.count);
      seen.write(message);
      if (i === count) message.type = LAST;
      connection.push();
      if (i % perPoll === 0) this.poll();
    }
  }

  #pushBatches(count: number, batch: number): void {
    const { connection } = this;
    const { bytes } = this.#settings;
    const seen = this.#seen;
    const perPoll = this.#pushesPerPoll;
    for (let i = 1; i <= count; i++) {
      let message = connection.alloc(bytes);
      if (message === null) {
        // What is in the batch so far has to go out, or there is never room.
        connection.publish();
        for (; message === null; message = connection.alloc(bytes)) this.wait(seen.count);
      }
      seen.write(message);
      if (i === count) message.type = LAST;
      if (i % batch === 0 || i === count) connection.push();
      else connection.pushMore();
      if (i % perPoll === 0) this.poll();
    }
  }
}

/** Round trips of which many are under way. */
class EchoFlow extends PolledFlow {
  readonly #settings: FlowSettings;
  readonly #sent;
  readonly #back;

  constructor(settings: FlowSettings, sides: Sides) {
    super(settings, sides);
    this.#settings = settings;
    this.#sent = tallyOf(settings.bytes);
    this.#back = tallyOf(settings.bytes);
  }

  move(count: number): void {
    const { connection } = this;
    const { bytes } = this.#settings;
    const [sent, back] = [this.#sent, this.#back];
    const end = (back.count + count) | 0;
    this.begin();
    while (back.count !== end) {
      while (sent.count !== end && sent.count - back.count < WINDOW) {
        const message = connection.alloc(bytes);
        if (message === null) break;
        sent.write(message);
        connection.push();
      }
      this.wait(back.count);
      for (let message = connection.front(); message !== null; message = connection.front()) {
        back.read(message);
        connection.pop();
      }
    }
    sent.compare(back);
  }
}

/** One way over sockets of node:net, whose bytes move only while the event loop turns. */
class LoopFlow implements Flow {
  readonly asynchronous = true;
  readonly #settings: FlowSettings;
  readonly #sides: Sides;
  readonly #seen;

  constructor(settings: FlowSettings, sides: Sides) {
    this.#settings = settings;
    this.#sides = sides;
    this.#seen = tallyOf(settings.bytes);
  }

  async move(count: number): Promise<void> {
    const { connection } = this.#sides;
    const seen = this.#seen;
    const deadline = performance.now() + PATIENCE_MS;
    for (let sent = 0; sent < count; ) {
      sent = this.#fill(sent, count);
      await this.#turn(deadline);
    }
    let message = connection.front();
    for (; message === null; message = connection.front()) await this.#turn(deadline);
    seen.check(message);
    connection.pop();
  }

  stop(): Promise<void> {
    return this.#sides.stop();
  }

  /** Pushes until the queue is full, and gives how many of `count` were sent. */
  #fill(from: number, count: number): number {
    const { connection } = this.#sides;
    const { bytes, batch } = this.#settings;
    for (let i = from + 1; i <= count; i++) {
      const message = connection.alloc(bytes);
      if (message === null) {
        connection.publish();
        return i - 1;
      }
      this.#seen.write(message);
      if (i === count) message.type = LAST;
      if (i % batch === 0 || i === count) connection.push();
      else connection.pushMore();
    }
    return count;
  }

  async #turn(deadline: number): Promise<void> {
    const now = performance.now();
    if (now > deadline) throw noAnswer(this.#seen.count);
    this.#sides.client?.poll(now);
    await new Promise(setImmediate);
  }
}

function pushesPerPoll({ bytes }: FlowSettings): number {
  return Math.max(1, Math.floor(BYTES_PER_POLL / bytes));
}
