import type { Codec } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { checkOptions, choice, count } from '../options.js';
import { Scratch } from '../port/scratch.js';

/** What becomes of a client whose queue is full. */
export const SLOW_POLICIES = [
  'wait', // the message waits here until there is room
  'drop', // it does not get the message, which is counted
  'disconnect', // its connection is closed; its session stays, with what is in the queue
] as const;
/** One of {@link SLOW_POLICIES}. */
export type SlowPolicy = (typeof SLOW_POLICIES)[number];

/** What a broadcaster does about slow clients, and how its messages are marked. */
export interface BroadcastOptions {
  /** Default 'wait'. */
  readonly slow?: SlowPolicy;
  /** With 'wait': messages that wait for one client. One more is refused with ERR_QUEUE_FULL. Default 1024. */
  readonly maxWaiting?: number;
  /** Of the messages: 1 to 65535. Default 1. */
  readonly type?: number;
}

/** What became of one message, in numbers of clients. */
export interface BroadcastOutcome {
  readonly sent: number;
  readonly waiting: number;
  readonly dropped: number;
  readonly disconnected: number;
  /** Resolves when none waits any more: each has the message in its queue, or its connection was closed. */
  readonly settled: Promise<void>;
}

/** Whose connections they are: a server. */
export interface Audience {
  readonly connections: readonly Connection[];
}

/**
 * Sends the same to many clients: encodes it once, and copies it into the queue of each. A client that is slow delays no
 * other one. For connections that carry messages or channels of the codec; those with a messenger have notifications.
 * Belongs to the thread of the connections.
 *
 *     const ticker = new Broadcaster(server, msgpack<Price>(), { slow: 'drop' });
 *     ticker.send(price);
 */
export class Broadcaster<T> {
  readonly #audience: Audience;
  readonly #codec: Codec<T>;
  readonly #slow: SlowPolicy;
  readonly #maxWaiting: number;
  readonly #type: number;
  readonly #scratch = new Scratch();
  readonly #waiting = new WeakMap<Connection, number>();
  readonly #dropped = new WeakMap<Connection, number>();

  /** Throws ERR_OPTION, ERR_MESSAGE_TYPE. */
  constructor(audience: Audience, codec: Codec<T>, options: BroadcastOptions = {}) {
    checkOptions(options);
    const { type = 1 } = options;
    if (!Number.isInteger(type) || type < 1 || type > 0xffff) {
      throw new TcpshmError('ERR_MESSAGE_TYPE', `a message type is an integer from 1 to 65535, got ${type}`);
    }
    this.#audience = audience;
    this.#codec = codec;
    this.#slow = choice(options.slow, 'slow', SLOW_POLICIES) ?? 'wait';
    this.#maxWaiting = count(options.maxWaiting, 'maxWaiting', 1024);
    this.#type = type;
  }

  /** Messages that a client was not sent, as it was too slow. */
  dropped(connection: Connection): number {
    return this.#dropped.get(connection) ?? 0;
  }

  /**
   * Sends a value to these connections, by default to all that are connected. (One that is disconnected takes it too, if
   * it is named: its session does.) What is closed is passed over. Throws ERR_CODEC, a RangeError for what is too large for
   * one of them, ERR_QUEUE_FULL when too much waits for one of them: then nothing was sent to any.
   */
  send(value: T, to: Iterable<Connection> = this.#connected()): BroadcastOutcome {
    const targets = [...new Set(to)].filter(({ state }) => state !== 'closed');
    const bytes = this.#scratch.encode(this.#codec, value);
    this.#check(targets, bytes);
    const outcome = { sent: 0, dropped: 0, disconnected: 0 };
    const waits: Promise<void>[] = [];
    for (const connection of targets) {
      if (connection.state === 'closed') continue;
      if (!connection.side.room.waiting && connection.send(bytes, this.#type)) outcome.sent++;
      else if (this.#slow === 'drop') {
        outcome.dropped++;
        this.#dropped.set(connection, this.dropped(connection) + 1);
      } else if (this.#slow === 'disconnect') {
        outcome.disconnected++;
        connection.close();
      } else waits.push(this.#wait(connection, bytes));
    }
    const settled = Promise.all(waits).then(() => {});
    return { ...outcome, waiting: waits.length, settled };
  }

  #connected(): Connection[] {
    return this.#audience.connections.filter(({ state }) => state === 'connected');
  }

  #check(targets: readonly Connection[], bytes: Uint8Array): void {
    for (const connection of targets) {
      const { maxMessageBytes, remoteName } = connection;
      if (bytes.length > maxMessageBytes) {
        throw new RangeError(
          `a message of ${bytes.length} bytes is too large for '${remoteName}': at most ${maxMessageBytes}`,
        );
      }
      if ((this.#waiting.get(connection) ?? 0) < this.#maxWaiting) continue;
      throw new TcpshmError(
        'ERR_QUEUE_FULL',
        `${this.#maxWaiting} messages wait for room in the queue of '${remoteName}' already`,
      );
    }
  }

  /** Resolved when the connection is closed, too: then nobody is there to have it. */
  async #wait(connection: Connection, bytes: Uint8Array): Promise<void> {
    this.#waiting.set(connection, (this.#waiting.get(connection) ?? 0) + 1);
    try {
      await connection.side.room.add(() => connection.send(bytes, this.#type), undefined);
    } catch (error) {
      if (connection.state !== 'closed') throw error;
    } finally {
      this.#waiting.set(connection, (this.#waiting.get(connection) ?? 0) - 1);
    }
  }
}
