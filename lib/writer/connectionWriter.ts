import { threadId } from 'node:worker_threads';
import { TcpshmError } from '../errors.js';
import { fence } from '../memory/order.js';
import { exchangeAtThreadEnd } from '../memory/threadEnd.js';
import { alignedLength, CONTINUED, HEADER_BYTES } from '../ring/layout.js';
import type { Message } from '../ring/message.js';
import { RingProducer } from '../ring/producer.js';
import { Rouser } from '../wire/rouser.js';
import { Fate, Owner, openWriterMemory, type WriterHandle, type WriterMemory } from './handle.js';

/**
 * Writes a connection from any thread of its process: into a ring of its own, which the thread of the connection moves
 * into the connection's queue whenever it polls. Same calls, same errors as the {@link Connection} has; what one writer
 * pushes stays in order, batches stay whole.
 *
 *     new Worker('./worker.js', { workerData: connection.writer() });
 *
 *     const writer = ConnectionWriter.open(workerData); // in the worker
 *     writer.send('from a worker');
 *
 * `push` hands a message over to the thread of the connection. It is moved all the same if this thread ends at once,
 * whatever way; but what was not moved yet goes with the process, or with the thread of the connection.
 *
 * Belongs to the thread that opened it. Once that has ended, another one may open the handle, and goes on behind the last
 * message that was pushed.
 */
export class ConnectionWriter {
  /** Of the connection that this writes. */
  readonly localName: string;
  readonly remoteName: string;
  readonly #memory: WriterMemory;
  readonly #producer: RingProducer;
  /** The word that tells what became of the connection. */
  readonly #connection: Int32Array;
  readonly #rouser: Rouser;
  /** Bytes of the records of the open batch, 0 when none is open, and of its largest one. */
  #batchBytes = 0;
  #largestBytes = 0;
  readonly #release: () => void;
  #closed = false;

  private constructor(handle: WriterHandle, memory: WriterMemory, release: () => void) {
    this.localName = handle.localName;
    this.remoteName = handle.remoteName;
    this.#memory = memory;
    this.#producer = new RingProducer(memory.ring);
    this.#connection = memory.connection;
    this.#rouser = new Rouser(memory.parking);
    this.#release = release;
  }

  /**
   * Opens a writer, in the thread that got the handle. One thread at a time: throws ERR_ALREADY_CONNECTED while it is
   * open; it is free again at once when its thread ends (without the native module: not when that was terminated from
   * outside). Throws ERR_CLOSED when the connection or the writer was closed, ERR_OPTION when this is no handle.
   */
  static open(handle: WriterHandle): ConnectionWriter {
    const memory = openWriterMemory(handle);
    const fate = Atomics.load(memory.connection, 0);
    // A writer that was closed itself says so below.
    if (fate !== Fate.open && Atomics.load(memory.owner, 0) !== Owner.closed)
      throw connectionClosed(handle, fate);
    const release = takeOwnership(memory.owner);
    try {
      return new ConnectionWriter(handle, memory, release);
    } catch (error) {
      release();
      Atomics.store(memory.owner, 0, Owner.ended);
      throw error;
    }
  }

