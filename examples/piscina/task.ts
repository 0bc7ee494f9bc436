/** The task of main.ts, in a thread of the pool. */
import { RingChannel, type RingHandle } from 'tcpshm';

export interface PrimesTask {
  readonly below: number;
  /** Where the results go: the remote end of a RingChannel. */
  readonly ring: RingHandle;
}

/** Sends every prime number below a limit, and returns how many there are. */
export default function findPrimes({ below, ring }: PrimesTask): number {
  const end = RingChannel.open(ring);
  try {
    let found = 0;
    for (let candidate = 2; candidate < below; candidate++) {
      if (!isPrime(candidate)) continue;
      let message = end.alloc(4);
      // The ring is full: this thread has nothing better to do than to wait until the other one has popped.
      while (message === null) message = end.alloc(4);
      message.setUint32(0, candidate);
      end.push();
      found++;
    }
    return found;
  } finally {
    // Now the next task could open the same ring.
    end.close();
  }
}

function isPrime(candidate: number): boolean {
  for (let divisor = 2; divisor * divisor <= candidate; divisor++)
    if (candidate % divisor === 0) return false;
  return true;
}
