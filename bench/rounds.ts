/**
 * Round trips of several subjects. It goes in rounds over all of them, so that a slow change of the machine meets all
 * alike. In each round a subject gets one slice: a fresh start, its measurement between two probes of its
 * floor, and the end. A slice that did not settle is taken again, a few times.
 */
import { Floors, type ProbeEffort } from './floors.js';
import { type Kept, keptOf } from './latency/pace.js';
import type { LimitProbe } from './limitPrograms.js';
import { clockNs, type Effort, emptyHistogram, type Measurement, measure } from './measure.js';
import { canPin, pinnedWhile } from './pinning.js';
import type { Progress } from './progress.js';
import {
  type Failure,
  makeRateRatio,
  makeRateResult,
  makeRatio,
  makeResult,
  makeSingle,
  type Outcome,
  type Ratio,
  type Result,
} from './report.js';
import { choose, type Enclosed } from './settle.js';
import { median, summarize } from './statistics.js';
import type { CpuPair, Limit, Measurable, Subject } from './subject.js';
import { formatRate, formatTime } from './table.js';

/** What is measured. */
export interface Agenda {
  /** In the order of the report. A module is loaded when its turn comes: one that cannot be is reported, no more. */
  readonly subjects: readonly {
    readonly name: string;
    /** Name of the subject that this one is compared with too. */
    readonly peer?: string;
    load(): Promise<Subject | Measurable>;
  }[];
  /** Floors to report: those of the subjects are among them. */
  readonly limits: readonly Limit[];
  /** The same for all that name none. Round by round. */
  readonly peer?: string;
}

/** Of subjects that are loaded already, with the floor of each. */
export function agendaOf(subjects: readonly Measurable[]): Agenda {
  return {
    subjects: subjects.map((subject) => ({ name: subject.name, load: async () => subject })),
    limits: [...new Set(subjects.map(({ floor, limit }) => floor ?? limit))],
  };
}

export interface Plan extends Effort, ProbeEffort {
  readonly rounds: number;
  /** How many slices of one subject may be taken again. */
  readonly repeats: number;
  /** After this time nothing is taken again. */
  readonly repeatUntilMs: number;
  /** After this time no slice is begun, but the first of each subject. */
  readonly beginUntilMs: number;
}

export interface RoundsSettings {
  readonly cpus: CpuPair;
  readonly cores: number;
  readonly progress: Progress;
}

const THREADS_OF_A_FLOOR = 2;
const PATIENCE_MS = 60_000;

/** One measurement of a subject between two probes of its floor. */
interface Slice extends Enclosed {
  readonly round: number;
  readonly before: LimitProbe;
  readonly after: LimitProbe;
  readonly measured: Measurement;
}

export function runRounds(agenda: Agenda, plan: Plan, settings: RoundsSettings): Promise<Outcome> {
  return new Rounds(agenda, plan, settings).run();
}

class Rounds {
  readonly #agenda: Agenda;
  readonly #settings: RoundsSettings;
  readonly #plan: Plan;
  readonly #floors: Floors;
  readonly #startedMs = performance.now();
  readonly #slices = new Map<Measurable, Slice[]>();
  readonly #failed: Failure[] = [];
  readonly #warnings: string[] = [];

  constructor(agenda: Agenda, plan: Plan, settings: RoundsSettings) {
    this.#agenda = agenda;
    this.#settings = settings;
    this.#plan = plan;
    this.#floors = new Floors(settings.cpus, plan);
  }

  async run(): Promise<Outcome> {
    await this.#load();
    await this.#floors.learn(this.#agenda.limits, this.#settings.progress);
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
    if (cores < THREADS_OF_A_FLOOR) this.#warnings.push(crowded('a floor', THREADS_OF_A_FLOOR, cores));
    for (const { name, load } of this.#agenda.subjects) {
      try {
        const loaded = await load();
        const subject = 'start' in loaded ? roundTripsOf(loaded) : loaded;
        this.#slices.set(subject, []);
        if (subject.busyThreads > cores) this.#warnings.push(crowded(name, subject.busyThreads, cores));
      } catch (error) {
        this.#failed.push({ name, reason: (error as Error).message });
      }
    }
  }