  /**
   * Room for a message of `sizeBytes`, to be filled in and pushed; null when the ring is full, which it is while the
   * connection's queue is. Also null when the open batch would become larger than the queue: publish it then. Allocating
   * again before the push replaces it. Throws a RangeError for a size that no message can have, ERR_CLOSED.
   */
  alloc(sizeBytes: number): Message | null {
    this.#throwIfClosed();
    const message = this.#producer.claim(sizeBytes);
    if (message === null || this.#batchBytes === 0) return message;
    // A batch goes into the queue at once, and padding may come before its largest record.
    const length = alignedLength(message.size + HEADER_BYTES);
    const largest = Math.max(length, this.#largestBytes);
    if (this.#batchBytes + length + largest <= this.#memory.queueBytes) return message;
    this.#producer.forget();
    return null;
  }

  /**
   * Hands the allocated message over, and those of `pushMore` with it. Throws ERR_NO_MESSAGE without one, ERR_CLOSED when
   * the connection is closed: if that happens at the same time, the message may still have been taken.
   */
  push(): void {
    this.#throwIfClosed();
    if (this.#batchBytes === 0) {
      this.#producer.push();
      this.#published();
    } else {
      this.pushMore();
      this.publish();
    }
  }

  /**
   * Completes the allocated message as part of a batch: the batch becomes visible to the peer with the next `push` or
   * `publish`, at once or, if this thread ends before, not at all.
   */
  pushMore(): void {
    this.#throwIfClosed();
    const length = alignedLength(this.#producer.message.size + HEADER_BYTES);
    this.#producer.pushMore(this.#batchBytes === 0 ? 0 : CONTINUED);
    this.#batchBytes += length;
    if (length > this.#largestBytes) this.#largestBytes = length;
  }

  /** Hands over what `pushMore` has gathered: for when `alloc` finds no room for the last message of a batch. */
  publish(): void {
    this.#throwIfClosed();
    this.#producer.publish();
    this.#batchBytes = 0;
    this.#largestBytes = 0;
    this.#published();
  }

  /** Sends bytes, or text as UTF-8: `alloc`, copy and `push` in one. False when the ring is full. */
  send(data: Uint8Array | string, type = 1): boolean {
    const message = this.alloc(typeof data === 'string' ? Buffer.byteLength(data) : data.length);
    if (message === null) return false;
    message.type = type;
    if (typeof data === 'string') message.setText(data);
    else message.set(data);
    this.push();
    return true;
  }

  /** Messages pushed through this writer since it was made, by this thread and by those before it. */
  get pushed(): number {
    return this.#producer.pushed;
  }

  /** Largest message that can be sent, in bytes: a quarter of the ring's capacity. */
  get maxMessageBytes(): number {
    return this.#memory.ring.maxMessageBytes;
  }

  /**
   * Gives the writer up, for good: nobody can open it again. What was pushed is still moved; then the connection forgets
   * the writer. Twice is harmless. (Whoever has the handle of a writer whose thread is gone can open it and close it.)
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#producer.forget();
    this.#release();
    // GIVE UP; observed by the thread of the connection, which looks for messages once more and forgets the ring.
    Atomics.store(this.#memory.owner, 0, Owner.closed);
  }

  /** As `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * After a message was published. The connection stores its end, then moves what it finds; so this message is found, or
   * the end is seen here.
   */
  #published(): void {
    // The stores come first.
    fence();
    this.#rouser.published();
    if (Atomics.load(this.#connection, 0) !== Fate.open) throw this.#closedError();
  }

  #throwIfClosed(): void {
    // A plain load: what it misses, the one in `published` does not.
    if (this.#closed || this.#connection[0] !== Fate.open) throw this.#closedError();
  }

  #closedError(): TcpshmError {
    if (!this.#closed) return connectionClosed(this, this.#connection[0] as number);
    return new TcpshmError(
      'ERR_CLOSED',
      `this writer of the connection of '${this.localName}' to '${this.remoteName}' is closed`,
    );
  }
}

function connectionClosed(of: Pick<WriterHandle, 'localName' | 'remoteName'>, fate: number): TcpshmError {
  const connection = `the connection of '${of.localName}' to '${of.remoteName}'`;
  if (fate === Fate.ended) return new TcpshmError('ERR_CLOSED', `the thread of ${connection} has ended`);
  if (fate === Fate.closed) return new TcpshmError('ERR_CLOSED', `${connection} is closed`);
  return new TcpshmError('ERR_CLOSED', `this writer of ${connection} is closed: its memory is damaged`);
}

/** Takes a writer for this thread, until its end; returns a function that cancels the latter. */
function takeOwnership(owner: Int32Array): () => void {
  const me = Owner.thread + threadId;
  // Before it is taken: a thread that is terminated in between frees it all the same.
  const cancel = exchangeAtThreadEnd(owner, me, Owner.ended);
  for (;;) {
    const seen = Atomics.load(owner, 0);
    if (seen === Owner.none || seen === Owner.ended) {
      if (Atomics.compareExchange(owner, 0, seen, me) === seen) return cancel;
      continue;
    }
    cancel();
    if (seen === Owner.closed) throw new TcpshmError('ERR_CLOSED', 'this writer was closed, for good');
    throw new TcpshmError(
      'ERR_ALREADY_CONNECTED',
      `this writer is open already, in the thread of id ${seen - Owner.thread}: one thread at a time has it`,
    );
  }
}
