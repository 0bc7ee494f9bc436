import type { JournalFile } from '../../lib/store/journal.js';
import type { Random } from '../support/random.js';
import { type DiskSync, SimulatedDisk } from '../support/simulatedDisk.js';
import { dieAfter, point } from './crash.js';

const SECTORS = [512, 4096];

/** That something is safe; gives what takes that back. */
type Claim = () => () => void;

/** A sync that the process has begun and was not told the end of. */
interface Write {
  readonly sync: DiskSync;
  /** Null once what it wrote may have been overwritten. */
  safe: Claim | null;
  readonly done: Int32Array;
  readonly finished: () => void;
  ended: boolean;
  /** Takes back what its end has claimed. */
  undo: () => void;
}

/** The file of a journal: mapped memory, which outlives processes, and the disk behind it, which outlives the power. */
export class SimulatedFile implements JournalFile {
  readonly path = 'simulated file';
  readonly inode = 4711;
  readonly #random: Random;
  readonly #observe: () => Claim;
  #buffer: ArrayBuffer;
  #disk: SimulatedDisk;
  #boot = 1;
  #write: Write | null = null;
  /** Whether the process dies the next time that it waits for the disk. */
  diesInSync = false;

  /** `observe` is called when a sync begins, and what it gives when it has ended. The file is new. */
  constructor(buffer: ArrayBuffer, random: Random, observe: () => Claim) {
    this.#random = random;
    this.#observe = observe;
    this.#buffer = buffer;
    this.#disk = new SimulatedDisk(buffer, random, random.pick(SECTORS));
  }

  get buffer(): ArrayBuffer {
    return this.#buffer;
  }

  /** Id of the boot that it is used in. */
  get bootId(): string {
    return `boot ${this.#boot} of a simulated machine`;
  }

  sync(done: Int32Array, finished: () => void): void {
    point();
    const sync = this.#disk.beginSync();
    this.#write = { safe: this.#observe(), sync, done, finished, ended: false, undo: () => {} };
  }

  writeOut(): void {
    point();
    for (let i = this.#random.below(3); i > 0; i--) this.#disk.writeBack();
  }

  syncNow(): void {
    point();
    const safe = this.#observe();
    const sync = this.#disk.beginSync();
    if (this.diesInSync) dieAfter(this.#random.below(2));
    this.diesInSync = false;
    for (let i = this.#random.below(3); i > 0; i--) {
      sync.progress();
      point();
    }
    sync.finish();
    safe();
    point();
  }

  /** Whoever does not wait for a sync, or did not hear of its end, may overwrite what it was to make safe. */
  supersede(): void {
    const write = this.#write;
    if (write === null) return;
    write.undo();
    write.safe = null;
  }

  /** The disk does something, at any time. */
  work(): void {
    const write = this.#write;
    const step = this.#random.below(4);
    if (step === 0) this.#disk.writeBack();
    else if (write === null || write.ended) return;
    else if (step === 1) write.sync.progress();
    else this.#end(write);
  }

  /** The sync that is under way ends. */
  finish(): void {
    const write = this.#write;
    if (write !== null && !write.ended) this.#end(write);
  }

  /** The event loop of the process turns: it is told of a sync that has ended. */
  turn(): void {
    const write = this.#write;
    if (write === null || !write.ended) return;
    this.#write = null;
    write.finished();
  }

  /** The process is gone, and with it what it was waiting for. */
  die(): void {
    this.#write?.sync.progress();
    this.#write = null;
  }

  /** The power goes, and comes back: another boot finds what the disk has. */
  losePower(): void {
    this.#write = null;
    this.#buffer = this.#disk.losePower();
    this.#disk = new SimulatedDisk(this.#buffer, this.#random, this.#random.pick(SECTORS));
    this.#boot++;
  }

  #end(write: Write): void {
    write.sync.finish();
    write.undo = write.safe?.() ?? write.undo;
    write.ended = true;
    // As the thread does that made the system call; observed by Flusher.
    Atomics.store(write.done, 0, 0);
  }
}
