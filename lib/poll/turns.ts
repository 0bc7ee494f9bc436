/**
 * Resolves once all that promises and `process.nextTick` have to do now is done: for a poll that has given them something.
 * For who is called by a promise himself, as drivers are: elsewhere Node.js has `process.nextTick` come first.
 * A poll that goes on after `await null` alternates with them, one step each: of a loop over a channel each value waited
 * for a poll that could find nothing, and took 440 ns instead of 150 (`everyday/for-await` of the benchmark). What never
 * comes to its end by itself has to let others have their turn: channel/intake.ts and connection/room.ts do.
 */
export function drained(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
