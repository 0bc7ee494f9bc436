/** Judges what one side has received, from the numbers that it noted. */
export class Ledger {
  /** The number that comes next. */
  #next = 0;
  /** Numbers that were skipped, as ranges [from, to). */
  readonly #gaps: [number, number][] = [];
  #notedSinceStart = 0;
  #received = 0;
  #duplicated = 0;
  #reordered = 0;
  #redelivered = 0;

  get next(): number {
    return this.#next;
  }

  /** Numbers noted since the side was started last. */
  get notedSinceStart(): number {
    return this.#notedSinceStart;
  }

  /** Messages that came, each counted once. */
  get received(): number {
    return this.#received;
  }

  /** Messages that came again although they had been popped. */
  get duplicated(): number {
    return this.#duplicated;
  }

  /** Messages that came after one with a higher number. */
  get reordered(): number {
    return this.#reordered;
  }

  /** Messages that came again as their receiver died after it had noted them and before their `pop`. */
  get redelivered(): number {
    return this.#redelivered;
  }

  /** Messages that have not come, of `sent`. */
  lost(sent: number): number {
    const skipped = this.#gaps.reduce((sum, [from, to]) => sum + to - from, 0);
    return skipped + Math.max(0, sent - this.#next);
  }

  /** The side has died, and all that it noted was taken. */
  restarted(): void {
    this.#notedSinceStart = 0;
  }

  take(number: number): void {
    const first = this.#notedSinceStart++ === 0;
    if (number === this.#next) {
      this.#next++;
      this.#received++;
    } else if (number > this.#next) {
      this.#gaps.push([this.#next, number]);
      this.#next = number + 1;
      this.#received++;
    } else if (first && number === this.#next - 1) {
      this.#redelivered++;
    } else if (this.#fills(number)) {
      this.#received++;
      this.#reordered++;
    } else {
      this.#duplicated++;
    }
  }

  /** Whether the number was missing: not any more then. */
  #fills(number: number): boolean {
    const index = this.#gaps.findIndex(([from, to]) => from <= number && number < to);
    if (index < 0) return false;
    const [from, to] = this.#gaps[index] as [number, number];
    const rest: [number, number][] = [
      [from, number],
      [number + 1, to],
    ];
    this.#gaps.splice(index, 1, ...rest.filter(([start, end]) => start < end));
    return true;
  }
}
