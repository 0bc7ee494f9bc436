/**
 * Two processes with a bad network in between, which is cut at random; judges what they received.
 *
 *   client ◄── tcp ──► relay ◄── tcp ──► server     each notes what it received, before its pop
 *      │           late, torn, cut          │
 *      └───────────────► board ◄────────────┘
 *                          │ read all the time
 *                        judge ── flow, pause ──► both sides
 */
import { Random } from '../support/random.js';
import type { CutArguments, CutFlow } from './arguments.js';
import { type Flow, otherRole, ROLES, sendersOf } from './board.js';
import { RoughRelay } from './roughRelay.js';
import { openStage, type Stage } from './stage.js';
import { type Figures, Watch } from './watch.js';

export interface CutReport extends Omit<Figures, 'redelivered'> {
  readonly cuts: number;
  /** How often the session went on after one or more cuts. */
  readonly resumes: number;
  /** Longest time from a cut, the first one of several, until all that sends got a new message through. */
  readonly longestResumeMs: number;
  readonly seed: number;
}

/** Short, so that a run has time for many of the ends that only the timeouts notice. */
const OPTIONS = { connectionTimeoutMs: 250, heartbeatIntervalMs: 50, loginTimeoutMs: 500 };
/** With the largest messages: large enough for one to take several frames. */
const LARGE_CAPACITY_BYTES = 2_097_152;
const CAPACITY_BYTES = 65_536;
/** Longest time of undisturbed traffic before a cut. */
const TRAFFIC_MS = 100;
/** Every so often a connection is cut before the session has recovered from the last cut. */
const EARLY_ONE_IN = 4;
/** Cuts after which 'mixed' goes on to another flow, at most. */
const CUTS_PER_FLOW = 6;
/** How long both sides receive when both queues were full. */
const RECEIVE_MS = 30;

/** What the board is told for each flow of the command line. */
const FLOWS_OF: Readonly<Record<Exclude<CutFlow, 'mixed'>, readonly Flow[]>> = {
  both: ['both'],
  'one-way': ['from client', 'from server'],
  full: ['both'],
  largest: ['largest'],
};
const MIXED = ['both', 'one-way', 'full', 'largest'] as const;

