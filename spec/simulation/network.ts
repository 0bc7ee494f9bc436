import type { Wire } from '../../lib/wire/wire.js';
import type { Random } from '../support/random.js';
import { isDying, point } from './crash.js';

const BUFFER_BYTES = 16384;

/** Buffers of pipes that are over: there are some hundred thousand in a run. */
const spare: Uint8Array[] = [];

/** What each side says during a login is taken whole: a server gives a client up that does not take it. */
const LOGIN_WRITES = 2;

/** How a stream ends for who reads it: in order, with an error, or not at all, as when a cable is pulled. */
export type Ending = 'end' | 'reset' | 'silence';
const ENDINGS: readonly Ending[] = ['end', 'reset', 'silence'];

/** Bytes on their way in one direction. What was sent arrives later, in other pieces, perhaps never. */
export class Pipe {
  readonly #random: Random;
  readonly #bytes = spare.pop() ?? new Uint8Array(BUFFER_BYTES);
  #read = 0;
  #arrived = 0;
  #written = 0;
  /** Most bytes that can be on their way. */
  readonly #window: number;
  /** Whether bytes arrive as they are sent. */
  readonly #fast: boolean;
  /** Whether sends and receives move less than they could. */
  readonly #splits: boolean;
  #writes = 0;
  #stalled = false;
  #ending: Ending | null = null;
  #unread = false;

  constructor(random: Random) {
    this.#random = random;
    this.#window = random.pick([512, 1024, 4096, 8192]);
    this.#fast = random.once(3);
    this.#splits = random.once(2);
  }

  /** Whether anything can still come out of it. */
  get over(): boolean {
    return this.#ending !== null || this.#unread;
  }

