import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { TcpshmError } from '../errors.js';
import type { Patience } from '../wire/wire.js';

/** Pauses that last for a turn of the event loop; later ones last for a millisecond. */
const SHORT_PAUSES = 100;

/** Waits in small steps, as long as the login of a client may take. `check` throws what ends the waiting earlier. */
export function patienceFor(client: string, timeoutMs: number, check: () => void): Patience {
  const start = performance.now();
  let pauses = 0;
  return {
    async pause() {
      check();
      if (performance.now() - start >= timeoutMs) {
        throw new TcpshmError(
          'ERR_LOGIN_TIMEOUT',
          `the login of '${client}' was not complete after ${timeoutMs} ms:` +
            ' is the server there, and is it being polled?',
        );
      }
      // At first in every turn of the event loop, then without burning the processor.
      await (pauses++ < SHORT_PAUSES ? nextTurn() : sleep(1));
      check();
    },
  };
}
