import { TcpshmError } from '../errors.js';
import type { Durability } from '../session/durability.js';

/** What writes a file's pages to the disk: a mapped file, or a stand-in for it. */
export interface Disk {
  /**
   * Writes what the file holds by now to the disk, in another thread. When that has ended, sets `done[0]` to 0, or to
   * the number of the system's error, and calls `finished` when the event loop turns.
   */
  sync(done: Int32Array, finished: () => void): void;
  /** The same at once. Throws what the system says. */
  syncNow(): void;
  /** Hands what was changed to the disk without waiting for it. Throws what the system says. */
  writeOut(): void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: TcpshmError) => void;
}

const PENDING = -1;

/**
 * When somebody waits, and no more than this has gathered, the pages are on their way to the disk while the other thread
 * wakes: 129 µs rather than 144 for a flush, of 98 for a blocking fdatasync (benchmark durability/flush). It costs this
 * thread 50 µs, so polls leave it.
 */
const WRITE_OUT_BYTES = 65536;

/**
 * Writes a journal to the disk in groups, one at a time, each with all that has gathered: the thin shell around
 * {@link Durability}. Its end is seen by `poll`, also when the event loop does not turn, or by the event loop, also
 * when nobody polls.
 */
export class Flusher {
  readonly #durability: Durability;
  readonly #disk: Disk;
  readonly #where: string;
  readonly #told: () => void;
  readonly #done = new Int32Array(new SharedArrayBuffer(4));
  /** Who waits for the write under way, and who for the next one. */
  #current: Waiter[] = [];
  #next: Waiter[] = [];
  #failure: TcpshmError | null = null;
  #closed = false;

  /** `told` is called when the event loop has told of the end of a write. */
  constructor(durability: Durability, disk: Disk, where: string, told: () => void = () => {}) {
    this.#told = told;
    this.#durability = durability;
    this.#disk = disk;
    this.#where = where;
  }

  /** Why the disk did not take it: from then on nothing more becomes safe. (A second attempt would prove nothing.) */
  get failure(): TcpshmError | null {
    return this.#failure;
  }

  /** Takes note of what has become safe, and begins to write what somebody waits for. */
  poll(): void {
    this.#notice();
    if (this.#durability.urgent()) this.#begin(false);
  }

  /** Resolves once all that was pushed and popped so far is safe. Rejects with ERR_FILE when the disk fails. */
  flush(): Promise<void> {
    this.#notice();
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#durability.clean) return Promise.resolve();
    return new Promise((resolve, reject) => {
      (this.#durability.covered ? this.#current : this.#next).push({ resolve, reject });
      this.#begin(this.#durability.unsafeBytes <= WRITE_OUT_BYTES);
    });
  }

  /** Ends it: who still waits is told, with the error if there is one. The file may be closed then. */
  close(error: TcpshmError | null): void {
    this.#closed = true;
    this.#answer([...this.#current.splice(0), ...this.#next.splice(0)], error);
  }

  #begin(hurry: boolean): void {
    if (this.#durability.writing || this.#failure !== null) return;
    this.#durability.begin();
    this.#current = this.#next.splice(0);
    this.#done[0] = PENDING;
    if (hurry) this.#writeOut();
    try {
      this.#disk.sync(this.#done, () => this.#finished());
    } catch (cause) {
      this.#fail((cause as Error).message, cause);
    }
  }

  #writeOut(): void {
    try {
      this.#disk.writeOut();
    } catch {
      // Not every system has the call (seccomp filters, gVisor). It makes nothing safe, and the sync tells of a bad disk.
    }
  }

  #finished(): void {
    if (this.#closed) return;
    this.#notice();
    if (this.#next.length > 0) this.#begin(false);
    this.#told();
  }

  #notice(): void {
    if (!this.#durability.writing || this.#failure !== null) return;
    // OBSERVE the end of the write, stored by the thread that made the system call.
    const result = Atomics.load(this.#done, 0);
    if (result === PENDING) return;
    if (result !== 0) {
      this.#fail(`fdatasync gave errno ${result}`);
      return;
    }
    this.#durability.complete();
    this.#answer(this.#current.splice(0), null);
  }

  #fail(why: string, cause?: unknown): void {
    this.#failure = new TcpshmError(
      'ERR_FILE',
      `${this.#where} could not be written to the disk: ${why}. What was not flushed before is not safe, and nothing` +
        ' more is sent: close the connection, and see to the disk',
      cause,
    );
    this.#answer([...this.#current.splice(0), ...this.#next.splice(0)], this.#failure);
  }

  #answer(waiters: readonly Waiter[], error: TcpshmError | null): void {
    for (const { resolve, reject } of waiters) {
      if (error === null) resolve();
      else reject(error);
    }
  }
}
