import type { Codec } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { abortSignal, checkOptions, type WaitOptions } from '../options.js';
import { Intake, type ValueHandler } from './intake.js';

/** How one value is sent, and how long `sendAsync` may wait for room. */
export interface SendOptions extends WaitOptions {
  /** Of the message: 1 to 65535. Default 1. */
  readonly type?: number;
}

/**
 * A connection that carries values: what is sent is encoded, what arrives is decoded, and who finds a full or an empty
 * queue can wait. Works while its client or server is polled or `run`s (an end of a RingChannel: while it is polled).
 *
 *     const orders = channel(connection, msgpack<Order>());
 *     await orders.sendAsync(order);
 *     for await (const order of orders) await book(order);
 *
 * There are three ways to read, one at a time: a loop, `receive`, and handlers. The connection's messages wait for them,
 * and are not for `onMessage` any more. A disconnect ends nothing: the session goes on with the next login. Closing
 * the connection rejects what waits with ERR_CLOSED, and ends a loop.
 */
export class Channel<T, D = T> implements AsyncIterable<D> {
  readonly connection: Connection;
  readonly codec: Codec<T, D>;
  readonly #intake: Intake<D>;

  /** @internal @see channel */
  constructor(connection: Connection, codec: Codec<T, D>) {
    this.connection = connection;
    this.codec = codec;
    this.#intake = new Intake(connection, codec);
  }

  /**
   * Sends a value. False when the queue is full, or others wait for room in it. Throws ERR_CODEC for a value that the
   * codec cannot carry, a RangeError for one that is too large, ERR_MESSAGE_TYPE, ERR_CLOSED.
   */
  send(value: T, type = 1): boolean {
    return !this.connection.side.room.waiting && this.#push(value, type);
  }

  /**
   * Sends a value as soon as there is room, after those that wait already. Resolves when it is in the queue. Rejects with
   * what `send` throws, ERR_CLOSED when the connection is closed before, and the signal's reason: then it was not sent.
   */
  sendAsync(value: T, { signal, type = 1 }: SendOptions = {}): Promise<void> {
    if (this.connection.state === 'closed') return Promise.reject(this.connection.side.closedError());
    return this.connection.side.room.add(() => this.#push(value, type), signal);
  }

  /**
   * Sends values as batches, as many as there is room for, and gives their number. Those of one call that found room
   * become visible to the peer at once. When one cannot be sent, throws what `send` throws, and none was sent.
   */
  sendMany(values: Iterable<T>, type = 1): number {
    const { connection, codec } = this;
    if (connection.side.room.waiting) return 0;
    let sent = 0;
    try {
      for (const value of values) {
        const message = codec.encode(connection, value);
        if (message === null) break;
        message.type = type;
        connection.pushMore();
        sent++;
      }
    } catch (error) {
      if (connection.state !== 'closed') connection.side.ends.producer.retract();
      throw error;
    }
    if (sent > 0) connection.publish();
    return sent;
  }

  /**
   * The next value, which is popped with this. Several wait in order. Rejects with ERR_CODEC when the message is not what
   * the codec writes (it stays, see `pop`), ERR_BUSY while a loop or handlers read or with a codec in place, ERR_CLOSED,
   * and the signal's reason: then nothing was popped.
   */
  receive({ signal }: WaitOptions = {}): Promise<D> {
    return this.#intake.receive(signal);
  }

  /**
   * The values as they come. A message is popped when the loop comes back for the next one: so if this process dies in the
   * body, or the body throws, its message comes again. It does after `break` and `return` as well, as a loop that is left is
   * told nothing of why: to be done with the message that a loop is left with, `pop` first.
   *
   *     for await (const order of orders) {
   *       await book(order);
   *       if (order.last) {
   *         orders.pop();
   *         break;
   *       }
   *     }
   *
   * Ends when the connection is closed. Throws ERR_BUSY while there is another loop, a `receive` that waits, or handlers.
   */
  [Symbol.asyncIterator](): AsyncIterator<D, undefined> {
    return this.#intake.iterate(undefined);
  }

  /**
   * The same, for a loop that a signal ends: it throws its reason when it comes for a value, or waits for one. The value
   * that its body was at is popped.
   */
  values({ signal }: WaitOptions = {}): AsyncIterable<D> {
    const checked = abortSignal(signal);
    return { [Symbol.asyncIterator]: () => this.#intake.iterate(checked) };
  }

  /**
   * Has polls hand values to `handler`: those of messages of one type, or 'any' that has no handler of its own. A message
   * is popped when its handler returns; when that throws, the poll throws it, and the message comes again. One that nobody
   * handles stays. Throws ERR_BUSY while a loop or a `receive` reads, ERR_MESSAGE_TYPE.
   */
  on(type: number | 'any', handler: ValueHandler<D>): this {
    this.#intake.on(type, handler);
    return this;
  }

  /** Done with the message that a loop is at, or that could not be decoded. Throws ERR_NO_MESSAGE. */
  pop(): void {
    this.connection.front();
    this.connection.pop();
  }

  /** Closes the connection. What was sent and not received stays in the session, as `Connection.close` has it. */
  close(): void {
    this.connection.close();
  }

  /** As `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Waits until what was sent is safe as the durability of the connection words it, and closes: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.connection[Symbol.asyncDispose]();
  }

  #push(value: T, type: number): boolean {
    const { connection } = this;
    const message = this.codec.encode(connection, value);
    if (message === null) return false;
    try {
      message.type = type;
    } catch (error) {
      connection.side.ends.producer.forget();
      throw error;
    }
    connection.push();
    return true;
  }
}

/**
 * A channel over a connection. One for each: throws ERR_BUSY when there is one already, ERR_OPTION for what is no codec,
 * ERR_CLOSED.
 */
export function channel<T, D = T>(connection: Connection, codec: Codec<T, D>): Channel<T, D> {
  checkOptions(codec, ['encode', 'decode']);
  if (typeof codec.encode !== 'function' || typeof codec.decode !== 'function') {
    throw new TcpshmError('ERR_OPTION', 'a channel needs a codec, with encode and decode');
  }
  connection.side.throwIfRead();
  return new Channel(connection, codec);
}
