/** The benchmark of scale: what idle connections of a server cost the one that is busy, and what a second thread gains. */
import { Floors, type ProbeEffort } from '../floors.js';
import type { LimitProbe } from '../limitPrograms.js';
import { clockNs, emptyHistogram } from '../measure.js';
import type { Progress } from '../progress.js';
import { makeRatio, makeResult, makeSingle, type Outcome, type Result } from '../report.js';
import { crowded, didNotSettle, type RoundsSettings } from '../rounds.js';
import { choose, type Enclosed } from '../settle.js';
import { summarize } from '../statistics.js';
import type { Limit } from '../subject.js';
import { formatTime } from '../table.js';
import { type GroupsPlan, measureGroups } from './groups.js';
import { Pair, SIDES, type Side, type Taken, type TurnEffort } from './pair.js';

interface Plan extends TurnEffort, ProbeEffort {
  readonly rounds: number;
  /** Of each pair, once: before that, code is compiled. */
  readonly warmUp: TurnEffort;
  /** How many slices of one pair may be taken again. */
  readonly repeats: number;
  /** After this time nothing is taken again. */
  readonly repeatUntilMs: number;
  /** After this time no round is begun. */
  readonly beginUntilMs: number;
  /** Idle connections. */
  readonly idle: { readonly shm: number; readonly tcp: number };
  readonly groups: GroupsPlan;
}

const QUICK: Plan = {
  rounds: 3,
  warmUp: { turns: 2, turnMs: 400, singleMs: 50 },
  repeats: 2,
  repeatUntilMs: 20_000,
  beginUntilMs: 28_000,
  turns: 6,
  turnMs: 60,
  singleMs: 20,
  probeBatches: 300,
  probeMs: 300,
  idle: { shm: 1000, tcp: 1000 },
  groups: { rounds: 3, turns: 3, messages: 50_000, warmUp: 2, forMs: 8000 },
};
const FULL: Plan = {
  rounds: 9,
  warmUp: { turns: 2, turnMs: 1000, singleMs: 100 },
  repeats: 9,
  repeatUntilMs: 150_000,
  beginUntilMs: 240_000,
  turns: 10,
  turnMs: 80,
  singleMs: 40,
  probeBatches: 500,
  probeMs: 500,
  idle: { shm: 1000, tcp: 10_000 },
  groups: { rounds: 9, turns: 4, messages: 100_000, warmUp: 4, forMs: 60_000 },
};

const BUSY_THREADS = 2;
/**
 * Heartbeats over shared memory come as usual. Those of 10,000 connections over tcp come so far apart that the processes
 * of their clients leave both processors to what is measured: usually they take a third of one.
 */
const PAIRS = [
  { transport: 'shm', limit: 'core-to-core', batch: 1000, heartbeatMs: 3000 },
  { transport: 'tcp', limit: 'tcp-loopback', batch: 100, heartbeatMs: 60_000 },
] as const;

interface Slice extends Enclosed {
  readonly before: LimitProbe;
  readonly after: LimitProbe;
  readonly measured: Record<Side, Taken>;
}

export async function runScale(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  const { cpus, cores, progress } = settings;
  const plan = quick ? QUICK : FULL;
  const startedMs = performance.now();
  const elapsedMs = (): number => performance.now() - startedMs;
  const floors = new Floors(cpus, plan);
  const subjects = PAIRS.map((pair) => new Subject(pair, plan, floors, progress));
  await floors.learn(
    PAIRS.map(({ limit }) => limit),
    progress,
  );
  try {
    for (const subject of subjects) await subject.start(cpus);
    for (let round = 1; round <= plan.rounds; round++) {
      if (round > 1 && elapsedMs() > plan.beginUntilMs) break;
      for (const subject of subjects) {
        await subject.takeSlice(round, () => elapsedMs() < plan.repeatUntilMs);
      }
    }
    for (const subject of subjects) await subject.check();
  } finally {
    for (const subject of subjects) await subject.stop();
  }
  const outcomes = [
    ...subjects.map((subject) => subject.outcome()),
    await measureGroups(plan.groups, settings),
  ];
  const crowds = cores < BUSY_THREADS ? [crowded('a busy connection', BUSY_THREADS, cores)] : [];
  return {
    results: outcomes.flatMap(({ results }) => results),
    failed: outcomes.flatMap(({ failed }) => failed),
    warnings: [...crowds, ...outcomes.flatMap(({ warnings }) => warnings)],
  };
}

