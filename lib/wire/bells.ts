import { type Doorbell, native } from '../memory/native.js';
import type { Bell } from '../session/parking.js';

/** Doorbells of others that this thread has rung, and keeps open. */
const known = new Map<string, Doorbell>();

/**
 * Rings somebody's bell. That nobody answers it any more is no error: whoever slept there is dead, and its successor
 * will look for itself. Nor is a full one: who answers it looks everywhere then.
 */
export function ring({ path, token }: Bell): void {
  let bell = known.get(path);
  if (bell === undefined) {
    try {
      bell = native().openDoorbell(path) ?? undefined;
    } catch {
      // A peer that lies about its bell, or one whose folder this process cannot see, is not woken.
    }
    if (bell === undefined) return;
    known.set(path, bell);
  }
  if (!bell.ring(token)) hangUp(path);
}

/** Forgets a bell that is not needed any more: of a connection that was closed. It is opened again if it is. */
export function hangUp(path: string): void {
  known.get(path)?.close();
  known.delete(path);
}
