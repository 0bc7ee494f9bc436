import type { Socket } from 'node:net';
import type { Random } from '../support/random.js';
import { FrameTracker, type Place } from './frameTracker.js';

/** How a lane carries some of its bytes. */
type Manner = 'at once' | 'torn' | 'byte by byte' | 'late' | 'stopped';

const MANNERS: readonly (readonly [Manner, number])[] = [
  ['at once', 60],
  ['torn', 20],
  ['byte by byte', 6],
  ['late', 12],
  ['stopped', 2],
];
/** After so many bytes the manner changes, at most. */
const STRETCH_BYTES: Readonly<Record<Manner, number>> = {
  'at once': 262_144,
  torn: 32_768,
  'byte by byte': 128,
  late: 65_536,
  stopped: 1,
};
const TORN_BYTES = 3000;
const LATE_MS = 20;
const STOPPED_MS = 100;
/** What a lane holds before it reads no more. */
const HELD_BYTES = 262_144;

/** Carries bytes in one direction of a connection: at random late, torn or joined, as a bad network does. */
export class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #random: Random;
  readonly #tracker = new FrameTracker();
  #held: Buffer = Buffer.alloc(0);
  #manner: Manner = 'at once';
  #stretchBytes = 0;
  /** The next step is under way. */
  #due: NodeJS.Immediate | NodeJS.Timeout | null = null;
  #mark: { readonly place: Place; readonly reached: () => void } | null = null;
  #stalled = false;
  #dropping = false;
  #ended = false;
  /** So that runs can prove it. */
  passedBytes = 0;

  constructor(from: Socket, to: Socket, random: Random) {
    this.#from = from;
    this.#to = to;
    this.#random = random;
    from.on('data', (chunk: Buffer) => {
      if (this.#dropping) return;
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
      if (this.#held.length > HELD_BYTES) from.pause();
      this.#go();
    });
    // An end that comes as an error is one to be told all the same.
    from.on('error', () => {});
    from.on('close', () => {
      this.#ended = true;
      this.#go();
    });
    from.on('end', () => {
      this.#ended = true;
      this.#go();
    });
  }

  get place(): Place {
    return this.#tracker.place;
  }

  /** Calls `reached` once the bytes that were handed on end in such a place: it may take its time. */
  mark(place: Place, reached: () => void): void {
    this.#mark = { place, reached };
    this.#go();
  }

  unmark(): void {
    this.#mark = null;
  }

  /** Hands nothing on until `go`: what comes is held back, and makes its sender wait. */
  stall(): void {
    this.#stalled = true;
  }

  go(): void {
    this.#stalled = false;
    this.#go();
  }

  /** Swallows all from here on, the end as well. */
  drop(): void {
    this.#dropping = true;
    this.#held = Buffer.alloc(0);
    this.#mark = null;
    this.#from.resume();
  }

  #go(): void {
    if (this.#due === null) this.#due = setImmediate(this.#step);
  }

  readonly #step = (): void => {
    this.#due = null;
    if (this.#dropping || this.#stalled || this.#reached()) return;
    if (this.#held.length === 0) {
      if (this.#ended && !this.#to.writableEnded) this.#to.end();
      return;
    }
    if (this.#stretchBytes <= 0 && this.#changeManner()) return;
    this.#hand(this.#pieceBytes());
    if (this.#reached()) return;
    if (this.#held.length > 0 || this.#ended) this.#go();
  };

  /** True when the next step comes later. */
  #changeManner(): boolean {
    const random = this.#random;
    this.#manner = random.weighted(MANNERS);
    this.#stretchBytes = random.between(1, STRETCH_BYTES[this.#manner]);
    if (this.#manner !== 'late' && this.#manner !== 'stopped') return false;
    this.#due = setTimeout(this.#step, random.fraction() * (this.#manner === 'late' ? LATE_MS : STOPPED_MS));
    return true;
  }

  #pieceBytes(): number {
    const held = this.#held.length;
    const wanted =
      this.#manner === 'byte by byte'
        ? 1
        : this.#manner === 'torn'
          ? this.#random.between(1, TORN_BYTES)
          : held;
    return Math.min(held, wanted, this.#mark === null ? held : this.#bytesToward(this.#mark.place));
  }

  /** How far the next piece may go so as not to miss the place. */
  #bytesToward(place: Place): number {
    const { leftBytes, place: now } = this.#tracker;
    const goesThere = (now === 'between frames' ? 'in a header' : now) === place;
    return goesThere && leftBytes > 1 ? this.#random.between(1, leftBytes - 1) : leftBytes;
  }

  #hand(bytes: number): void {
    const piece = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(bytes);
    this.#stretchBytes -= bytes;
    this.passedBytes += bytes;
    this.#tracker.pass(piece);
    if (this.#to.writable) this.#to.write(piece);
    if (this.#held.length <= HELD_BYTES) this.#from.resume();
  }

  #reached(): boolean {
    const mark = this.#mark;
    const tracker = this.#tracker;
    if (mark === null || tracker.place !== mark.place) return false;
    if (mark.place === 'in a payload' && tracker.atStart) return false;
    this.#mark = null;
    mark.reached();
    return true;
  }
}
