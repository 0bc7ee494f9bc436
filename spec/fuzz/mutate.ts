import type { Random } from '../support/random.js';

/** Numbers at the edges of what sizes, positions and counts can be. */
export const EXTREMES = [
  0,
  1,
  -1,
  7,
  8,
  9,
  255,
  1032,
  1033,
  4095,
  4096,
  4097,
  65535,
  65536,
  2 ** 20,
  2 ** 30,
  2 ** 31 - 1,
  -(2 ** 31),
] as const;

export function extreme(random: Random): number {
  return random.once(3) ? random.next() | 0 : random.pick(EXTREMES);
}

/** Bytes that were right, damaged in one to four places: bits, words, pieces that are missing, repeated or exchanged. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  let mutated = Uint8Array.from(bytes);
  for (let n = random.between(1, 4); n > 0; n--) {
    const { length } = mutated;
    if (length === 0) return Uint8Array.of(random.next());
    const at = random.below(length);
    const end = Math.min(length, at + random.between(1, 16));
    const view = new DataView(mutated.buffer);
    switch (random.below(8)) {
      case 0:
        mutated[at] = (mutated[at] as number) ^ (1 << random.below(8));
        break;
      case 1:
        mutated[at] = random.next();
        break;
      case 2:
        if (length >= 4) view.setInt32(random.below(length >> 2) << 2, extreme(random), true);
        break;
      case 3:
        if (length >= 8)
          view.setFloat64(
            random.below(length >> 3) << 3,
            random.pick([Number.NaN, -1, 0.5, 2 ** 53, 1e300, -0]),
            true,
          );
        break;
      case 4:
        mutated = mutated.slice(0, at);
        break;
      case 5:
        mutated = spliced(mutated, at, end, new Uint8Array(0));
        break;
      case 6:
        mutated = spliced(mutated, at, at, mutated.slice(at, end));
        break;
      default:
        mutated = spliced(mutated, at, at, randomBytes(random, random.between(1, 16)));
    }
  }
  return mutated;
}

export function randomBytes(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => random.next());
}

function spliced(bytes: Uint8Array, from: number, to: number, between: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(from + between.length + bytes.length - to);
  result.set(bytes.subarray(0, from));
  result.set(between, from);
  result.set(bytes.subarray(to), from + between.length);
  return result;
}
