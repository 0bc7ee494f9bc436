/**
 * Points at which a simulated process can die or be held up: before each store to a ring, each atomic load of one,
 * and each system call of a simulated wire. The instrumented copy of lib (instrument.ts) calls them.
 *
 * A process that is killed leaves a prefix of its stores, in the order of the program, as x86 keeps it; so stopping
 * at such a point leaves exactly what a kill leaves, and going on later is exactly what another process can see.
 */
const NEVER = 2 ** 30;

let remaining = NEVER;
/** Whether the next point that is arrived at is the last, whatever was planned. */
let doomed = false;
let arrive: () => void = () => {
  remaining = NEVER;
};

/** What is thrown through the code of a process that dies. Code that catches it meets it again at the next point. */
export class SimulatedCrash extends Error {}

const CRASH = new SimulatedCrash('the simulated process died here');

/** The process may die here, or another may run. */
export function point(): void {
  if (--remaining < 0) arrive();
}

/** Whether what runs now is dead: it must have no effect any more. */
export function isDying(): boolean {
  return remaining < 0;
}

/** What runs now dies after so many more points, unless it dies before: for within `runUntil`. */
export function dieAfter(points: number): void {
  if (remaining < 0) return;
  remaining = Math.min(remaining, points);
  doomed = true;
}

/** Points of a run that are never reached. */
export const NOT = NEVER;

/**
 * Runs `act` as a process that is held up at one point, while `meanwhile` runs, and dies at another one, both counted
 * from 0. True if it died; all else that `act` throws then is of no interest, as nobody is left to see it.
 */
export function runUntil(dieAt: number, pauseAt: number, meanwhile: () => void, act: () => void): boolean {
  let died = false;
  let paused = false;
  const arriving = (): void => {
    if (!died && !doomed && !paused && pauseAt <= dieAt) {
      paused = true;
      remaining = NEVER;
      meanwhile();
      remaining = dieAt === NOT ? NEVER : dieAt - pauseAt;
      // This point is also the first of those that are left.
      point();
      return;
    }
    if (!died && !doomed && dieAt === NOT) {
      remaining = NEVER;
      return;
    }
    died = true;
    remaining = -1;
    throw CRASH;
  };
  armed(Math.min(dieAt, pauseAt), arriving, () => {
    try {
      act();
    } catch (error) {
      if (!died) throw error;
    }
  });
  return died;
}

/** Runs `act` as a process that dies at the given point. True if it got there. */
export function crashAt(at: number, act: () => void): boolean {
  return runUntil(at, NOT, () => {}, act);
}

/** How many points `act` passes. */
export function pointsOf(act: () => void): number {
  let passed = 0;
  armed(NEVER, arrive, () => {
    act();
    passed = NEVER - remaining;
  });
  return passed;
}

function armed(at: number, arriving: () => void, act: () => void): void {
  const outerRemaining = remaining;
  const outerArrive = arrive;
  const outerDoomed = doomed;
  remaining = at;
  arrive = arriving;
  doomed = false;
  try {
    act();
  } finally {
    remaining = outerRemaining;
    arrive = outerArrive;
    doomed = outerDoomed;
  }
}

/* What stores and loads of the instrumented copy become. */

export function atomicStore(words: Int32Array, index: number, value: number): void {
  point();
  Atomics.store(words, index, value);
}

export function atomicLoad(words: Int32Array, index: number): number {
  point();
  return Atomics.load(words, index);
}

/** `fill`, as one store after the other. */
export function storeFill(
  target: Float64Array | Int32Array | Uint8Array,
  value: number | Uint8Array,
  from = 0,
  to = target.length,
): void {
  if (typeof value !== 'number') {
    for (let at = from; at < to; at += value.length) {
      storeSet(target as Uint8Array, value.subarray(0, to - at), at);
    }
    return;
  }
  if (to > from && remaining > to - from) {
    remaining -= to - from;
    target.fill(value, from, to);
    return;
  }
  for (let i = from; i < to; i++) {
    point();
    target[i] = value;
  }
}

/** `set`, as one store of 8 bytes after the other. */
export function storeSet(target: Uint8Array, source: Uint8Array, at = 0): void {
  if (at + source.length > target.length) throw new RangeError('offset is out of bounds');
  const stores = Math.ceil(source.length / 8);
  if (remaining > stores) {
    remaining -= stores;
    target.set(source, at);
    return;
  }
  for (let i = 0; i < source.length; i += 8) {
    point();
    const end = Math.min(i + 8, source.length);
    for (let k = i; k < end; k++) target[at + k] = source[k] as number;
  }
}

/** `write` of Latin-1 text, as one store of 8 bytes after the other. */
export function storeText(target: Uint8Array, text: string, ...more: (number | string)[]): void {
  const numbers = more.filter((one) => typeof one === 'number');
  const [at = 0, most = target.length] = numbers;
  storeSet(target, Buffer.from(text.slice(0, most), 'latin1'), at);
}
