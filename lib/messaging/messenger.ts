import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { choice } from '../options.js';
import { Scratch } from '../port/scratch.js';
import type { Reading } from './assembler.js';
import {
  type Call,
  type Caller,
  type Load,
  type Method,
  type NoticeOptions,
  neverIdempotent,
  type PartsReader,
  type RequestOptions,
  type Shape,
  type Started,
} from './call.js';
import { Greeting } from './greeting.js';
import { Incomplete } from './incomplete.js';
import { OwnRequest } from './ownRequest.js';
import { MethodName } from './packet.js';
import { PacketReader, type PacketTakers } from './packetReader.js';
import { Requester } from './requester.js';
import { checkRequest } from './requestOptions.js';
import { Responder } from './responder.js';
import { Sender } from './sender.js';
import type { Handler, Served } from './served.js';
import { type MessengerOptions, type MessengerSettings, messengerSettings } from './settings.js';
import { isAfter, MESSENGER_STATES, type MessengerState } from './states.js';
import { Timeouts } from './timeouts.js';

/** Names of methods that are kept as they are written. */
const MOST_NAMES = 1024;

/** What a messenger has seen. */
export interface MessengerCounters {
  /** Requests of the peer that are under way here now. */
  readonly underWay: number;
  /** Answers that nobody waited for any more. */
  readonly lateAnswers: number;
  /** What came for requests of the peer that had their end. */
  readonly lateRequests: number;
  /** Notifications without a handler, or too many at once: nobody is told of them otherwise. */
  readonly refusedNotices: number;
}

/**
 * Requests, streams and notifications over a connection: README.md beside this file has what is promised. Works while the
 * client or server of the connection is polled or `run`s (an end of a RingChannel: while it is polled). Belongs to the
 * thread of its connection, whose messages are all its own: nothing else may send over it, also no writer.
 */
export class Messenger implements Caller {
  readonly connection: Connection;
  readonly #settings: MessengerSettings;
  readonly #sender: Sender;
  readonly #requester: Requester;
  readonly #responder: Responder;
  readonly #packets: PacketReader;
  readonly #timeouts: Timeouts<OwnRequest | Served>;
  readonly #names = new Map<Method, MethodName>();
  #ended: TcpshmError | null = null;
  #drained: (() => void)[] = [];
  #draining = false;
  #state: MessengerState;

