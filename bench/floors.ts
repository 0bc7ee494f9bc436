/** The floors of a run: probes of each, and what they tell of its usual state. */
import { SIZES, type Size } from './bandwidth/sizes.js';
import { type LimitProbe, probe } from './limitPrograms.js';
import type { Progress } from './progress.js';
import { makeRateResult, makeResult, type Result } from './report.js';
import { type Enclosed, judge, type Probe, usualState, type Verdict } from './settle.js';
import { median } from './statistics.js';
import type { CpuPair, Limit, RateOf } from './subject.js';

/** How long a probe is. */
export interface ProbeEffort {
  readonly probeBatches: number;
  /** A probe ends after this time, even if other work on the machine has kept it from its batches. */
  readonly probeMs: number;
}

/** Round trips in a batch, as many as in those of the subjects that stand on each; or messages one way. */
const ROUND_TRIPS = { batch: 100 } as const;
const SHARED_ROUND_TRIPS = { batch: 1000 } as const;
const SLEEPY_ROUND_TRIPS = { batch: 20 } as const;
const oneWay = (bytes: number) => ({ batch: 20_000, rate: { unit: '/s', bytes } }) as const;

const bulk = (size: Size) => {
  const { bytes, batch } = SIZES[size];
  return { batch, rate: { unit: 'B/s', bytes } } as const;
};

/** What a sample of each is the mean of, and where it is not a round trip, of what the rate is reported. */
const PROBED: Record<Limit, { readonly batch: number; readonly rate?: RateOf }> = {
  'core-to-core': SHARED_ROUND_TRIPS,
  'core-to-core-one-word': SHARED_ROUND_TRIPS,
  'ring-round-trip': SHARED_ROUND_TRIPS,
  'tcp-loopback': ROUND_TRIPS,
  'futex-wake': SLEEPY_ROUND_TRIPS,
  'ring-16': oneWay(16),
  'ring-64': oneWay(64),
  'ring-256': oneWay(256),
  'ring-1024': oneWay(1024),
  'ring-16-batched': oneWay(16),
  'ring-64-batched': oneWay(64),
  'ring-256-batched': oneWay(256),
  'ring-1024-batched': oneWay(1024),
  'tcp-stream-16': oneWay(16),
  'tcp-stream': oneWay(64),
  'tcp-stream-256': oneWay(256),
  'tcp-stream-1024': oneWay(1024),
  'tcp-stream-4KiB': bulk('4KiB'),
  'tcp-stream-64KiB': bulk('64KiB'),
  'tcp-stream-1MiB': bulk('1MiB'),
  'tcp-stream-4MiB': bulk('4MiB'),
  'memcpy-shm/4KiB': bulk('4KiB'),
  'memcpy-shm/64KiB': bulk('64KiB'),
  'memcpy-shm/1MiB': bulk('1MiB'),
  'memcpy-shm/4MiB': bulk('4MiB'),
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
    const taken = await probe(limit, this.#cpus, this.batch(PROBED[limit].batch), probeBatches, probeMs);
    this.#probes.set(limit, [...this.#taken(limit), taken]);
    return taken;
  }

  usual(limit: Limit): number {
    return usualState(this.#taken(limit));
  }

  /** The typical one of all probes so far: of a floor that is unsteady by itself, where the nearest ones say little. */
  typical(limit: Limit): Probe {
    const probes = this.#taken(limit);
    return { mean: median(probes.map((probe) => probe.mean)), p50: this.usual(limit) };
  }

  judge(limit: Limit, slice: Enclosed): Verdict {
    return judge(slice, this.usual(limit));
  }

  /** How many round trips make a batch here. */
  batch(usual: number): number {
    const [near, far] = this.#cpus;
    return near === far ? Math.min(BATCH_ON_ONE_CPU, usual) : usual;
  }

  /** The floor in the state in which what stands on it was measured; without such probes, that of all. */
  result(limit: Limit, enclosing: readonly LimitProbe[]): Result {
    const probes = enclosing.length > 0 ? enclosing : this.#taken(limit);
    const { batch, rate } = PROBED[limit];
    const [name, slices] = [`limit/${limit}`, probes.map(({ samples }) => samples)];
    return rate === undefined
      ? makeResult(name, this.batch(batch), slices)
      : makeRateResult(name, this.batch(batch), slices, rate);
  }

  #taken(limit: Limit): readonly LimitProbe[] {
    return this.#probes.get(limit) ?? [];
  }
}
