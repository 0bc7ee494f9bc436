import { TcpshmError } from '../errors.js';
import { exchangeAtThreadEnd } from '../memory/threadEnd.js';
import { BatchConsumer } from '../ring/batches.js';
import { ALIGNMENT } from '../ring/layout.js';
import { checkCapacity } from '../ring/memory.js';
import type { Message } from '../ring/message.js';
import type { RingProducer } from '../ring/producer.js';
import type { Bell, ParkingPlace } from '../session/parking.js';
import { createWriterMemory, Fate, Owner, openWriterMemory, type WriterHandle } from './handle.js';

/** What a writer is made with: memory of its own, that it shares with its connection. */
export interface WriterOptions {
  /**
   * Of the writer's ring: a power of two from 4096 to the capacity of the connection's queue, which is the default, as
   * then every message fits that fits the connection. A smaller one holds less that a crash could lose.
   */
  readonly capacityBytes?: number;
}

/** The connection that writers write. */
export interface Outlet {
  readonly localName: string;
  readonly remoteName: string;
  readonly state: string;
  alloc(sizeBytes: number): Message | null;
  push(): void;
  pushMore(): void;
  publish(): void;
}

/** How much of one writer's records is moved in its turn, or one batch if that is more: about 64 small messages. */
const TURN_BYTES = 4096;

/** A writer as its connection has it. */
interface Source {
  readonly ring: BatchConsumer;
  readonly capacity: number;
  readonly owner: Int32Array;
  readonly connection: Int32Array;
  readonly parking: ParkingPlace;
  readonly cancel: () => void;
}

/**
 * The writers of one connection: moves what they have pushed into its queue. Belongs to the thread of the connection.
 *
 * They have their turns, one after another. A turn that finds the queue full goes on with the next call, at the same
 * writer: else the small messages of the others would fill every gap that its large one waits for.
 *
 * A batch is popped right after it was published, and what throws in its middle leaves nothing of it in the queue: so
 * nothing is lost or repeated.
 */
export class Writers {
  readonly #outlet: Outlet;
  /** The end that the connection writes with, which changes when its session moves. */
  readonly #producer: () => RingProducer;
  readonly #queueBytes: number;
  readonly #sources: Source[] = [];
  /** Whose turn it is, and how many bytes are left of it. */
  #turn = 0;
  #left = TURN_BYTES;

  constructor(outlet: Outlet, producer: () => RingProducer, queueBytes: number) {
    this.#outlet = outlet;
    this.#producer = producer;
    this.#queueBytes = queueBytes;
  }

  /** How many writers there are. */
  get count(): number {
    return this.#sources.length;
  }

