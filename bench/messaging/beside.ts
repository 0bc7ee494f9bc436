/** Small requests alone, and beside a large stream over the same connection. */
import type { Messenger } from '../../lib/index.js';
import type { Effort } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { Measurable } from '../subject.js';
import { type Carrier, startTalk } from './ours.js';
import { bytesOf, checkBytes, PART_BYTES, partOf } from './questions.js';

const NS_PER_MS = 1e6;

/** Single requests of 100 bytes, one at a time: as long as it is measured, or as a stream of so many bytes goes. */
export function besideStream(name: string, carrier: Carrier, streamBytes: number): Measurable {
  return {
    name,
    limit: carrier === 'tcp' ? 'tcp-loopback' : 'core-to-core',
    busyThreads: 2,
    batch: 1,
    async measure(cpus, _batch, effort) {
      const talk = await startTalk(carrier, cpus[1]);
      return pinnedWhile(cpus, talk, async () => ({
        samples: await sample(talk.messenger, streamBytes, effort),
        single: null,
      }));
    },
  };
}

async function sample(near: Messenger, streamBytes: number, effort: Effort): Promise<number[]> {
  const timed = new Timed(near);
  const warm = performance.now() + effort.warmUpMs;
  await timed.whilst(() => performance.now() < warm);
  // Until V8 has compiled what streams go through, its threads want the processors of both sides.
  if (streamBytes > 0) await timed.beside(stream(near, streamBytes));
  timed.samples.length = 0;
  if (streamBytes > 0) {
    await timed.beside(stream(near, streamBytes));
  } else {
    const end = performance.now() + effort.batchesMs;
    await timed.whilst(() => performance.now() < end);
  }
  return timed.samples;
}

class Timed {
  /** Nanoseconds. */
  readonly samples: number[] = [];
  readonly #near: Messenger;
  #n = 0;

  constructor(near: Messenger) {
    this.#near = near;
  }

  async beside(work: Promise<void>): Promise<void> {
    let over = false;
    const done = work.finally(() => {
      over = true;
    });
    await Promise.all([done, this.whilst(() => !over)]);
  }

  async whilst(goesOn: () => boolean): Promise<void> {
    while (goesOn()) {
      const n = this.#n++;
      const bytes = bytesOf(n);
      const before = performance.now();
      const answer = await this.#near.request('echo', bytes);
      this.samples.push((performance.now() - before) * NS_PER_MS);
      checkBytes(n, answer);
    }
  }
}

/** Sends so many bytes, and verifies that the other side has taken them all. */
async function stream(near: Messenger, bytes: number): Promise<void> {
  const parts = function* (): Generator<Uint8Array> {
    for (let at = 0; at < bytes; at += PART_BYTES) yield partOf(at, Math.min(PART_BYTES, bytes - at));
  };
  const taken = await near.request('take', bytes, { body: parts() });
  if (taken !== bytes) throw new Error(`of ${bytes} bytes of a stream ${taken} arrived`);
}
