/** Numbers from 0 on: who takes one gets the lowest that nobody has. */
export class LowestFree {
  readonly #taken = new Set<number>();
  /** All below are taken. */
  #lowest = 0;

  take(): number {
    while (this.#taken.has(this.#lowest)) this.#lowest++;
    this.#taken.add(this.#lowest);
    return this.#lowest;
  }

  giveBack(number: number): void {
    this.#taken.delete(number);
    this.#lowest = Math.min(this.#lowest, number);
  }
}
