import { Duplex } from 'node:stream';
import { ReadableStream, WritableStream } from 'node:stream/web';
import type { Connection } from '../connection/connection.js';
import type { Reader } from '../connection/delivery.js';
import { TcpshmError } from '../errors.js';
import { count } from '../options.js';

/** How a stream of bytes is cut into messages. What each side writes is its own affair: the other one puts it together. */
export interface StreamOptions {
  /** Largest message that bytes are cut into. Default 65536, and never more than the connection's `maxMessageBytes`. */
  readonly messageBytes?: number;
}

/** Types of messages: bytes of the stream, its end, and that it was destroyed with an error, whose message it has. */
const DATA = 1;
const END = 2;
const ABORT = 3;

/**
 * A connection as a stream of bytes, with the back pressure of its queues: both sides make one. Works while the connection
 * is polled. An end is a message of its own, so either side can end (`end`) and go on reading; a `destroy` with an error
 * destroys the peer's stream with an ERR_CLOSED that says why, if there is room to tell it. What was written and not read
 * when this process dies stays in the session, as all messages do. A disconnect is not an end.
 *
 * The connection stays open after the stream: it is the caller's to close. Closing it before the end destroys the stream
 * with ERR_CLOSED. Throws ERR_BUSY when a channel or a stream has the connection already, ERR_OPTION, ERR_CLOSED.
 */
export function duplex(connection: Connection, options: StreamOptions = {}): Duplex {
  return new ConnectionStream(connection, options);
}

/** The same as streams of the web: cancelling or aborting one destroys both. Throws what `duplex` throws. */
export function webStreams(
  connection: Connection,
  options: StreamOptions = {},
): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> } {
  // Not Duplex.toWeb, whose readable side is not closed before the writable one is (Node 20).
  const stream = duplex(connection, options);
  const failure = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
  const readable = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stream.on('data', (bytes: Buffer) => {
          controller.enqueue(bytes);
          stream.pause();
        });
        stream.once('end', () => controller.close());
        stream.on('error', (error) => controller.error(error));
        stream.pause();
      },
      pull() {
        stream.resume();
      },
      cancel(reason) {
        stream.destroy(failure(reason));
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      stream.on('error', (error) => controller.error(error));
    },
    write: (bytes) => done((settle) => stream.write(bytes, settle)),
    close: () => done((settle) => stream.end(settle)),
    abort(reason) {
      stream.destroy(failure(reason));
    },
  });
  return { readable, writable };
}

/** What calls back with an error or without, as a promise. */
function done(act: (settle: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
}

class ConnectionStream extends Duplex {
  readonly #connection: Connection;
  readonly #messageBytes: number;
  readonly #reader: Reader;
  /** Whether bytes are asked for. */
  #wants = false;
  /** Ends the waiting for room. */
  readonly #destroyed = new AbortController();

  constructor(connection: Connection, options: StreamOptions) {
    const { side } = connection;
    side.throwIfRead();
    const messageBytes = count(options.messageBytes, 'messageBytes', 65536);
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.#messageBytes = Math.min(messageBytes, connection.maxMessageBytes);
    const stream = this;
    this.#reader = {
      get wants() {
        return stream.#wants;
      },
      // What is read goes on in ticks of the process.
      settles: true,
      visit: (limit) => this.#take(limit),
      closed: (error) => {
        this.destroy(this.readableEnded && this.writableFinished ? undefined : error);
      },
    };
    side.delivery.reader = this.#reader;
  }

  override _read(): void {
    this.#wants = true;
    try {
      this.#take(1);
    } catch (error) {
      const { side, state } = this.#connection;
      // What the peer wrote and must not have is for a poll to tell.
      if (state !== 'closed' && !side.ends.isTold(error)) throw error;
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#post(END, Buffer.alloc(0)).then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const { side, state, maxMessageBytes } = this.#connection;
    this.#wants = false;
    this.#destroyed.abort(error ?? side.closedError());
    if (side.delivery.reader === this.#reader) side.delivery.reader = null;
    if (state !== 'closed' && error !== null) {
      try {
        this.#connection.send(Buffer.from(error.message).subarray(0, Math.min(1024, maxMessageBytes)), ABORT);
      } catch {
        // The connection is unusable, which its polls tell.
      }
    }
    done(error);
  }

  async #send(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; at += this.#messageBytes) {
      await this.#post(DATA, chunk.subarray(at, at + this.#messageBytes));
    }
  }

  #post(type: number, bytes: Buffer): Promise<void> {
    const connection = this.#connection;
    if (connection.state === 'closed') return Promise.reject(connection.side.closedError());
    return connection.side.room.add(() => connection.send(bytes, type), this.#destroyed.signal);
  }

  /** Takes messages, while bytes are asked for. True if there was one. */
  #take(limit: number): boolean {
    const connection = this.#connection;
    let any = false;
    for (let i = 0; this.#wants && i < limit; i++) {
      const message = connection.front();
      if (message === null) break;
      any = true;
      const { type } = message;
      const bytes = Buffer.from(message.bytes());
      connection.pop();
      if (type === DATA) this.#wants = this.push(bytes);
      else this.#end(type, bytes);
    }
    return any;
  }

  #end(type: number, bytes: Buffer): void {
    this.#wants = false;
    if (type === END) {
      this.push(null);
      return;
    }
    const why =
      type === ABORT ? `the peer has ended it: ${bytes.toString()}` : `got a message of type ${type}`;
    const error = new TcpshmError(
      type === ABORT ? 'ERR_CLOSED' : 'ERR_CODEC',
      `the stream is destroyed, ${why}`,
    );
    // The peer needs not be told what it has said.
    this.#connection.side.delivery.reader = null;
    this.destroy(error);
  }
}