/** A connection of one transport, alone and beside idle ones. Measures until the first error. */
class Subject {
  readonly #transport: 'shm' | 'tcp';
  readonly #limit: Limit;
  readonly #batch: number;
  readonly #heartbeatMs: number;
  readonly #plan: Plan;
  readonly #floors: Floors;
  readonly #progress: Progress;
  #pair: Pair | null = null;
  readonly #slices: Slice[] = [];
  #failure: string | null = null;

  constructor(
    { transport, limit, batch, heartbeatMs }: (typeof PAIRS)[number],
    plan: Plan,
    floors: Floors,
    progress: Progress,
  ) {
    this.#transport = transport;
    this.#limit = limit;
    this.#batch = floors.batch(batch);
    this.#heartbeatMs = heartbeatMs;
    this.#plan = plan;
    this.#floors = floors;
    this.#progress = progress;
  }

  start(cpus: RoundsSettings['cpus']): Promise<void> {
    const idle = this.#plan.idle[this.#transport];
    return this.#attempt(async () => {
      this.#progress.say(`${this.#name('idle')}: opening ${idle} connections`);
      this.#pair = await Pair.start({
        transport: this.#transport,
        idle,
        batch: this.#batch,
        heartbeatMs: this.#heartbeatMs,
        cpus,
      });
      await this.#pair.measure(this.#plan.warmUp);
    });
  }

  /** Takes a slice, and again while it does not settle, repeats are left and `repeat` allows it. */
  takeSlice(round: number, repeat: () => boolean): Promise<void> {
    const { rounds, repeats } = this.#plan;
    return this.#attempt(async () => {
      for (;;) {
        this.#progress.say(`round ${round} of ${rounds}: scale/${this.#transport}`);
        const before = await this.#floors.probe(this.#limit);
        const measured = await (this.#pair as Pair).measure(this.#plan);
        const after = await this.#floors.probe(this.#limit);
        const slice = { before, measured, after };
        this.#slices.push(slice);
        const verdict = this.#floors.judge(this.#limit, slice);
        if (verdict.kind === 'settled') return;
        this.#progress.say(
          `scale/${this.#transport}: probes ${formatTime(before.p50)} and ${formatTime(after.p50)}: ${verdict.kind}`,
        );
        if (this.#slices.length >= round + repeats || !repeat()) return;
      }
    });
  }

  check(): Promise<void> {
    return this.#attempt(() => (this.#pair as Pair).check());
  }

  async stop(): Promise<void> {
    await this.#pair?.stop();
  }

  outcome(): Outcome {
    const name = this.#name('idle');
    if (this.#failure !== null)
      return { results: [], failed: [{ name, reason: this.#failure }], warnings: [] };
    const { chosen, unsettled } = choose(this.#slices, this.#floors.usual(this.#limit));
    const around = chosen.flatMap(({ before, after }) => [before, after]);
    return {
      results: [
        this.#floors.result(this.#limit, around),
        ...SIDES.map((side) => this.#result(side, chosen, unsettled)),
      ],
      failed: [],
      warnings: unsettled ? [didNotSettle(name, this.#limit)] : [],
    };
  }

  #result(side: Side, slices: readonly Slice[], unsettled: boolean): Result {
    const single = emptyHistogram();
    for (const { measured } of slices) single.add(measured[side].single);
    const of = (slice: Slice, which: Side) => summarize(slice.measured[which].samples);
    return {
      ...makeResult(
        this.#name(side),
        this.#batch,
        slices.map(({ measured }) => measured[side].samples),
      ),
      ratio: makeRatio(
        `limit/${this.#limit}`,
        slices.map((slice) => ({ subject: of(slice, side), probes: [slice.before, slice.after] })),
      ),
      ...(side === 'alone'
        ? {}
        : {
            aloneRatio: makeRatio(
              this.#name('alone'),
              slices.map((slice) => ({ subject: of(slice, 'idle'), probes: [of(slice, 'alone')] })),
            ),
          }),
      single: makeSingle(single, clockNs()),
      ...(unsettled ? { unsettled } : {}),
    };
  }

  #name(side: Side): string {
    return `scale/${this.#transport}/${side === 'alone' ? side : `idle-${this.#plan.idle[this.#transport]}`}`;
  }

  async #attempt(act: () => Promise<void>): Promise<void> {
    if (this.#failure !== null) return;
    try {
      await act();
    } catch (error) {
      this.#failure = (error as Error).message;
    }
  }
}
