import type { Codec } from '../codec/codec.js';
import { msgpack } from '../codec/msgpack.js';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { checkOptions, choice, count, duration } from '../options.js';
import type { Compression } from './compression.js';
import { HEADER_BYTES, LEAST_REQUESTS, LEAST_WINDOW_BYTES, MAX_FRAGMENT_BYTES } from './packet.js';
import { MESSENGER_STATES, type MessengerState } from './states.js';

/**
 * Values and limits of a messenger. Each side has its own, but for the codec and the compression. The limits bound what a
 * peer can make this process keep; ERR_OPTION for one that is out of range.
 */
export interface MessengerOptions {
  /** Of values; none whose values are views of messages. Default `msgpack()`. */
  readonly codec?: Codec<unknown>;
  /**
   * Largest piece that something is sent in, at most 65536 and an eighth of the capacity. The larger, the faster one that
   * is large; the smaller, the sooner small ones pass it. Default 16384.
   */
  readonly fragmentBytes?: number;
  /** What of a stream waits here for the program, at most. At least 131072. Default 262144. */
  readonly windowBytes?: number;
  /** Largest value that is taken from the peer, when it is put together. Streams of bytes have no limit. Default 16 MiB. */
  readonly maxValueBytes?: number;
  /**
   * Bytes of values of the peer that are not whole yet, all together: the one that would make them more is refused. At least
   * `maxValueBytes`. Default 16 times that.
   */
  readonly maxIncompleteBytes?: number;
  /** Requests of the peer that are under way here at once. At least 64. Default 1024. */
  readonly maxRequests?: number;
  /** Large values that go out at once, in turns. Default 64. */
  readonly maxInterleaved?: number;
  /** Own requests that are not settled; one more throws ERR_QUEUE_FULL. Default 65536. */
  readonly maxOwnRequests?: number;
  /** A handler that has no answer after so many milliseconds is aborted, and its answer is ERR_TIMEOUT. Default: never. */
  readonly handlerTimeoutMs?: number;
  /** Default none. */
  readonly compression?: Compression;
  /** What it does at first. Default 'active'. */
  readonly state?: MessengerState;
  /** Takes bytes that the peer has sent with `sendRaw`. Without it, that is against the protocol. */
  onRaw?(bytes: Uint8Array): void;
}

/** The same with nothing left open. */
export interface MessengerSettings {
  readonly codec: Codec<unknown>;
  readonly fragmentBytes: number;
  readonly windowBytes: number;
  readonly maxValueBytes: number;
  readonly maxIncompleteBytes: number;
  readonly maxRequests: number;
  readonly maxInterleaved: number;
  readonly maxOwnRequests: number;
  readonly handlerTimeoutMs: number | null;
  readonly compression: Compression | null;
  readonly state: MessengerState;
  readonly onRaw: ((bytes: Uint8Array) => void) | null;
}

/** Throws ERR_OPTION. */
export function messengerSettings(connection: Connection, options: MessengerOptions): MessengerSettings {
  checkOptions(options, ['onRaw']);
  const codec = options.codec ?? msgpack();
  if (typeof codec.encode !== 'function' || typeof codec.decode !== 'function' || codec.isView) {
    throw new TcpshmError(
      'ERR_OPTION',
      'codec must have encode and decode, and give values that are no views',
    );
  }
  const { compression = null } = options;
  if (compression !== null && typeof compression.inflate !== 'function') {
    throw new TcpshmError('ERR_OPTION', 'compression must be one as deflate() gives it');
  }
  const fragmentBytes = count(options.fragmentBytes, 'fragmentBytes', 16_384, 64);
  const most = Math.min(MAX_FRAGMENT_BYTES, connection.maxMessageBytes / 2 - 2 * HEADER_BYTES);
  const maxValueBytes = count(options.maxValueBytes, 'maxValueBytes', 2 ** 24);
  return {
    codec,
    fragmentBytes: Math.min(fragmentBytes, most),
    windowBytes: count(options.windowBytes, 'windowBytes', 262_144, LEAST_WINDOW_BYTES),
    maxValueBytes,
    maxIncompleteBytes: count(
      options.maxIncompleteBytes,
      'maxIncompleteBytes',
      16 * maxValueBytes,
      maxValueBytes,
    ),
    maxRequests: count(options.maxRequests, 'maxRequests', 1024, LEAST_REQUESTS),
    maxInterleaved: count(options.maxInterleaved, 'maxInterleaved', 64),
    maxOwnRequests: count(options.maxOwnRequests, 'maxOwnRequests', 65_536),
    handlerTimeoutMs:
      options.handlerTimeoutMs === undefined
        ? null
        : duration(options.handlerTimeoutMs, 'handlerTimeoutMs', 1),
    compression,
    state: choice(options.state, 'state', MESSENGER_STATES) ?? 'active',
    onRaw: options.onRaw === undefined ? null : (bytes) => options.onRaw?.(bytes),
  };
}
