/**
 * Sleep without a lost wake-up. A side that has nothing to do sleeps until its doorbell rings (wire/bells.ts), and its
 * peer rings only if it has to, as ringing is a system call. Both do two things, in this order:
 *
 *     who sleeps                               who wakes
 *     1. stores that it is parked              1. stores what the other one waits for: a message, or room
 *     2. looks once more for that              2. looks whether the other one is parked
 *     3. sleeps, if there is nothing           3. rings, if so
 *
 * Each stores before it looks, so one of them at least sees the other: either the message is seen in step 2 on the left,
 * or the parking in step 2 on the right, and a bell that rings before step 3 is heard in it. With the first two steps of
 * either side swapped both may look before either stores: a message lies there, and its receiver sleeps.
 *
 * A processor swaps them too: a store may still be on its way when the load behind it is done. Who wakes has no fence
 * between the two, as that would cost each message more than all else, so who sleeps has it for both: a `barrier`
 * between its first two steps (memory/order.ts). Without one it must not sleep.
 *
 * `spec/session/parking.spec.ts` goes through all interleavings of these steps, of the wrong orders, and without barrier.
 *
 * A parking has a number, so that one that was rung for is not rung for again until it is over.
 */

/** Indexes of a place's words. */
const PARKED = 0;
const PARKINGS = PARKED + 1;
const TOKEN = PARKINGS + 1;
const WORDS = TOKEN + 1;
/** Longest path of a doorbell, in bytes. */
export const MAX_BELL_PATH = 76;
const PATH_WORDS = MAX_BELL_PATH / 4;

/** What wakes somebody: the path of his doorbell, and the token that tells him why. */
export interface Bell {
  readonly path: string;
  readonly token: number;
}

/** Where one side of a session says that it sleeps: written by that side, read by its peer. */
export class ParkingPlace {
  /** The first element is the number of the parking, 0 while the side is awake. */
  readonly words: Int32Array;
  readonly #path: Int32Array;
  /** The path as it was last read, and what its bytes were: reading it is much of what waking costs this thread. */
  #read = '';
  readonly #readFrom = new Int32Array(PATH_WORDS);
  /** The path as it was last written. */
  #written = '';

  constructor(buffer: ArrayBufferLike, offset: number) {
    this.words = new Int32Array(buffer, offset, WORDS);
    this.#path = new Int32Array(buffer, offset + this.words.byteLength, PATH_WORDS);
  }

  /** Number of the parking, 0 while the side is awake. */
  get parked(): number {
    return Atomics.load(this.words, PARKED);
  }

  /** What wakes who is parked here. From a peer that lies it is anything. */
  get bell(): Bell {
    let same = true;
    for (let i = 0; i < PATH_WORDS; i++) {
      const word = this.#path[i] as number;
      if (word !== this.#readFrom[i]) same = false;
      this.#readFrom[i] = word;
    }
    if (!same) this.#read = Buffer.from(this.#readFrom.buffer).toString('latin1').replace(/\0.*$/s, '');
    return { path: this.#read, token: (this.words[TOKEN] as number) >>> 0 };
  }

  /** What will wake this side, to be said before it parks. The path has at most {@link MAX_BELL_PATH} bytes. */
  hang({ path, token }: Bell): void {
    this.words[TOKEN] = token;
    if (path === this.#written) return;
    this.#written = path;
    const words = new Int32Array(PATH_WORDS);
    Buffer.from(words.buffer).write(path, 'latin1');
    this.#path.set(words);
  }

  /** The first step of who sleeps: behind a `barrier` it is to look once more for what it waits for. */
  park(): void {
    const parking = ((this.words[PARKINGS] as number) + 1) | 0 || 1;
    this.words[PARKINGS] = parking;
    // PARK; observed by the peer in `parked`, after it has stored what this side waits for.
    Atomics.store(this.words, PARKED, parking);
  }

  /** Awake again. */
  leave(): void {
    Atomics.store(this.words, PARKED, 0);
  }
}
