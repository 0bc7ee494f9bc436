/** How the echo programs wait: by default as `run` does, with `--idle busy` for the shortest round trip. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Client, IdleStrategy, Server } from 'tcpshm';

/** From one turn of the event loop to the next, for signals and timers. */
const TURN_MS = 50;
/** Polls for messages from one look at the clock and at logins to the next. */
const POLLS = 500;

/** Polls until the signal aborts or `peer` is closed. Rejects with what a handler throws. */
export function pollUntil(signal: AbortSignal, peer: Client | Server, idle: IdleStrategy): Promise<void> {
  return idle === 'busy' ? pollBusily(signal, peer) : peer.run({ signal });
}

/** `run({ idle: 'busy' })` would never let a signal handler run; this lets it, a few times a second. */
async function pollBusily(signal: AbortSignal, peer: Client | Server): Promise<void> {
  const stopped = (): boolean => signal.aborted || peer.closed;
  while (!stopped()) {
    let now = performance.now();
    for (const end = now + TURN_MS; now < end && !stopped(); now = performance.now()) {
      peer.pollControl(now);
      for (let i = 0; i < POLLS && !peer.closed; i++) peer.pollMessages(now);
    }
    await nextTurn();
  }
}
