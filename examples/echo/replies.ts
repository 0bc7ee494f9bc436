/** Keeps account of numbers that should come back one after the other, each of them once. */
export class Replies {
  #expected: number;
  #reordered = 0;
  #duplicated = 0;
  /** Numbers that were passed over. */
  readonly #missing = new Set<number>();

  /** `expected` is the number that should come next. */
  constructor(expected: number) {
    this.#expected = expected;
  }

  /** Behind the highest number that has come back. */
  get expected(): number {
    return this.#expected;
  }

  /** Numbers that came back after higher ones. */
  get reordered(): number {
    return this.#reordered;
  }

  /** Numbers that came back again. */
  get duplicated(): number {
    return this.#duplicated;
  }

  /** Numbers below `end` that have not come back. */
  lostUpTo(end: number): number {
    return this.#missing.size + (end - this.#expected);
  }

  take(number: number): void {
    if (number === this.#expected) {
      this.#expected++;
    } else if (number > this.#expected) {
      for (let missing = this.#expected; missing < number; missing++) this.#missing.add(missing);
      this.#expected = number + 1;
    } else if (this.#missing.delete(number)) {
      this.#reordered++;
    } else {
      this.#duplicated++;
    }
  }
}
