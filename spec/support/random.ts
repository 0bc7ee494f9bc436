/**
 * Random numbers that follow from a seed alone: mulberry32 (Tommy Ettinger), whose 2^32 states are plenty for the
 * some hundred numbers of a schedule or the some thousand of a soak.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not give similar schedules.
    this.#state = Math.imul(seed ^ 0x5bf03635, 0x9e3779b1) ^ (seed >>> 15);
    this.next();
    this.next();
  }

  /** 32 bits, unsigned. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A number from 0 to below 1. */
  fraction(): number {
    return this.next() / 2 ** 32;
  }

  /** An integer from 0 to `n - 1`. */
  below(n: number): number {
    return this.next() % n;
  }

  /** An integer from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True once in `n` times. */
  once(n: number): boolean {
    return this.next() % n === 0;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  /** One of the values, each as often as its weight says. */
  weighted<T>(weights: readonly (readonly [T, number])[]): T {
    let left = this.fraction() * weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [value, weight] of weights) {
      left -= weight;
      if (left < 0) return value;
    }
    return (weights.at(-1) as readonly [T, number])[0];
  }
}

/** One that was not used before, for all that tells its seed when it fails. */
export function randomSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}