  /** @internal @see messenger */
  constructor(connection: Connection, options: MessengerOptions) {
    this.connection = connection;
    const settings = messengerSettings(connection, options);
    this.#settings = settings;
    this.#state = settings.state;
    const scratch = new Scratch();
    const reading: Reading = {
      windowBytes: settings.windowBytes,
      maxValueBytes: settings.maxValueBytes,
      incomplete: new Incomplete(settings.maxIncompleteBytes),
      codec: settings.codec,
      compression: settings.compression,
      scratch,
    };
    this.#timeouts = new Timeouts((timed) => {
      if (timed instanceof OwnRequest) this.#requester.expire(timed);
      else this.#responder.expire(timed);
    });
    const { deadlines } = this.#timeouts;
    const pump = (): void => {
      try {
        this.#sender.pump(this.#requester.refill);
      } catch (error) {
        this.#excuse(error);
      }
    };
    this.#sender = new Sender(connection, settings, scratch, (exchange, message) =>
      this.#requester.exchanges.leaves(exchange as OwnRequest, message),
    );
    this.#requester = new Requester(this.#sender, reading, deadlines, pump);
    this.#responder = new Responder(
      this.#sender,
      reading,
      settings.maxRequests,
      deadlines,
      pump,
      () => this.#packets.pop(),
      (served) => {
        if (settings.handlerTimeoutMs !== null) this.#timeouts.limit(served, settings.handlerTimeoutMs);
      },
    );
    this.#requester.exchanges.held = settings.state !== 'active';
    const [sender, requester, responder] = [this.#sender, this.#requester, this.#responder];
    const greeting = new Greeting(settings, connection.popped, sender, requester, responder);
    const takers: PacketTakers = {
      requester,
      responder,
      onRaw: settings.onRaw,
      onHello: (hello) => greeting.heard(hello),
      visited: () => this.#visited(),
      closed: (error) => this.#end(error),
    };
    this.#packets = new PacketReader(connection, takers, settings.state === 'raw');
    connection.side.delivery.reader = this.#packets;
    // One that sleeps does not know of it yet.
    connection.side.sleep.stir();
    pump();
  }

  /** Whether a request that is made now could leave: whether the peer is there, and nothing waits for room. */
  get connected(): boolean {
    return this.#ended === null && this.#state === 'active' && this.#sender.connected;
  }

  /** How far it has come; `enter` goes on. */
  get state(): MessengerState {
    return this.#state;
  }

  /** Goes on to a later state: what has waited for it goes its way. Throws ERR_OPTION for an earlier one. */
  enter(state: MessengerState): void {
    choice(state, 'state', MESSENGER_STATES);
    if (state === this.#state) return;
    if (!isAfter(state, this.#state)) {
      throw new TcpshmError('ERR_OPTION', `a messenger that is ${this.#state} cannot become ${state} again`);
    }
    this.#state = state;
    this.#packets.admitAll();
    this.#requester.exchanges.held = state !== 'active';
    this.connection.side.sleep.stir();
    try {
      this.#requester.refill();
    } catch (error) {
      this.#excuse(error);
    }
  }

  /**
   * Sends bytes as they are to the peer's `onRaw`, in one message: for what is to be said before requests may go. False
   * where there is no room, or no peer, at the moment. Throws ERR_OPTION after the state 'raw', ERR_CLOSED, a RangeError for
   * more than fit a message.
   */
  sendRaw(bytes: Uint8Array): boolean {
    if (this.#ended !== null) throw this.#ended;
    if (this.#state !== 'raw') {
      throw new TcpshmError('ERR_OPTION', `a messenger that is ${this.#state} sends no raw bytes`);
    }
    return this.#sender.raw(bytes);
  }

  /** Own requests, streams and notifications that are not settled. */
  get load(): Load {
    const { waiting, open } = this.#requester.exchanges;
    return { waiting, open };
  }

  /** What came too late, was refused, or is under way here for the peer: numbers of the moment. */
  get counters(): MessengerCounters {
    const { lateAnswers } = this.#requester;
    const { underWay, lateRequests, refusedNotices } = this.#responder;
    return { underWay, lateAnswers, lateRequests, refusedNotices };
  }

  /**
   * Asks the peer, and gives its answer. Rejects with ERR_ANSWER when that is an error (its cause), ERR_NOT_SENT,
   * ERR_UNANSWERED, ERR_TIMEOUT, ERR_CODEC for a value that the codec cannot carry, the signal's reason, and what `body`
   * throws. Throws ERR_OPTION, ERR_CLOSED, ERR_QUEUE_FULL.
   */
  request<R = unknown>(method: Method, value?: unknown, options: RequestOptions = NO_OPTIONS): Promise<R> {
    return this.call<R>(method, value, options).response;
  }

  /**
   * As `request`, for who has to know whether it has left, or wants to take it back. Throws what `request` throws; all
   * else is told by the call.
   */
  call<R = unknown>(method: Method, value?: unknown, options: RequestOptions = NO_OPTIONS): Call<R> {
    return this.#begin(method, value, options, false, false);
  }

  /**
   * Asks for an answer in parts, to be read by one loop; those that wait hold the other side back. Leaving the loop gives
   * the request up. Its `next` rejects with what `request` rejects with. Throws what `request` throws.
   */
  stream<R = unknown>(method: Method, value?: unknown, options: RequestOptions = NO_OPTIONS): PartsReader<R> {
    if (options.idempotent === true) throw neverIdempotent();
    const request = this.#begin(method, value, options, false, true);
    request.response.catch(() => {});
    return request.parts as unknown as PartsReader<R>;
  }

  /**
   * Tells the peer something, of which no answer is expected. Resolves when all of it is in the queue. Rejects with
   * ERR_NOT_SENT, ERR_UNANSWERED (some of it was sent), ERR_CODEC, the signal's reason. Throws what `request` throws.
   */
  notify(method: Method, value?: unknown, options: NoticeOptions = NO_OPTIONS): Promise<void> {
    return this.#begin(method, value, options, true, false).response;
  }

  /** `call`, `stream` or `notify`, as the shape says, for who has to know more of it. Throws what they throw. */
  start(shape: Shape, method: Method, value: unknown, options: RequestOptions): Started {
    return this.#begin(method, value, options, shape === 'nothing', shape === 'many');
  }

  /**
   * Has requests and notifications of a method answered. Throws ERR_OPTION, also for a method that has a handler: `null`
   * takes that away first.
   */
  handle(method: Method, handler: Handler | null): this {
    new MethodName(method);
    const { handlers } = this.#responder;
    if (handler === null) {
      handlers.delete(method);
      return this;
    }
    if (typeof handler !== 'function') {
      throw new TcpshmError('ERR_OPTION', `a handler must be a function, got ${String(handler)}`);
    }
    if (handlers.has(method)) throw new TcpshmError('ERR_OPTION', `'${method}' has a handler already`);
    handlers.set(method, handler);
    return this;
  }

  /** Refuses what is new of this side with ERR_CLOSED. Resolves when all that is not settled is. */
  drain(): Promise<void> {
    this.#draining = true;
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#tellDrained();
    });
  }

  /**
   * The end of the messenger: own requests are settled, the handlers of others aborted. The connection stays open, for
   * another messenger: a requester whose handler was aborted is told when that says hello. Twice is harmless.
   */
  close(): void {
    if (this.#ended !== null) return;
    const { side } = this.connection;
    if (side.delivery.reader === this.#packets) side.delivery.reader = null;
    this.#end(new TcpshmError('ERR_CLOSED', 'the messenger was closed'));
  }

  #begin(
    method: Method,
    value: unknown,
    options: RequestOptions,
    notice: boolean,
    many: boolean,
  ): OwnRequest {
    if (this.#ended !== null) throw this.#ended;
    if (this.#draining) throw new TcpshmError('ERR_CLOSED', 'the messenger is drained');
    const { exchanges } = this.#requester;
    const most = this.#settings.maxOwnRequests;
    if (exchanges.waiting + exchanges.open >= most) {
      throw new TcpshmError('ERR_QUEUE_FULL', `${most} requests are under way`);
    }
    const name = this.#nameOf(method);
    if (options !== NO_OPTIONS) checkRequest(options);
    const request = new OwnRequest(this.#requester, name, value, options, notice);
    if (many) this.#requester.expectParts(request);
    if (options.signal?.aborted) {
      request.stage = 'settled';
      request.parts?.end(options.signal.reason);
      request.reject(options.signal.reason);
      return request;
    }
    if (options.timeoutMs !== undefined) this.#timeouts.limit(request, options.timeoutMs);
    try {
      this.#requester.begin(request);
    } catch (error) {
      this.#excuse(error);
    }
    return request;
  }

  #nameOf(method: Method): MethodName {
    let name = this.#names.get(method);
    if (name === undefined) {
      name = new MethodName(method);
      if (this.#names.size === MOST_NAMES) this.#names.clear();
      this.#names.set(method, name);
    }
    return name;
  }

  /** For what writing into the ring has thrown: what the peer has done to that is for a poll to tell. */
  #excuse(error: unknown): void {
    const { side, state } = this.connection;
    if (state !== 'closed' && !side.ends.isTold(error)) throw error;
  }

  #visited(): boolean {
    this.#requester.refill();
    const sent = this.#sender.pump(this.#requester.refill);
    this.#timeouts.visit();
    if (this.#draining) this.#tellDrained();
    return sent;
  }

  #tellDrained(): void {
    const { waiting, open } = this.#requester.exchanges;
    if (waiting + open > 0) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  #end(error: TcpshmError): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#packets.stop();
    this.#requester.close(error);
    this.#responder.close(error);
    this.#timeouts.stop();
    this.#tellDrained();
  }
}

/**
 * A messenger over a connection; both sides make one. One for each connection, whatever becomes of its link: throws ERR_BUSY
 * when it has one or a channel already, ERR_OPTION, ERR_CLOSED.
 */
export function messenger(connection: Connection, options: MessengerOptions = {}): Messenger {
  connection.side.throwIfRead();
  return new Messenger(connection, options);
}

const NO_OPTIONS: RequestOptions = {};
