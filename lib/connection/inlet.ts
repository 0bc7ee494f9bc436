import { isMoved } from '../session/notices.js';
import type { Bell } from '../session/parking.js';
import type { WriterHandle } from '../writer/handle.js';
import { type Outlet, type WriterOptions, Writers } from '../writer/writers.js';
import type { Ends } from './ends.js';

/** Where what other threads write gets into the queue of a side, wherever its session is now. */
export class Inlet {
  readonly #connection: Outlet;
  readonly #ends: Ends;
  /** Once there was one. */
  #writers: Writers | null = null;

  constructor(connection: Outlet, ends: Ends) {
    this.#connection = connection;
    this.#ends = ends;
  }

  /** Whether there was a writer. */
  get used(): boolean {
    return this.#writers !== null;
  }

  /** Whether there is something for `drain`. */
  get waiting(): boolean {
    return this.#writers?.waiting === true;
  }

  /** @see Connection.writer */
  add(options: WriterOptions): WriterHandle {
    const ends = this.#ends;
    const { segment, role } = ends.open;
    this.#writers ??= new Writers(this.#connection, () => ends.producer, segment.outgoing(role).capacity);
    return this.#writers.add(options);
  }

  /** Moves what they have pushed into the queue, as `Writers.drain` does. What is wrong with the queue is known after it. */
  drain(): boolean {
    return this.#writers !== null && this.#move(this.#writers, false);
  }

  /** The same with all of it, as far as there is room. */
  drainAll(): void {
    if (this.#writers !== null) this.#move(this.#writers, true);
  }

  /** Before the end of the connection: what they have pushed is moved into the queue, as far as it has room. */
  closeInOrder(): void {
    if (this.#writers === null) return;
    // What was not published here would be in the way, and goes anyway.
    this.#ends.producer.retract();
    this.#writers.close(true);
  }

  /** With what they have pushed. */
  close(): void {
    this.#writers?.close(false);
    this.#writers = null;
  }

  /** From here on a writer that pushes rings `bell`. */
  park(bell: Bell): void {
    this.#writers?.park(bell);
  }

  unpark(): void {
    this.#writers?.unpark();
  }

  #move(writers: Writers, all: boolean): boolean {
    const ends = this.#ends;
    // A fence is for `Side.pollLink` to notice.
    if (isMoved(ends.notices) && !ends.follow()) return false;
    try {
      if (!all) return writers.drain();
      writers.drainAll();
      return false;
    } catch (error) {
      throw ends.noticed(error);
    }
  }
}
