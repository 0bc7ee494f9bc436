/**
 * The benchmark of durability. It goes in rounds over all it measures, so that a slow change of the machine or its disk
 * meets all of it alike; what is compared with each other is measured in one slice, in turn.
 */
import type { DurabilityLevel } from '../../lib/index.js';
import type { Progress } from '../progress.js';
import { type Failure, makeRate, makeRatio, makeResult, type Outcome, type Result } from '../report.js';
import { summarize } from '../statistics.js';
import { type FlushEffort, type FlushSlice, measureFlush } from './flush.js';
import { measureThroughput, type Throughput, type ThroughputEffort } from './throughput.js';

export interface DurabilitySettings {
  readonly quick: boolean;
  /** A folder on the disk to measure. */
  readonly directory: string;
  readonly cores: number;
  readonly progress: Progress;
}

interface Plan extends ThroughputEffort, FlushEffort {
  readonly rounds: number;
  /** After this time nothing is begun, but what is in the first round. */
  readonly beginUntilMs: number;
}

const QUICK: Plan = {
  rounds: 2,
  beginUntilMs: 15_000,
  burst: 300_000,
  bursts: 4,
  perSlice: 50,
  slices: 8,
  warmUp: 40,
};
const FULL: Plan = {
  rounds: 5,
  beginUntilMs: 120_000,
  burst: 1_000_000,
  bursts: 8,
  perSlice: 100,
  slices: 20,
  warmUp: 20,
};

const LEVELS: readonly DurabilityLevel[] = ['process', 'disk'];
/** Whether the client is driven by `run()` while flushes are awaited, and how that is called in the report. */
const WAYS = [
  { driven: false, suffix: '' },
  { driven: true, suffix: '-driven' },
] as const;
const BUSY_THREADS = 2;

/** Measures until the first error: from then on it has failed. */
class Subject<T> {
  readonly name: string;
  readonly #measure: () => Promise<readonly T[]>;
  #taken: readonly T[] = [];
  #failure: Failure | null = null;

  constructor(name: string, measure: () => Promise<readonly T[]>) {
    this.name = name;
    this.#measure = measure;
  }

  get taken(): readonly T[] {
    return this.#taken;
  }

  get failure(): Failure | null {
    return this.#failure;
  }

  async measure(): Promise<void> {
    if (this.#failure !== null) return;
    try {
      this.#taken = [...this.#taken, ...(await this.#measure())];
    } catch (error) {
      this.#failure = { name: this.name, reason: (error as Error).message };
    }
  }
}

export async function runDurability(settings: DurabilitySettings): Promise<Outcome> {
  const { quick, directory, cores, progress } = settings;
  const plan = quick ? QUICK : FULL;
  const startedMs = performance.now();
  const throughputs = LEVELS.map(
    (level) =>
      new Subject(`durability/${level}`, async () => [await measureThroughput(level, directory, plan)]),
  );
  const flushes = WAYS.map(({ driven, suffix }) => ({
    suffix,
    subject: new Subject(`durability/flush${suffix}`, () => measureFlush(directory, plan, driven)),
  }));
  const subjects = [...throughputs, ...flushes.map(({ subject }) => subject)];
  for (let round = 1; round <= plan.rounds; round++) {
    for (const subject of subjects) {
      if (round > 1 && performance.now() - startedMs > plan.beginUntilMs) break;
      progress.say(`round ${round} of ${plan.rounds}: ${subject.name}`);
      await subject.measure();
    }
  }
  const measured = <T>({ failure }: Subject<T>): boolean => failure === null;
  return {
    results: [
      ...throughputs.filter(measured).map(({ name, taken }) => throughputResult(name, taken, plan)),
      ...flushes
        .filter(({ subject }) => measured(subject))
        .flatMap(({ subject, suffix }) => flushResults(subject.taken, suffix)),
    ],
    failed: subjects.flatMap(({ failure }) => failure ?? []),
    warnings:
      cores < BUSY_THREADS
        ? [`durability/process and durability/disk keep ${BUSY_THREADS} threads busy on ${cores} core(s)`]
        : [],
  };
}

function throughputResult(name: string, taken: readonly Throughput[], { burst, bursts }: Plan): Result {
  const slices = taken.map(({ samples }) => samples);
  const messages = taken.length * bursts * burst;
  const perMessage = (field: 'written' | 'serverWritten'): number =>
    taken.reduce((sum, each) => sum + each[field], 0) / messages;
  return {
    ...makeResult(name, burst, slices),
    rate: makeRate(slices.flat(), { sender: perMessage('written'), receiver: perMessage('serverWritten') }),
  };
}

function flushResults(slices: readonly FlushSlice[], suffix: string): Result[] {
  const names = {
    blocking: `durability/fdatasync${suffix}`,
    awaited: `durability/fdatasync-awaited${suffix}`,
    flush: `durability/flush${suffix}`,
  };
  const result = (kind: keyof FlushSlice): Result =>
    makeResult(
      names[kind],
      1,
      slices.map((slice) => slice[kind]),
    );
  const ratio = (kind: keyof FlushSlice, floor: 'blocking' | 'awaited') =>
    makeRatio(
      names[floor],
      slices.map((slice) => ({ subject: summarize(slice[kind]), probes: [summarize(slice[floor])] })),
    );
  return [
    result('blocking'),
    { ...result('awaited'), ratio: ratio('awaited', 'blocking') },
    { ...result('flush'), ratio: ratio('flush', 'blocking'), awaitedRatio: ratio('flush', 'awaited') },
  ];
}
