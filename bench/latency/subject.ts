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
/**
 * A rate that cannot be held must come to an end: so much longer than it is to take, messages leave. Those that are under
 * way by then are awaited.
 */
const GRACE_MS = 1000;
/** When nothing has come back for so long, a look whether the other side is still there. */
const LOOK_MS = 100;
/** And after so long, with the other side there and this one looking, a message is lost. */
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
    perSecond,
    async measure(cpus, _batch, { warmUpMs, batchesMs }) {
      const paced = new Paced(await startSides(settings, cpus[1]), carrier === 'tcp');
      return pinnedWhile(cpus, paced, async () => {
        paced.run(perSecond, warmUpMs);
        const { times, achieved } = paced.run(perSecond, batchesMs);
        return { samples: times, single: null, achieved };
      });
    },
  };
}

export interface Run {
  /** Of each message that left, in nanoseconds. */
  readonly times: number[];
  /** Messages that came back in a second. */
  readonly achieved: number;
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

  /**
   * Sends for so long, or longer by up to `graceMs` where the rate cannot be held. Throws when what comes back is wrong,
   * when a message does not, and when the other side is gone.
   */
  run(perSecond: number, forMs: number, graceMs = GRACE_MS): Run {
    const { connection, client } = this.#sides;
    const [sent, back] = [this.#sent, this.#back];
    const count = Math.max(1, Math.round((perSecond * forMs) / 1000));
    const times = new Float64Array(count);
    client?.pollControl();
    const startMs = performance.now();
    const endMs = startMs + forMs + graceMs;
    const pace = new Pace(startMs, perSecond, count);
    let lastMs = startMs;
    let wait: Wait | null = null;
    let left = 0;
    let taken = 0;
    while (taken < left || left < count) {
      const now = performance.now();
      if (now < endMs || left === 0) {
        // Those that could not leave yet wait, and their time counts: the answers must have room.
        const due = Math.min(pace.due(now), taken + MOST_UNDER_WAY, left + MOST_AT_ONCE);
        for (; left < due; left++) {
          const message = connection.alloc(PAYLOAD_BYTES);
          if (message === null) break;
          sent.write(message);
          connection.push();
        }
      } else if (taken === left) break;
      if (this.#polls) client?.pollTcp(now);
      const before = taken;
      for (let message = connection.front(); message !== null; message = connection.front()) {
        back.read(message);
        connection.pop();
        lastMs = performance.now();
        times[taken] = (lastMs - pace.dueMs(taken)) * NS_PER_MS;
        taken++;
      }
      if (taken > before || taken === left) wait = null;
      else if (now - lastMs > LOOK_MS) {
        wait ??= new Wait(this.#sides);
        wait.look(now, back.count);
      }
    }
    sent.compare(back);
    return {
      times: Array.from(times.subarray(0, taken)),
      achieved: (taken * 1000) / Math.max(lastMs - startMs, (taken * 1000) / perSecond),
    };
  }

  stop(): Promise<void> {
    return this.#sides.stop();
  }
}

/** A wait for a message that is under way. Time in which this side did not look is not counted: it was not waiting. */
class Wait {
  readonly #sides: Sides;
  #lookedMs: number | null = null;
  #waitedMs = 0;

  constructor(sides: Sides) {
    this.#sides = sides;
  }

  look(now: number, sequence: number): void {
    const elapsedMs = this.#lookedMs === null ? 0 : now - this.#lookedMs;
    if (this.#lookedMs !== null && elapsedMs < LOOK_MS) return;
    this.#lookedMs = now;
    this.#waitedMs += Math.min(elapsedMs, 2 * LOOK_MS);
    const { connection, client } = this.#sides;
    client?.pollControl(now);
    if (connection.state !== 'connected') throw new Error(`the far side is gone, at message ${sequence}`);
    if (this.#waitedMs > PATIENCE_MS) throw noAnswer(sequence);
  }
}