/** Runs until so many cuts have happened. Throws what is wrong beyond the figures, and when `signal` aborts. */
export async function soakCuts(
  options: CutArguments,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<CutReport> {
  const relay = await RoughRelay.listen(options.seed ^ 1, OPTIONS.connectionTimeoutMs);
  try {
    const stage = openStage({
      transport: 'tcp',
      capacityBytes: options.flow === 'largest' ? LARGE_CAPACITY_BYTES : CAPACITY_BYTES,
      options: { ...OPTIONS, wire: options.wire },
      port: relay.port,
    });
    try {
      return await new Cutter(stage, relay, options, progress, signal).run();
    } finally {
      await stage.close();
    }
  } finally {
    await relay.close();
  }
}

class Cutter {
  readonly #stage: Stage;
  readonly #relay: RoughRelay;
  readonly #options: CutArguments;
  readonly #progress: (line: string) => void;
  readonly #watch: Watch;
  readonly #random: Random;
  /** Whether both queues shall be full now and then. */
  #filling = false;
  #receivesUntil = 0;
  #fillings = 0;
  #cuts = 0;
  /** What there was of connections at the last cut. */
  readonly #links = { server: 0, client: 0 };

  constructor(
    stage: Stage,
    relay: RoughRelay,
    options: CutArguments,
    progress: (line: string) => void,
    signal: AbortSignal,
  ) {
    this.#stage = stage;
    this.#relay = relay;
    this.#options = options;
    this.#progress = progress;
    this.#watch = new Watch(stage, () => this.#recovered, progress, signal);
    this.#random = new Random(options.seed);
  }

  async run(): Promise<CutReport> {
    const { cuts, seed } = this.#options;
    const { board } = this.#stage;
    this.#stage.start('server');
    await this.#until(() => board.port !== 0);
    this.#relay.targetPort = board.port;
    this.#stage.start('client');
    let turns = this.#random.between(0, MIXED.length - 1);
    let nextFlowAt = 0;
    while (this.#cuts < cuts) {
      if (this.#cuts >= nextFlowAt) {
        this.#setFlow(turns++);
        nextFlowAt = this.#cuts + this.#random.between(1, CUTS_PER_FLOW);
      }
      const early = this.#cuts > 0 && this.#random.once(EARLY_ONE_IN);
      if (!early) await this.#until(() => this.#recovered && !this.#watch.recovering);
      await this.#pass(this.#random.fraction() * TRAFFIC_MS);
      await this.#cut();
    }
    await this.#until(() => !this.#watch.recovering);
    const { redelivered, ...figures } = await this.#watch.finish();
    if (redelivered > 0) throw new Error(`${redelivered} messages came twice, and nobody had died`);
    const { resumes, longestResumeMs } = this.#watch;
    const { received, sent } = figures;
    this.#progress(
      `${this.#cuts} cuts, ${resumes} resumes, the longest took ${longestResumeMs} ms; received ${received} of ${sent}` +
        ` messages; both queues were full ${this.#fillings} times`,
    );
    return { cuts: this.#cuts, resumes, ...figures, longestResumeMs, seed };
  }

  #setFlow(turn: number): void {
    const { board } = this.#stage;
    const { flow } = this.#options;
    const kind = flow === 'mixed' ? (MIXED[turn % MIXED.length] as (typeof MIXED)[number]) : flow;
    board.flow = this.#random.pick(FLOWS_OF[kind]);
    this.#filling = kind === 'full';
    board.paused = false;
    this.#progress(`flow: ${kind === 'one-way' ? board.flow : kind}`);
  }

  /** Cuts the connection, once there is one. */
  async #cut(): Promise<void> {
    let recovering = false;
    const before = (): void => {
      const { board } = this.#stage;
      // What came before the cut, which may have been the recovery from the last one.
      this.#watch.look();
      recovering = this.#watch.recovering;
      for (const role of ROLES) this.#links[role] = board.links(role);
      this.#watch.disturbed(performance.now());
    };
    for (;;) {
      await this.#until(() => this.#relay.carries);
      let done = false;
      const cutting = this.#relay.cut(before).finally(() => {
        done = true;
      });
      await this.#until(() => done);
      const cut = await cutting;
      if (cut === null) continue;
      this.#cuts++;
      const { kind, place, toServer, refused } = cut;
      const what = `${kind} ${place} to the ${toServer ? 'server' : 'client'}`;
      const then = refused === '' ? '' : `, then refused: ${refused}`;
      this.#progress(`cut ${this.#cuts}: ${what}${then}${recovering ? ', not recovered yet' : ''}`);
      return;
    }
  }

  /** Whether both sides were connected since the last cut, and something new was received from all that send. */
  get #recovered(): boolean {
    const { board } = this.#stage;
    if (ROLES.some((role) => board.links(role) === this.#links[role])) return false;
    return sendersOf(board.flow).every(
      (role) => this.#watch.ledgers[otherRole(role)].next > board.began(role),
    );
  }

  async #until(condition: () => boolean): Promise<void> {
    await this.#watch.until(() => {
      this.#fill();
      return condition();
    });
  }

  async #pass(durationMs: number): Promise<void> {
    const start = performance.now();
    await this.#until(() => performance.now() - start >= durationMs);
  }

  /** Lets nobody receive until both queues are full, then everybody for a while. */
  #fill(): void {
    if (!this.#filling) return;
    const { board } = this.#stage;
    const now = performance.now();
    if (!board.paused && now >= this.#receivesUntil) {
      for (const role of ROLES) board.setFull(role, false);
      board.paused = true;
    } else if (board.paused && ROLES.every((role) => board.isFull(role))) {
      this.#fillings++;
      this.#receivesUntil = now + this.#random.fraction() * RECEIVE_MS;
      board.paused = false;
    }
  }
}
