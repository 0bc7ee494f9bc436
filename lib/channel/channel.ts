import type { Codec } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import type { Reader } from '../connection/side.js';
import { Waiter } from '../connection/waiter.js';
import { TcpshmError } from '../errors.js';
import { checkOptions } from '../options.js';
import type { Message } from '../ring/message.js';

export interface WaitOptions {
  /** Ends the waiting: the promise is rejected with its reason. */
  readonly signal?: AbortSignal;
}

export interface SendOptions extends WaitOptions {
  /** Of the message: 1 to 65535. Default 1. */
  readonly type?: number;
}

/** Gets a value of a message, which is popped when it returns. */
export type ValueHandler<D> = (value: D, type: number) => void;

/** Most values that a loop takes before a poll or the event loop has its turn. */
const VALUES_PER_TURN = 64;

const DONE = { done: true, value: undefined } as const;

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
   * body, or the body throws or leaves the loop, its message comes again; `pop` first to be done with it. Ends when the
   * connection is closed. Throws ERR_BUSY while there is another loop, a `receive` that waits, or handlers.
   */
  [Symbol.asyncIterator](): AsyncIterator<D, undefined> {
    return this.#intake.iterate();
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

  /** Waits until what was sent is safe as the durability of the connection words it, and closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.connection.state === 'closed') return;
    try {
      await this.connection.flush();
    } finally {
      this.connection.close();
    }
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
  if (connection.state === 'closed') throw connection.side.closedError();
  if (taken.has(connection)) {
    throw new TcpshmError('ERR_BUSY', `the connection to '${connection.remoteName}' has a channel already`);
  }
  taken.add(connection);
  return new Channel(connection, codec);
}

const taken = new WeakSet<Connection>();

/** The reading end of a channel. */
class Intake<D> implements Reader {
  readonly #connection: Connection;
  readonly #codec: Codec<never, D>;
  readonly #receivers: Waiter<D>[] = [];
  readonly #handlers = new Map<number | 'any', ValueHandler<D>>();
  #handling = false;
  /** The loop, the message that its body is at, and what it waits for. */
  #loop: object | null = null;
  #held = false;
  #next: Waiter<IteratorResult<D, undefined>> | null = null;
  #left = VALUES_PER_TURN;

  constructor(connection: Connection, codec: Codec<never, D>) {
    this.#connection = connection;
    this.#codec = codec;
    connection.side.reader = this;
  }

  get wants(): boolean {
    return this.#next !== null || this.#receivers.length > 0 || this.#handlers.size > 0;
  }

  receive(signal: AbortSignal | undefined): Promise<D> {
    if (this.#connection.state === 'closed') return Promise.reject(this.#connection.side.closedError());
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#loop !== null) return Promise.reject(this.#busy('a loop'));
    if (this.#handlers.size > 0) return Promise.reject(this.#busy('handlers'));
    if (this.#codec.isView) {
      return Promise.reject(
        new TcpshmError(
          'ERR_BUSY',
          `what '${this.#codec.name}' decodes is gone with its message: use a loop or handlers`,
        ),
      );
    }
    const receiver = new Waiter<D>(signal, () => {
      this.#receivers.splice(this.#receivers.indexOf(receiver), 1);
    });
    this.#receivers.push(receiver);
    if (this.#receivers.length === 1) this.#look(() => this.#give());
    return receiver.promise;
  }

  on(type: number | 'any', handler: ValueHandler<D>): void {
    if (typeof handler !== 'function') {
      throw new TcpshmError('ERR_OPTION', `a handler must be a function, got ${String(handler)}`);
    }
    if (type !== 'any' && (!Number.isInteger(type) || type < 1 || type > 0xffff)) {
      throw new TcpshmError(
        'ERR_MESSAGE_TYPE',
        `a message type is an integer from 1 to 65535, got ${String(type)}`,
      );
    }
    if (this.#loop !== null) throw this.#busy('a loop');
    if (this.#receivers.length > 0) throw this.#busy('a receive');
    this.#handlers.set(type, handler);
    // One that sleeps does not know of it yet.
    this.#connection.side.stir();
  }

  iterate(): AsyncIterator<D, undefined> {
    if (this.#loop !== null) throw this.#busy('a loop');
    if (this.#receivers.length > 0) throw this.#busy('a receive');
    if (this.#handlers.size > 0) throw this.#busy('handlers');
    const loop = {
      next: (): Promise<IteratorResult<D, undefined>> =>
        this.#loop === loop ? this.#advance() : Promise.resolve(DONE),
      return: (): Promise<IteratorResult<D, undefined>> => {
        if (this.#loop === loop) this.#leave();
        return Promise.resolve(DONE);
      },
    };
    this.#loop = loop;
    return loop;
  }

  visit(limit: number): boolean {
    if (this.#next !== null) return this.#resume();
    if (this.#receivers.length > 0) return this.#give();
    return this.#handlers.size > 0 && this.#handle(limit);
  }

  closed(error: TcpshmError): void {
    for (const receiver of this.#receivers.splice(0)) receiver.reject(error);
    this.#next?.resolve(DONE);
    this.#leave();
    this.#handlers.clear();
  }

  /** Looks for messages outside of polls, which tell what is wrong with them. */
  #look(take: () => boolean): void {
    try {
      take();
    } catch (error) {
      const { side, state } = this.#connection;
      if (state !== 'closed' && error !== side.ends.violation) throw error;
    }
  }

  /** The loop comes for its next value. */
  #advance(): Promise<IteratorResult<D, undefined>> {
    if (this.#next !== null) return Promise.reject(this.#busy('a loop'));
    try {
      if (this.#held) {
        this.#held = false;
        // Unless the body has popped it.
        if (this.#connection.side.ends.consumer.held) this.#connection.pop();
      }
      if (--this.#left > 0) {
        const message = this.#connection.front();
        if (message !== null) return Promise.resolve(this.#taken(message));
      }
    } catch (error) {
      if (this.#connection.state === 'closed') return Promise.resolve(DONE);
      // What the peer wrote and must not have is for a poll to tell.
      if (error !== this.#connection.side.ends.violation) return Promise.reject(error);
    }
    const next = new Waiter<IteratorResult<D, undefined>>(undefined, () => {});
    this.#next = next;
    // Perhaps there is more, and nobody polls while it is disconnected.
    if (this.#left <= 0) {
      setImmediate(() => {
        if (this.#next === next) this.#look(() => this.#resume());
      });
    }
    return next.promise;
  }

  /** Gives the loop the next value, if there is one. */
  #resume(): boolean {
    this.#left = VALUES_PER_TURN;
    const next = this.#next;
    const message = this.#connection.front();
    if (message === null || next === null) return false;
    this.#next = null;
    try {
      next.resolve(this.#taken(message));
    } catch (error) {
      next.reject(error);
    }
    return true;
  }

  #taken(message: Message): IteratorResult<D, undefined> {
    const value = this.#codec.decode(message);
    this.#held = true;
    return { done: false, value };
  }

  #leave(): void {
    this.#loop = null;
    this.#next = null;
    this.#held = false;
    this.#left = VALUES_PER_TURN;
  }

  /** Gives those who wait what there is. */
  #give(): boolean {
    let any = false;
    for (let receiver = this.#receivers[0]; receiver !== undefined; receiver = this.#receivers[0]) {
      const message = this.#connection.front();
      if (message === null) break;
      this.#receivers.shift();
      any = true;
      try {
        const value = this.#codec.decode(message);
        this.#connection.pop();
        receiver.resolve(value);
      } catch (error) {
        receiver.reject(error);
        // It is the next one's too, and he would not be told more.
        break;
      }
    }
    return any;
  }

  #handle(limit: number): boolean {
    if (this.#handling) return false;
    this.#handling = true;
    try {
      let handled = 0;
      for (; handled < limit; handled++) {
        const message = this.#connection.front();
        if (message === null) break;
        const { type } = message;
        const handler = this.#handlers.get(type) ?? this.#handlers.get('any');
        if (handler === undefined) break;
        handler(this.#codec.decode(message), type);
        if (this.#connection.state === 'closed') break;
        if (this.#connection.side.ends.consumer.held) this.#connection.pop();
      }
      return handled > 0;
    } finally {
      this.#handling = false;
    }
  }

  #busy(what: string): TcpshmError {
    return new TcpshmError(
      'ERR_BUSY',
      `${what} reads the channel to '${this.#connection.remoteName}' already`,
    );
  }
}
