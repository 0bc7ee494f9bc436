import type { Codec } from '../codec/codec.js';
import type { Connection } from '../connection/connection.js';
import type { Reader } from '../connection/delivery.js';
import { Turn } from '../connection/turn.js';
import { refusedBy, Waiter } from '../connection/waiter.js';
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';

/** Gets a value of a message, which is popped when it returns. */
export type ValueHandler<D> = (value: D, type: number) => void;

/** Most values that a loop, or who receives, takes at once. With 64 of them `everyday/for-await` took a fifth longer. */
const VALUES_PER_TURN = 256;

const DONE = { done: true, value: undefined } as const;

/** The reading end of a channel: gives its messages to a loop, to those who receive, or to handlers. */
export class Intake<D> implements Reader {
  readonly #connection: Connection;
  readonly #codec: Codec<never, D>;
  readonly #receivers: Waiter<D>[] = [];
  readonly #handlers = new Map<number | 'any', ValueHandler<D>>();
  #handling = false;
  /** Whether the oldest message has no handler, and waits until it has. */
  #unhandled = false;
  /** The loop, the message that its body is at, and what it waits for. */
  #loop: object | null = null;
  #held = false;
  #next: Waiter<IteratorResult<D, undefined>> | null = null;
  readonly #turn = new Turn(VALUES_PER_TURN, () => {
    if (this.#next !== null) this.#look(() => this.#resume());
    else if (this.#receivers.length > 0) this.#look(() => this.#give());
  });
  /** The cursor that the loop got last, and the promise that it came with. */
  #view: D | null = null;
  #given: Promise<IteratorResult<D, undefined>> = Promise.resolve(DONE);

  constructor(connection: Connection, codec: Codec<never, D>) {
    this.#connection = connection;
    this.#codec = codec;
    connection.side.delivery.reader = this;
  }

  get wants(): boolean {
    return this.#next !== null || this.#receivers.length > 0 || (this.#handlers.size > 0 && !this.#unhandled);
  }

  /** Handlers have had what they get. */
  get settles(): boolean {
    return this.#handlers.size === 0;
  }

  receive(signal: AbortSignal | undefined): Promise<D> {
    if (this.#connection.state === 'closed') return Promise.reject(this.#connection.side.closedError());
    const refused = refusedBy(signal);
    if (refused !== null) return refused;
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
    if (this.#receivers.length === 1 && this.#turn.take()) this.#look(() => this.#give());
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
    this.#unhandled = false;
    // One that sleeps does not know of it yet.
    this.#connection.side.sleep.stir();
  }

  iterate(signal: AbortSignal | undefined): AsyncIterator<D, undefined> {
    if (this.#loop !== null) throw this.#busy('a loop');
    if (this.#receivers.length > 0) throw this.#busy('a receive');
    if (this.#handlers.size > 0) throw this.#busy('handlers');
    const loop = {
      next: (): Promise<IteratorResult<D, undefined>> =>
        this.#loop === loop ? this.#advance(signal) : Promise.resolve(DONE),
      return: (): Promise<IteratorResult<D, undefined>> => {
        if (this.#loop === loop) this.#leave();
        return Promise.resolve(DONE);
      },
    };
    this.#loop = loop;
    return loop;
  }

  visit(limit: number): boolean {
    this.#turn.renew();
    if (this.#next !== null) return this.#resume();
    if (this.#receivers.length > 0) return this.#give();
    return this.#handlers.size > 0 && this.#handle(limit);
  }

  closed(error: TcpshmError): void {
    for (const receiver of this.#receivers.splice(0)) receiver.reject(error);
    this.#leave();
    this.#handlers.clear();
  }

  /** Looks for messages outside of polls, which tell what is wrong with them. */
  #look(take: () => boolean): void {
    try {
      take();
    } catch (error) {
      const { side, state } = this.#connection;
      if (state !== 'closed' && !side.ends.isTold(error)) throw error;
    }
  }

  /** The loop comes for its next value. */
  #advance(signal: AbortSignal | undefined): Promise<IteratorResult<D, undefined>> {
    if (this.#next !== null) return Promise.reject(this.#busy('a loop'));
    try {
      if (this.#held) {
        this.#held = false;
        // Unless the body has popped it.
        if (this.#connection.side.ends.consumer.held) this.#connection.pop();
      }
      if (signal?.aborted) {
        this.#leave();
        return Promise.reject(signal.reason);
      }
      if (this.#turn.take()) {
        const message = this.#connection.front();
        if (message !== null) return this.#settled(message);
      }
    } catch (error) {
      if (this.#connection.state === 'closed') return Promise.resolve(DONE);
      // What the peer wrote and must not have is for a poll to tell.
      if (!this.#connection.side.ends.isTold(error)) return Promise.reject(error);
    }
    const next = new Waiter<IteratorResult<D, undefined>>(signal, () => this.#leave());
    this.#next = next;
    return next.promise;
  }

  /** Gives the loop the next value, if there is one. */
  #resume(): boolean {
    const next = this.#next;
    const message = this.#connection.front();
    if (message === null || next === null) return false;
    this.#next = null;
    try {
      next.resolve({ done: false, value: this.#taken(message) });
    } catch (error) {
      next.reject(error);
    }
    return true;
  }

  /**
   * A codec in place gives one cursor again and again: so the loop can get one promise again and again, and allocates
   * nothing. That and the turns made `everyday/for-await` 1.7 times as fast.
   */
  #settled(message: Message): Promise<IteratorResult<D, undefined>> {
    const taken = this.#taken(message);
    if (!this.#codec.isView) return Promise.resolve({ done: false, value: taken });
    if (taken !== this.#view) {
      this.#view = taken;
      this.#given = Promise.resolve({ done: false, value: taken });
    }
    return this.#given;
  }

  #taken(message: Message): D {
    const value = this.#codec.decode(message);
    this.#held = true;
    return value;
  }

  /** The loop is over, also for who has come for its next value already. */
  #leave(): void {
    this.#next?.resolve(DONE);
    this.#loop = null;
    this.#next = null;
    this.#held = false;
    this.#turn.renew();
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
    this.#unhandled = false;
    try {
      let handled = 0;
      for (; handled < limit; handled++) {
        const message = this.#connection.front();
        if (message === null) break;
        const { type } = message;
        const handler = this.#handlers.get(type) ?? this.#handlers.get('any');
        if (handler === undefined) {
          this.#unhandled = true;
          break;
        }
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