  /** Nobody uses it any more. */
  release(): void {
    spare.push(this.#bytes);
  }

  /** Takes bytes, as far as there is room. */
  write(from: Uint8Array, start: number, length: number): number {
    if (this.#unread || this.#ending === 'reset') throw new Error('simulated EPIPE');
    if (this.#ending !== null) return length;
    let count = Math.min(length, this.#window - (this.#written - this.#read));
    if (this.#splits && count > 1 && ++this.#writes > LOGIN_WRITES && this.#random.once(4)) {
      count = this.#random.below(count);
    }
    if (count <= 0) return 0;
    const bytes = this.#bytes;
    if (this.#written + count > BUFFER_BYTES) {
      bytes.copyWithin(0, this.#read, this.#written);
      this.#written -= this.#read;
      this.#arrived -= this.#read;
      this.#read = 0;
    }
    for (let i = 0; i < count; i++) bytes[this.#written + i] = from[start + i] as number;
    this.#written += count;
    if (this.#fast && !this.#stalled) this.#arrived = this.#written;
    return count;
  }

  /** Some, or all, of what is on its way arrives. */
  deliver(all: boolean): void {
    const count = this.#written - this.#arrived;
    if (count === 0 || this.#stalled) return;
    this.#arrived += all ? count : this.#random.between(1, count);
  }

  /** Gives what has arrived: bytes, 0 for none, -1 for the end of the stream. */
  receive(into: Uint8Array, start: number, length: number): number {
    let count = Math.min(length, this.#arrived - this.#read);
    if (count === 0) {
      if (this.#arrived !== this.#written || this.#ending === null || this.#ending === 'silence') return 0;
      if (this.#ending === 'reset') throw new Error('simulated ECONNRESET');
      return -1;
    }
    if (this.#splits && this.#random.once(2)) count = this.#random.between(1, count);
    for (let i = 0; i < count; i++) into[start + i] = this.#bytes[this.#read + i] as number;
    this.#read += count;
    return count;
  }

  /** Nothing arrives, until it is called again with false. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
  }

  /** The sender is gone; what it has sent still arrives. */
  finish(ending: Ending = 'end'): void {
    if (this.#ending !== null) return;
    this.#ending = ending;
    this.#stalled = false;
  }

  /** The reader is gone: who sends is told, now or never. */
  abandon(silently: boolean): void {
    if (silently) this.cut('silence');
    else this.#unread = true;
  }

  /** Breaks at any byte of what is on its way: what is behind it is lost. */
  cut(ending: Ending = this.#random.pick(ENDINGS)): void {
    this.#written = this.#arrived + this.#random.below(this.#written - this.#arrived + 1);
    this.finish(ending);
  }

  /** Changes a bit of a byte that is on its way. False if there is none. */
  garble(): boolean {
    const count = this.#written - this.#arrived;
    if (count === 0) return false;
    const at = this.#arrived + this.#random.below(count);
    this.#bytes[at] = (this.#bytes[at] as number) ^ (1 << this.#random.below(8));
    return true;
  }
}

let wires = 0;

/** One end of a stream in each direction. */
export class SimulatedWire implements Wire {
  /** In the place of a descriptor. */
  readonly number = wires++;
  readonly #out: Pipe;
  readonly #in: Pipe;
  #closed = false;
  #successor: SimulatedWire | null = null;

  constructor(outgoing: Pipe, incoming: Pipe) {
    this.#out = outgoing;
    this.#in = incoming;
  }

  send(...ranges: (Uint8Array | number | undefined)[]): number {
    point();
    if (this.#closed) throw new Error('simulated EBADF');
    let total = 0;
    for (let i = 0; i < ranges.length; i += 3) {
      const length = ranges[i + 2] as number;
      if (length === 0) continue;
      const count = this.#out.write(ranges[i] as Uint8Array, ranges[i + 1] as number, length);
      total += count;
      if (count < length) break;
    }
    return total;
  }

  receive(into: Uint8Array, start: number, length: number): number {
    point();
    if (this.#closed) throw new Error('simulated EBADF');
    return this.#in.receive(into, start, length);
  }

  remoteAddress(): string {
    return 'simulated';
  }

  release(): number {
    point();
    if (this.#closed) throw new Error('simulated EBADF');
    this.#closed = true;
    this.#successor = new SimulatedWire(this.#out, this.#in);
    return this.number;
  }

  /** What another thread has that has adopted it. */
  adopted(): SimulatedWire {
    return this.#successor as SimulatedWire;
  }

  close(): void {
    if (isDying()) return;
    this.#close('end');
  }

  /** The process is gone, and its kernel says so; or the whole host is, and nobody does. */
  die(ending: Ending): void {
    this.#close(ending);
    this.#successor?.die(ending);
  }

  #close(ending: Ending): void {
    if (this.#closed) return;
    this.#closed = true;
    if (ending === 'end') this.#out.finish();
    else this.#out.cut(ending);
    this.#in.abandon(ending === 'silence');
  }
}

/** A stream between both sides. */
interface Stream {
  readonly pipes: readonly [Pipe, Pipe];
}

/** All streams between two sides: mostly one, more while an old one has not been given up yet. */
export class Network {
  readonly #random: Random;
  /** All that there were. */
  readonly #all: Pipe[] = [];
  #streams: Stream[] = [];
  #garbled = false;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Whether bytes were changed on their way, so that errors of the protocol are no wonder. */
  get garbled(): boolean {
    return this.#garbled;
  }

  /** A new stream, by its two ends. */
  connect(): [SimulatedWire, SimulatedWire] {
    this.#streams = this.#streams.filter(({ pipes }) => !(pipes[0].over && pipes[1].over));
    const pipes = [new Pipe(this.#random), new Pipe(this.#random)] as const;
    this.#streams.push({ pipes });
    this.#all.push(...pipes);
    return [new SimulatedWire(pipes[0], pipes[1]), new SimulatedWire(pipes[1], pipes[0])];
  }

  /** The schedule is over. */
  release(): void {
    for (const pipe of this.#all) pipe.release();
  }

  deliver(all: boolean): void {
    for (const { pipes } of this.#streams) {
      if (all || !this.#random.once(3)) pipes[0].deliver(all);
      if (all || !this.#random.once(3)) pipes[1].deliver(all);
    }
  }

  /** One direction stands still, or all move again. */
  stall(stalled: boolean): void {
    for (const { pipes } of this.#streams) {
      if (!stalled) for (const pipe of pipes) pipe.stall(false);
      else this.#random.pick(pipes).stall(true);
    }
  }

  /** All streams break, each direction at a byte of its own. */
  cut(): void {
    for (const { pipes } of this.#streams) for (const pipe of pipes) pipe.cut();
  }

  /** Changes a bit in each stream. */
  garble(): void {
    for (const { pipes } of this.#streams) if (this.#random.pick(pipes).garble()) this.#garbled = true;
  }
}
