/**
 * The round trip benchmark. It goes in rounds over all subjects, so that a slow change of the machine meets all of
 * them alike. In each round a subject gets one slice: a fresh start, its measurement between two probes of its
 * floor, and the end. A slice that did not settle is taken again, a few times.
 */
import { type LimitProbe, probe } from './limitPrograms.js';
import { clockNs, type Effort, emptyHistogram, type Measurement, measure } from './measure.js';
import { canPin, pinThread } from './pinning.js';
import type { Progress } from './progress.js';
import { type Failure, makeRatio, makeResult, makeSingle, type Result } from './report.js';
import { choose, type Enclosed, judge, usualState } from './settle.js';
import { summarize } from './statistics.js';
import { type CpuPair, LIMITS, type Limit, type Subject } from './subject.js';
import { formatTime } from './table.js';

/** In the order of the report. A module is loaded when its turn comes: one that cannot be is reported, no more. */
const SUBJECTS: readonly { readonly name: string; load(): Promise<{ readonly subject: Subject }> }[] = [
  { name: 'rtt/inproc', load: () => import('./subjects/inproc.js') },
  { name: 'rtt/shm', load: () => import('./subjects/shm.js') },
  { name: 'rtt/tcp', load: () => import('./subjects/tcp.js') },
  { name: 'peer/message-port', load: () => import('./peers/messagePort.js') },
  { name: 'peer/net-tcp', load: () => import('./peers/netTcp.js') },
];

export interface RttSettings {
  readonly quick: boolean;
  readonly cpus: CpuPair;
  readonly cores: number;
  readonly progress: Progress;
}

export interface RttOutcome {
  readonly results: readonly Result[];
  readonly failed: readonly Failure[];
  readonly warnings: readonly string[];
}

interface Plan extends Effort {
  readonly rounds: number;
  /** How many slices of one subject may be taken again. */
  readonly repeats: number;
  /** After this time nothing is taken again. */
  readonly repeatUntilMs: number;
  /** After this time no slice is begun, but the first of each subject. */
  readonly beginUntilMs: number;
  readonly probeBatches: number;
  /** A probe ends after this time, even if other work on the machine has kept it from its batches. */
  readonly probeMs: number;
}

const QUICK: Plan = {
  rounds: 3,
  repeats: 3,
  repeatUntilMs: 22_000,
  beginUntilMs: 36_000,
  warmUpMs: 600,
  batchesMs: 500,
  singleMs: 80,
  probeBatches: 300,
  probeMs: 300,
};
const FULL: Plan = {
  rounds: 9,
  repeats: 9,
  repeatUntilMs: 150_000,
  beginUntilMs: 240_000,
  warmUpMs: 1000,
  batchesMs: 1000,
  singleMs: 200,
  probeBatches: 500,
  probeMs: 500,
};

/** As long as those of the subjects that stand on each. */
const LIMIT_BATCH: Record<Limit, number> = {
  'core-to-core': 1000,
  'core-to-core-one-word': 1000,
  'tcp-loopback': 100,
};
/** On a single processor each side spins until its time slice is over: a round trip takes milliseconds. */
const BATCH_ON_ONE_CPU = 4;
/** Enough to know the usual state before the first slice is judged by it. */
const PROBES_AT_START = 5;
const THREADS_OF_A_FLOOR = 2;

/** One measurement of a subject between two probes of its floor. */
interface Slice extends Enclosed {
  readonly before: LimitProbe;
  readonly after: LimitProbe;
  readonly measured: Measurement;
}

export function runRtt(settings: RttSettings): Promise<RttOutcome> {
  return new RttRun(settings).run();
}

class RttRun {
  readonly #settings: RttSettings;
  readonly #plan: Plan;
  readonly #startedMs = performance.now();
  readonly #probes: Record<Limit, LimitProbe[]> = perLimit();
  readonly #slices = new Map<Subject, Slice[]>();
  readonly #failed: Failure[] = [];
  readonly #warnings: string[] = [];

  constructor(settings: RttSettings) {
    this.#settings = settings;
    this.#plan = settings.quick ? QUICK : FULL;
  }

