/**
 * The first laps of a trial are not measured: the producer writes where the other way was gone before, and then the consumer
 * reads what was written there.
 */
const UNMEASURED_LAPS = 2;
const TRIAL_LAPS = 16;
/** So many laps it goes the better way, before both are tried again. */
const HELD_LAPS = 1024;
/** When so many laps in succession take so many times as long as they could, leaving is given up before its time. */
const SLOW_LAPS = 2;
const SLOW = 1.5;

/**
 * Whether a consumer in shared memory clears a large record that was popped, or hands it back as it is. Clearing is a third
 * of its work; but it takes the lines away from where both sides have them, which a producer whose lines come from far away
 * must do for each before he writes it, six times as slowly. Which of both counts depends on the machine, on which
 * processors the sides are, and on whether the ring fits into their caches. So both ways are tried now and then, by laps
 * around the ring, and the faster one is gone.
 */
export class Clearing {
  readonly #capacity: number;
  readonly #now: () => number;
  #leaving = false;
  #trying = true;
  /** Of this trial, or since then. */
  #laps = 0;
  #bytes = 0;
  #lapBegan: number;
  /** Slow laps in succession. */
  #slow = 0;
  /** What a byte took in the laps of this trial that are measured. */
  readonly #measured: number[] = [];
  /** The same in the last trial of clearing, for the faster ones of its laps; and of leaving, for the slower ones. */
  #cleared = Number.POSITIVE_INFINITY;
  #left = Number.POSITIVE_INFINITY;

  /** `capacity` is that of the ring; `now` gives the time in whatever unit. */
  constructor(capacity: number, now: () => number = () => performance.now()) {
    this.#capacity = capacity;
    this.#now = now;
    this.#lapBegan = now();
  }

  /** Whether to leave a large record of so many bytes as it is. */
  leaves(bytes: number): boolean {
    this.#bytes += bytes;
    if (this.#bytes >= this.#capacity) this.#lap();
    return this.#leaving;
  }

  #lap(): void {
    const now = this.#now();
    const took = (now - this.#lapBegan) / this.#bytes;
    this.#lapBegan = now;
    this.#bytes = 0;
    this.#laps++;
    if (this.#laps <= UNMEASURED_LAPS) return;
    if (this.#trying) {
      this.#measured.push(took);
      if (this.#laps === TRIAL_LAPS || this.#givesUp(took, this.#cleared)) this.#judge();
    } else if (this.#laps === HELD_LAPS || this.#givesUp(took, this.#left)) {
      this.#begin(true, false);
    }
  }

  /** Whether leaving has become slow, against what a byte could take. One slow lap may be an interruption. */
  #givesUp(took: number, could: number): boolean {
    this.#slow = this.#leaving && took > SLOW * could ? this.#slow + 1 : 0;
    return this.#slow === SLOW_LAPS;
  }

  /**
   * Leaving must be faster in its slower laps than clearing in its faster ones. So it is not taken up where there is little
   * between the two, nor where time passes with something else, as it does when messages come now and then.
   */
  #judge(): void {
    const laps = this.#measured.splice(0).toSorted((a, b) => a - b);
    if (this.#leaving) {
      this.#left = laps[Math.floor(laps.length * 0.75)] as number;
      this.#begin(false, this.#left < this.#cleared);
    } else {
      this.#cleared = laps[Math.floor(laps.length * 0.25)] as number;
      this.#begin(true, true);
    }
  }

  #begin(trying: boolean, leaving: boolean): void {
    this.#trying = trying;
    this.#leaving = leaving;
    this.#laps = 0;
    this.#slow = 0;
  }
}