  /** Makes one more. Throws ERR_CAPACITY. */
  add(options: WriterOptions): WriterHandle {
    const capacity = checkCapacity(options.capacityBytes ?? this.#queueBytes);
    if (capacity > this.#queueBytes) {
      throw new TcpshmError(
        'ERR_CAPACITY',
        `capacityBytes of a writer must be at most that of the connection's queue, ${this.#queueBytes}, got ${capacity}`,
      );
    }
    const { localName, remoteName } = this.#outlet;
    const memory = createWriterMemory(capacity, this.#queueBytes);
    const handle: WriterHandle = { kind: 'tcpshm.WriterHandle', memory, localName, remoteName };
    const { ring, owner, connection, parking } = openWriterMemory(handle);
    const cancel = exchangeAtThreadEnd(connection, Fate.open, Fate.ended);
    this.#sources.push({ ring: new BatchConsumer(ring), capacity, owner, connection, parking, cancel });
    return handle;
  }

  /**
   * Moves what has been pushed into the queue, a turn of each writer at the most; false when nothing was moved. While a
   * message is allocated in the connection, or a batch open, all waits. Throws what the connection's `alloc` and `push`
   * throw, and ERR_SEGMENT when a writer's memory is damaged: once, as it is forgotten then.
   */
  drain(): boolean {
    if (this.#producer().busy) return false;
    let moved = false;
    for (let i = this.#sources.length; i > 0 && this.#sources.length > 0; i--) {
      const source = this.#sources[this.#turn] as Source;
      const before = this.#left;
      this.#left = this.#move(source, before);
      if (this.#left !== before) moved = true;
      if (this.#left > 0 && source.ring.messages !== 0) return moved;
      this.#endTurn(source);
    }
    return moved;
  }

  /** Whether there is something for `drain`: to be moved, to be forgotten, or to be thrown. */
  get waiting(): boolean {
    return this.#sources.some(({ owner, ring }) => {
      try {
        return Atomics.load(owner, 0) === Owner.closed || ring.front();
      } catch {
        return true;
      }
    });
  }

  /** The thread of the connection goes to sleep: from here on a writer that pushes rings `bell`. */
  park(bell: Bell): void {
    for (const { parking } of this.#sources) {
      parking.hang(bell);
      parking.park();
    }
  }

  /** It is awake again. */
  unpark(): void {
    for (const { parking } of this.#sources) parking.leave();
  }

  /**
   * Moves all that was pushed before this call, as far as the queue has room: what waits for more room than there is
   * holds up nobody else. Waits and throws as `drain` does.
   */
  drainAll(): void {
    if (this.#producer().busy) return;
    for (const source of [...this.#sources]) {
      // What is more than a ring's worth came later.
      this.#move(source, source.capacity);
      if (source.ring.messages === 0) this.#forgetIfClosed(source);
    }
  }

  /**
   * Closes all writers: their next calls throw. With `moving`, for which nothing may be allocated and no batch open, what
   * they have pushed is moved, as far as the queue has room. Idempotent.
   */
  close(moving: boolean): void {
    // END; observed by ConnectionWriter after each publication. What it published before is found by what follows.
    for (const { connection } of this.#sources) Atomics.store(connection, 0, Fate.closed);
    for (const source of [...this.#sources]) {
      try {
        if (moving) this.#move(source, source.capacity);
      } catch (error) {
        // The session is another's, or memory is broken: this is the end, and what cannot be moved stays behind.
        if (!(error instanceof TcpshmError)) throw error;
      }
      this.#forget(source);
    }
  }

  /** Moves batches until the budget is spent, the ring is empty or the queue is full; gives what is left of the budget. */
  #move(source: Source, budgetBytes: number): number {
    const { ring } = source;
    let left = budgetBytes;
    while (left > 0 && this.#look(source)) {
      const { lengthBytes } = ring;
      if (!this.#take(source)) break;
      ring.pop();
      left -= lengthBytes;
    }
    ring.reclaim();
    return left;
  }

  /** Publishes a batch in the queue, all of it or nothing. False when the queue is full. */
  #take(source: Source): boolean {
    const outlet = this.#outlet;
    const { messages, lengthBytes, largestBytes } = source.ring;
    if (messages === 1) {
      const message = this.#next(source);
      if (message === null) throw this.#damaged(source, new Error('the message that was there is gone'));
      const room = outlet.alloc(message.size);
      if (room === null) return false;
      room.copyFrom(message);
      outlet.push();
      return true;
    }
    // So that it is not copied in vain. At the worst, padding comes before its largest record, and is shorter.
    if (!this.#producer().fits(lengthBytes + largestBytes - ALIGNMENT)) return false;
    let complete = false;
    try {
      for (let message = this.#next(source); message !== null; message = this.#next(source)) {
        const room = outlet.alloc(message.size);
        // There was room, but the session is being moved to a fresh file now.
        if (room === null) return false;
        room.copyFrom(message);
        outlet.pushMore();
      }
      complete = true;
    } finally {
      if (!complete && outlet.state !== 'closed') this.#producer().retract();
    }
    outlet.publish();
    return true;
  }

  #look(source: Source): boolean {
    try {
      return source.ring.front();
    } catch (cause) {
      throw this.#damaged(source, cause);
    }
  }

  #next(source: Source): Message | null {
    try {
      return source.ring.next();
    } catch (cause) {
      throw this.#damaged(source, cause);
    }
  }

  #damaged(source: Source, cause: unknown): TcpshmError {
    this.#forget(source, Fate.damaged);
    const { localName, remoteName } = this.#outlet;
    return new TcpshmError(
      'ERR_SEGMENT',
      `the memory of a writer of the connection of '${localName}' to '${remoteName}' is damaged, and the writer is` +
        ` closed: ${(cause as Error).message}`,
      cause,
    );
  }

  #endTurn(source: Source): void {
    this.#left = TURN_BYTES;
    if (source.ring.messages === 0 && this.#forgetIfClosed(source)) return;
    this.#turn = (this.#turn + 1) % this.#sources.length;
  }

  /** After its ring was found empty. */
  #forgetIfClosed(source: Source): boolean {
    // OBSERVE that a writer was given up: all that it has pushed is in its ring from here on, so one more look tells.
    if (Atomics.load(source.owner, 0) !== Owner.closed || this.#look(source)) return false;
    this.#forget(source);
    return true;
  }

  #forget(source: Source, fate: number = Fate.closed): void {
    const at = this.#sources.indexOf(source);
    if (at < 0) return;
    this.#sources.splice(at, 1);
    source.cancel();
    Atomics.store(source.connection, 0, fate);
    if (at === this.#turn) this.#left = TURN_BYTES;
    if (at < this.#turn) this.#turn--;
    if (this.#turn >= this.#sources.length) this.#turn = 0;
  }
}
