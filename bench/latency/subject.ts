/**
 * Round trips of messages that leave at a fixed rate, over a connection of ours, polled busily at both ends: each is
 * timed from when it was to leave until its answer was verified.
 */
import { performance } from 'node:perf_hooks';
import type { FlowSettings } from '../flow/settings.js';
import { type Sides, startSides } from '../flow/sides.js';
import { pinnedWhile } from '../pinning.js';
import type { Measurable } from '../subject.js';
import { noAnswer } from '../subjects/exchange.js';
import { PAYLOAD_BYTES, Tally } from '../tally.js';
import { Pace } from './pace.js';

const NS_PER_MS = 1e6;
export const CAPACITY_BYTES = 2 ** 20;
const BUSY_THREADS = 2;
/** Fewer than a queue holds. */
const MOST_UNDER_WAY = CAPACITY_BYTES / 2 / (PAYLOAD_BYTES + 8);
/** Between two looks at what has come back. */
const MOST_AT_ONCE = 64;
/** What is left of those that were sent must come back in this time. */
const PATIENCE_MS = 10_000;

export function pacedSubject(name: string, carrier: 'inproc' | 'shm' | 'tcp', perSecond: number): Measurable {
  const settings: FlowSettings = {
    carrier,
    duty: 'echo',
    bytes: PAYLOAD_BYTES,
    capacityBytes: CAPACITY_BYTES,
    batch: 1,
  };
  return {
    name,
    limit: carrier === 'tcp' ? 'tcp-loopback' : 'core-to-core',
    busyThreads: BUSY_THREADS,
    batch: 1,
    async measure(cpus, _batch, { warmUpMs, batchesMs }) {
      const paced = new Paced(await startSides(settings, cpus[1]), carrier === 'tcp');
      return pinnedWhile(cpus, paced, async () => {
        paced.run(perSecond, warmUpMs);
        return { samples: paced.run(perSecond, batchesMs), single: null };
      });
    },
  };
}

export class Paced {
  readonly #sides: Sides;
  readonly #polls: boolean;
  readonly #sent = new Tally();
  readonly #back = new Tally();

  /** `polls` where it has a socket. */
  constructor(sides: Sides, polls: boolean) {
    this.#sides = sides;
    this.#polls = polls;
  }

  /** Sends for so long, and gives the time of each message in nanoseconds. Throws when what comes back is wrong. */
  run(perSecond: number, forMs: number): number[] {
    const { connection, client } = this.#sides;
    const [sent, back] = [this.#sent, this.#back];
    const count = Math.max(1, Math.round((perSecond * forMs) / 1000));
    const times = new Float64Array(count);
    client?.pollControl();
    const startMs = performance.now();
    const deadline = startMs + forMs + PATIENCE_MS;
    const pace = new Pace(startMs, perSecond, count);
    let left = 0;
    let taken = 0;
    while (taken < count) {
      const now = performance.now();
      if (now > deadline) throw noAnswer(back.count);
      // Those that could not leave yet wait, and their time counts: the answers must have room.
      const due = Math.min(pace.due(now), taken + MOST_UNDER_WAY, left + MOST_AT_ONCE);
      for (; left < due; left++) {
        const message = connection.alloc(PAYLOAD_BYTES);
        if (message === null) break;
        sent.write(message);
        connection.push();
      }
      if (this.#polls) client?.pollTcp(now);
      for (let message = connection.front(); message !== null; message = connection.front()) {
        back.read(message);
        connection.pop();
        times[taken] = (performance.now() - pace.dueMs(taken)) * NS_PER_MS;
        taken++;
      }
    }
    sent.compare(back);
    return Array.from(times);
  }

  stop(): Promise<void> {
    return this.#sides.stop();
  }
}
