/** The floors of a run: probes of each, and what they tell of its usual state. */
import { type LimitProbe, probe } from './limitPrograms.js';
import type { Progress } from './progress.js';
import { makeResult, type Result } from './report.js';
import { type Enclosed, judge, usualState, type Verdict } from './settle.js';
import type { CpuPair, Limit } from './subject.js';

/** How long a probe is. */
export interface ProbeEffort {
  readonly probeBatches: number;
  /** A probe ends after this time, even if other work on the machine has kept it from its batches. */
  readonly probeMs: number;
}

/** As long as those of the subjects that stand on each. */
const LIMIT_BATCH: Record<Limit, number> = {
  'core-to-core': 1000,
  'core-to-core-one-word': 1000,
  'tcp-loopback': 100,
  'futex-wake': 20,
};
/** On a single processor each side spins until its time slice is over: a round trip takes milliseconds. */
const BATCH_ON_ONE_CPU = 4;
/** Enough to know the usual state before the first slice is judged by it. */
const PROBES_AT_START = 5;

export class Floors {
  readonly #cpus: CpuPair;
  readonly #effort: ProbeEffort;
  readonly #probes = new Map<Limit, LimitProbe[]>();

  constructor(cpus: CpuPair, effort: ProbeEffort) {
    this.#cpus = cpus;
    this.#effort = effort;
  }

  /** Gets to know the usual state of some floors. */
  async learn(limits: readonly Limit[], progress: Progress): Promise<void> {
    for (const limit of limits) {
      progress.say(`limit/${limit}: the usual state`);
      for (let i = 0; i < PROBES_AT_START; i++) await this.probe(limit);
    }
  }

  async probe(limit: Limit): Promise<LimitProbe> {
    const { probeBatches, probeMs } = this.#effort;
    const taken = await probe(limit, this.#cpus, this.batch(LIMIT_BATCH[limit]), probeBatches, probeMs);
    this.#probes.set(limit, [...this.#taken(limit), taken]);
    return taken;
  }

  usual(limit: Limit): number {
    return usualState(this.#taken(limit));
  }

  judge(limit: Limit, slice: Enclosed): Verdict {
    return judge(slice, this.usual(limit));
  }

  /** How many round trips make a batch here. */
  batch(usual: number): number {
    const [near, far] = this.#cpus;
    return near === far ? BATCH_ON_ONE_CPU : usual;
  }

  /** The floor in the state in which what stands on it was measured; without such probes, that of all. */
  result(limit: Limit, enclosing: readonly LimitProbe[]): Result {
    const probes = enclosing.length > 0 ? enclosing : this.#taken(limit);
    return makeResult(
      `limit/${limit}`,
      this.batch(LIMIT_BATCH[limit]),
      probes.map(({ samples }) => samples),
    );
  }

  #taken(limit: Limit): readonly LimitProbe[] {
    return this.#probes.get(limit) ?? [];
  }
}