  async run(): Promise<RttOutcome> {
    await this.#load();
    for (const limit of LIMITS) {
      this.#settings.progress.say(`limit/${limit}: the usual state`);
      for (let i = 0; i < PROBES_AT_START; i++) await this.#probe(limit);
    }
    for (let round = 1; round <= this.#plan.rounds; round++) {
      for (const subject of [...this.#slices.keys()]) await this.#takeSlice(subject, round);
    }
    return this.#outcome();
  }

  async #load(): Promise<void> {
    const { cores } = this.#settings;
    if (!canPin()) {
      this.#warnings.push('only the floors are pinned: the native module, which pins threads, is missing');
    }
    if (cores < THREADS_OF_A_FLOOR) this.#warnCrowded('a floor', THREADS_OF_A_FLOOR);
    for (const { name, load } of SUBJECTS) {
      try {
        const { subject } = await load();
        this.#slices.set(subject, []);
        if (subject.busyThreads > cores) this.#warnCrowded(name, subject.busyThreads);
      } catch (error) {
        this.#failed.push({ name, reason: (error as Error).message });
      }
    }
  }

  #warnCrowded(name: string, busyThreads: number): void {
    this.#warnings.push(
      `${name} keeps ${busyThreads} threads busy on ${this.#settings.cores} core(s): they take turns, and what is` +
        ' measured is the scheduler',
    );
  }

  async #probe(limit: Limit): Promise<LimitProbe> {
    const { probeBatches, probeMs } = this.#plan;
    const batch = this.#batch(LIMIT_BATCH[limit]);
    const taken = await probe(limit, this.#settings.cpus, batch, probeBatches, probeMs);
    this.#probes[limit].push(taken);
    return taken;
  }

  /** Takes the slice of one round, and takes it again while it does not settle and repeats are left. */
  async #takeSlice(subject: Subject, round: number): Promise<void> {
    const { rounds, repeats, repeatUntilMs, beginUntilMs } = this.#plan;
    const slices = this.#slices.get(subject) as Slice[];
    if (round > 1 && this.#elapsedMs() > beginUntilMs) return;
    try {
      for (;;) {
        this.#settings.progress.say(`round ${round} of ${rounds}: ${subject.name}`);
        const before = await this.#probe(subject.limit);
        const measured = await this.#measure(subject);
        const after = await this.#probe(subject.limit);
        const slice = { before, measured, after };
        slices.push(slice);
        const verdict = judge(slice, usualState(this.#probes[subject.limit]));
        if (subject.busyThreads === 0 || verdict.kind === 'settled') return;
        this.#settings.progress.say(
          `${subject.name}: probes ${formatTime(before.p50)} and ${formatTime(after.p50)}: ${verdict.kind}`,
        );
        if (slices.length >= round + repeats || this.#elapsedMs() > repeatUntilMs) return;
      }
    } catch (error) {
      this.#slices.delete(subject);
      this.#failed.push({ name: subject.name, reason: (error as Error).message });
    }
  }

  async #measure(subject: Subject): Promise<Measurement> {
    const { cpus } = this.#settings;
    const started = await subject.start(cpus);
    const unpin = pinThread(cpus[0]);
    try {
      return await measure(subject.name, started, this.#batch(subject.batch), this.#plan);
    } finally {
      unpin();
      await started.stop();
    }
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  #batch(usual: number): number {
    const [near, far] = this.#settings.cpus;
    return near === far ? BATCH_ON_ONE_CPU : usual;
  }

  #outcome(): RttOutcome {
    const clock = clockNs();
    const ours: Result[] = [];
    const enclosing: Record<Limit, LimitProbe[]> = perLimit();
    for (const [subject, slices] of this.#slices) {
      const { chosen, unsettled } = this.#choose(subject, slices);
      if (subject.busyThreads > 0) {
        enclosing[subject.limit].push(...chosen.flatMap(({ before, after }) => [before, after]));
      }
      if (unsettled) {
        this.#warnings.push(
          `${subject.name} did not settle: around each of its slices, the probes of limit/${subject.limit} disagreed,` +
            ' left the usual state of this run, or were disturbed by other work. Compare medians, or measure again',
        );
      }
      ours.push({
        ...makeResult(
          subject.name,
          this.#batch(subject.batch),
          chosen.map(({ measured }) => measured.samples),
        ),
        ratio: makeRatio(
          `limit/${subject.limit}`,
          chosen.map(({ before, measured, after }) => ({
            subject: summarize(measured.samples),
            probes: [before, after],
          })),
        ),
        single: makeSingle(merge(chosen), clock),
        ...(unsettled ? { unsettled } : {}),
      });
    }
    const floors = LIMITS.map((limit) => this.#floor(limit, enclosing[limit]));
    return { results: [...floors, ...ours], failed: this.#failed, warnings: this.#warnings };
  }

  /** A subject that sleeps does not move with the distance between two cores: all its slices count. */
  #choose(subject: Subject, slices: readonly Slice[]): { chosen: readonly Slice[]; unsettled: boolean } {
    if (subject.busyThreads === 0) return { chosen: slices, unsettled: false };
    return choose(slices, usualState(this.#probes[subject.limit]));
  }

  /** The floor in the state in which what stands on it was measured. */
  #floor(limit: Limit, enclosing: readonly LimitProbe[]): Result {
    const probes = enclosing.length > 0 ? enclosing : this.#probes[limit];
    const result = makeResult(
      `limit/${limit}`,
      this.#batch(LIMIT_BATCH[limit]),
      probes.map(({ samples }) => samples),
    );
    return result;
  }
}

function perLimit(): Record<Limit, LimitProbe[]> {
  return { 'core-to-core': [], 'core-to-core-one-word': [], 'tcp-loopback': [] };
}

function merge(slices: readonly Slice[]): Measurement['single'] {
  const merged = emptyHistogram();
  for (const { measured } of slices) merged.add(measured.single);
  return merged;
}
