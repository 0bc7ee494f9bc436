import { TcpshmError } from '../errors.js';

/** Method of a request: its name, of up to 255 bytes, or a number from 1 to 65535. */
export type Method = string | number;

/** Which goes first when there is more to send than room: those of a higher priority, most of the time. */
export const PRIORITIES = ['high', 'normal', 'low'] as const;
/** One of {@link PRIORITIES}. */
export type Priority = (typeof PRIORITIES)[number];

/** What follows a value: values, or bytes of any number. A stream of node:stream is one. */
export type Parts = AsyncIterable<unknown> | Iterable<unknown>;

/** What comes behind a value, or as an answer in parts: to be read by one loop, which holds back who sends them. */
export interface PartsReader<T> extends AsyncIterableIterator<T, undefined> {
  /**
   * Has the memory of parts that are bytes used again: each is valid until the next one is asked for, so who keeps it has to
   * copy it. A large stream takes half the time so, and what is beside it waits for no collection of garbage. Not for who
   * asks ahead, as `Readable.from` does. Gives this reader itself.
   *
   *     for await (const part of body.reusing()) await file.write(part);
   */
  reusing(): this;
}

/** What goes along with a notification, and how urgent it is. */
export interface NoticeOptions {
  /** Gives it up, as far as it has not left. */
  readonly signal?: AbortSignal;
  /** Default 'normal'. */
  readonly priority?: Priority;
  /** What follows the value. */
  readonly body?: Parts | (() => Parts);
}

/**
 * What goes along with a request, how long it may take, and what becomes of it when the peer dies: README.md beside
 * this file has a table of what each mode promises.
 */
export interface RequestOptions extends NoticeOptions {
  /** No answer after so many milliseconds: ERR_TIMEOUT, and the handler is aborted. Told within some 10 ms. Default: never. */
  readonly timeoutMs?: number;
  /** Sent again when the peer's process has died with it, until answered. `body` must be a function then. Default false. */
  readonly idempotent?: boolean;
  /** Fails with ERR_NOT_SENT if it cannot go out at once. Default false. */
  readonly oneShot?: boolean;
  /** Goes out when the synchronous one before it is settled. Default false. */
  readonly synchronous?: boolean;
}

/** A request that is under way, for who has to know more than its answer. README.md has what is promised. */
export interface Call<R = unknown> {
  /** Whether any byte of it has left: it may be run from then on. Not taken back by anything. */
  readonly left: boolean;
  /**
   * The answer. Rejects with ERR_NOT_SENT, ERR_UNANSWERED, ERR_ANSWER (the error is its cause), ERR_TIMEOUT, or what it
   * was given up with.
   */
  readonly response: Promise<R>;
  /** Takes it back if nothing has left: `response` is rejected with ERR_NOT_SENT. False if something has, or it is settled. */
  withdraw(): boolean;
  /** Gives it up, left or not: `response` is rejected with this, and the handler of the other side is aborted. */
  cancel(reason: unknown): void;
}

/** How a method is answered: with one value, in parts, or not. */
export type Shape = 'one' | 'many' | 'nothing';

/** A request, stream or notification that is under way. `response` of the last two tells of their end. */
export interface Started extends Call {
  /** The answer of a stream; null of all else. */
  readonly parts: PartsReader<unknown> | null;
}

/** What a stream is told that is to be idempotent. */
export function neverIdempotent(): TcpshmError {
  return new TcpshmError(
    'ERR_OPTION',
    'what was read of a stream cannot be taken back: it is never idempotent',
  );
}

/** Own requests that are not settled. */
export interface Load {
  /** Nothing of them has left. */
  readonly waiting: number;
  /** Some of them has, and the answer has not come. */
  readonly open: number;
}

/** What a pool needs of a connection to hand it requests: a `Messenger` is one. */
export interface Caller {
  /** Whether a request that is made now could leave. */
  readonly connected: boolean;
  readonly load: Load;
  /** Asks or tells the peer. Throws ERR_OPTION, ERR_CLOSED, ERR_QUEUE_FULL; all else is told by what it gives. */
  start(shape: Shape, method: Method, value: unknown, options: RequestOptions): Started;
  /** Refuses new requests with ERR_CLOSED; resolves when all own ones are settled. */
  drain(): Promise<void>;
  /** Settles all own requests: those that have not left with ERR_NOT_SENT, the others with ERR_UNANSWERED. */
  close(): void;
}