  async #takeSlice(subject: Measurable, round: number): Promise<void> {
    const { rounds, repeats, repeatUntilMs, beginUntilMs } = this.#plan;
    const { progress } = this.#settings;
    const slices = this.#slices.get(subject) as Slice[];
    if (round > 1 && this.#elapsedMs() > beginUntilMs) return;
    try {
      for (;;) {
        progress.say(`round ${round} of ${rounds}: ${subject.name}`);
        const slice = { round, ...(await this.#enclose(subject)) };
        const { before, after } = slice;
        slices.push(slice);
        const verdict = this.#floors.judge(subject.limit, slice);
        if (!moves(subject) || verdict.kind === 'settled') return;
        progress.say(
          `${subject.name}: probes ${formatTime(before.p50)} and ${formatTime(after.p50)}: ${verdict.kind}`,
        );
        if (slices.length >= round + repeats || this.#elapsedMs() > repeatUntilMs) return;
      }
    } catch (error) {
      this.#slices.delete(subject);
      this.#failed.push({ name: subject.name, reason: (error as Error).message });
    }
  }

  async #enclose(subject: Measurable): Promise<Omit<Slice, 'round'>> {
    const { limit, floor } = subject;
    const probe = (of: Limit): Promise<LimitProbe> => this.#floors.probe(of);
    const before = await probe(limit);
    if (floor) await probe(floor);
    const batch = this.#floors.batch(subject.batch);
    const measured = await patiently(subject.measure(this.#settings.cpus, batch, this.#plan));
    if (floor) await probe(floor);
    const after = await probe(limit);
    return { before, after, measured };
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  #outcome(): Outcome {
    const clock = clockNs();
    const ours: Result[] = [];
    const enclosing = new Map<Limit, LimitProbe[]>();
    for (const [subject, slices] of this.#slices) {
      const { name, limit } = subject;
      const { chosen, unsettled } = this.#choose(subject, slices);
      const around = chosen.flatMap(({ before, after }) => [before, after]);
      if (moves(subject)) enclosing.set(limit, [...(enclosing.get(limit) ?? []), ...around]);
      if (unsettled) this.#warnings.push(didNotSettle(name, limit));
      const peerRatio = this.#peerRatio(subject, chosen);
      const single = merge(chosen);
      const pace = paceOf(subject, chosen);
      if (pace?.held === false) this.#warnings.push(notHeld(name, pace));
      ours.push({
        ...this.#result(subject, chosen),
        ...(peerRatio === undefined ? {} : { peerRatio }),
        ...(pace === undefined ? {} : { pace }),
        ...(single === null ? {} : { single: makeSingle(single, clock) }),
        ...(unsettled ? { unsettled } : {}),
      });
    }
    const floors = this.#agenda.limits.map((limit) => this.#floors.result(limit, enclosing.get(limit) ?? []));
    return { results: [...floors, ...ours], failed: this.#failed, warnings: this.#warnings };
  }

  #result({ name, rate, limit, floor = limit, ...subject }: Measurable, chosen: readonly Slice[]): Result {
    const batch = this.#floors.batch(subject.batch);
    const slices = chosen.map(({ measured }) => measured.samples);
    if (floor === null) {
      return rate === undefined ? makeResult(name, batch, slices) : makeRateResult(name, batch, slices, rate);
    }
    const compared = chosen.map(({ before, measured, after }) => ({
      subject: summarize(measured.samples),
      probes: floor === limit ? [before, after] : [this.#floors.typical(floor)],
    }));
    if (rate === undefined) {
      return { ...makeResult(name, batch, slices), ratio: makeRatio(`limit/${floor}`, compared) };
    }
    return {
      ...makeRateResult(name, batch, slices, rate),
      ratio: makeRateRatio(`limit/${floor}`, compared),
    };
  }

  #choose(subject: Measurable, slices: readonly Slice[]): { chosen: readonly Slice[]; unsettled: boolean } {
    if (!moves(subject)) return { chosen: slices, unsettled: false };
    return choose(slices, this.#floors.usual(subject.limit));
  }

  /** Compares slices with those of the peer in the same round, or with all of them where there are none. */
  #peerRatio(subject: Measurable, slices: readonly Slice[]): Ratio | undefined {
    const named = this.#agenda.subjects.find(({ name }) => name === subject.name)?.peer ?? this.#agenda.peer;
    const [peer, theirs] = [...this.#slices].find(([{ name }]) => name === named) ?? [];
    if (peer === undefined || theirs === undefined || theirs.length === 0 || peer === subject)
      return undefined;
    const of = ({ measured }: Slice) => summarize(measured.samples);
    if (subject.rate?.unit !== peer.rate?.unit) return undefined;
    const compare = subject.rate === undefined ? makeRatio : makeRateRatio;
    return compare(
      peer.name,
      slices.map((slice) => {
        const met = theirs.filter(({ round }) => round === slice.round);
        return { subject: of(slice), probes: (met.length > 0 ? met : theirs).map(of) };
      }),
    );
  }
}

/**
 * Whether the figures of a subject move with those of its floor: what polls does with the distance between two cores.
 * What sleeps does not, so all of its slices count, unless its floor sleeps too.
 */
function moves({ busyThreads, limit }: Measurable): boolean {
  return busyThreads > 0 || limit === 'futex-wake';
}

/** For a report: more threads are busy than there are processors. */
export function crowded(name: string, busyThreads: number, cores: number): string {
  return (
    `${name} keeps ${busyThreads} threads busy on ${cores} core(s): they take turns, and what is` +
    ' measured is the scheduler'
  );
}

/** For a report: no slice of a subject has settled. */
export function didNotSettle(name: string, limit: Limit): string {
  return (
    `${name} did not settle: around each of its slices, the probes of limit/${limit} disagreed,` +
    ' left the usual state of this run, or were disturbed by other work. Compare medians, or measure again'
  );
}

/** For a report: a subject cannot move as many messages as were to leave. */
function notHeld(name: string, { wanted, achieved }: Kept): string {
  return (
    `${name} was not held: of ${formatRate(wanted, '/s')} there were ${formatRate(achieved, '/s')}.` +
    ' Its times tell how long the run was, and no more'
  );
}

/** What became of the rate that was given, by the median of the slices. */
function paceOf({ perSecond }: Measurable, chosen: readonly Slice[]): Kept | undefined {
  const achieved = chosen.flatMap(({ measured }) => measured.achieved ?? []);
  if (perSecond === undefined || achieved.length === 0) return undefined;
  return keptOf(perSecond, median(achieved));
}

/** A subject of round trips, measured as those are. */
function roundTripsOf(subject: Subject): Measurable {
  const { name, limit, floor, busyThreads } = subject;
  return {
    name,
    limit,
    ...(floor === null ? { floor } : {}),
    busyThreads,
    batch: subject.batch,
    async measure(cpus, batch, effort) {
      const started = await subject.start(cpus);
      return pinnedWhile(cpus, started, () => measure(name, started, batch, effort));
    },
  };
}

/** What waits for a peer that says nothing is given up. What it has started ends with the bench. */
async function patiently<T>(measured: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const give = (): void => reject(new Error(`it did not end within ${PATIENCE_MS / 1000} s`));
    timer = setTimeout(give, PATIENCE_MS);
  });
  try {
    return await Promise.race([measured, late]);
  } finally {
    clearTimeout(timer);
  }
}

function merge(slices: readonly Slice[]): Measurement['single'] {
  const taken = slices.flatMap(({ measured }) => measured.single ?? []);
  if (taken.length === 0) return null;
  const merged = emptyHistogram();
  for (const single of taken) merged.add(single);
  return merged;
}
