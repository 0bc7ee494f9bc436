/**
 * Kills sides of a busy session at random, and judges what they received.
 *
 *   server ◄══ session ══► client        each notes what it received, before its pop
 *      └──────► board ◄──────┘
 *                 │ read all the time
 *               judge ── SIGKILL, start ──► a random side
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { mix } from '../support/traffic.js';
import type { KillArguments, SoakTransport } from './arguments.js';
import { otherRole, ROLES, type Role } from './board.js';
import { Ledger } from './ledger.js';
import { openStage, type Stage } from './stage.js';

export interface KillReport {
  readonly transport: SoakTransport;
  readonly kills: number;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Came again as the receiver died between noting and popping: allowed. */
  readonly redelivered: number;
  /** Longest time from a kill until both directions carried messages of the side that was started again. */
  readonly longestResumeMs: number;
}

/** From one look at the board to the next. */
const LOOK_MS = 1;
/** How long nothing may be received before it is a hang. */
const HANG_MS = 20_000;
/** Longest time of undisturbed traffic before a kill. */
const TRAFFIC_MS = 250;
/** Every so often a side is killed before the session has recovered from the last kill, within so long. */
const EARLY_ONE_IN = 4;
const EARLY_MS = 200;

/** Runs until so many kills have happened. Throws what is wrong beyond the figures, and when `signal` aborts. */
export async function soakKills(
  options: Omit<KillArguments, 'json'>,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<KillReport> {
  const stage = openStage(options.transport);
  try {
    return await new Judge(stage, options, progress, signal).run();
  } finally {
    await stage.close();
  }
}

class Judge {
  readonly #stage: Stage;
  readonly #options: Omit<KillArguments, 'json'>;
  readonly #progress: (line: string) => void;
  readonly #signal: AbortSignal;
  readonly #ledgers: Readonly<Record<Role, Ledger>> = { server: new Ledger(), client: new Ledger() };
  readonly #random: () => number;
  #kills = 0;
  /** When the first kill was of those that the session has not recovered from; null when it has. */
  #killedAt: number | null = null;
  #longestResumeMs = 0;
  #lastNoted = 0;
  #lastNotedAt = performance.now();

  constructor(
    stage: Stage,
    options: Omit<KillArguments, 'json'>,
    progress: (line: string) => void,
    signal: AbortSignal,
  ) {
    this.#stage = stage;
    this.#options = options;
    this.#progress = progress;
    this.#signal = signal;
    this.#random = generator(options.seed);
  }

  async run(): Promise<KillReport> {
    for (const role of ROLES) this.#start(role);
    await this.#until(() => this.#resumed);
    while (this.#kills < this.#options.kills) {
      const early = this.#kills > 0 && Math.floor(this.#random() * EARLY_ONE_IN) === 0;
      if (!early) await this.#until(() => this.#killedAt === null);
      const delayMs = this.#random() * (early ? EARLY_MS : TRAFFIC_MS);
      const start = performance.now();
      await this.#until(() => performance.now() - start >= delayMs);
      const role = this.#stage.mortal[Math.floor(this.#random() * this.#stage.mortal.length)] as Role;
      await this.#kill(role);
    }
    await this.#until(() => this.#killedAt === null);
    return this.#finish();
  }

  async #kill(role: Role): Promise<void> {
    const recovering = this.#killedAt !== null;
    const killedAt = performance.now();
    await this.#stage.kill(role);
    // What was noted before the death, which may have been the recovery from the last one.
    this.#look();
    this.#ledgers[role].restarted();
    this.#kills++;
    const what = this.#start(role);
    this.#killedAt ??= killedAt;
    this.#progress(
      `kill ${this.#kills}: the ${role}${recovering ? ', not recovered yet' : ''}; now it is ${what}`,
    );
  }

  #start(role: Role): string {
    this.#stage.board.setBegan(role, -1);
    return this.#stage.start(role);
  }

  /** Whether every side has received something since its start, and something was received from it. */
  get #resumed(): boolean {
    return ROLES.every((role) => {
      const began = this.#stage.board.began(role);
      return (
        began >= 0 && this.#ledgers[role].notedSinceStart > 0 && this.#ledgers[otherRole(role)].next > began
      );
    });
  }

  /** Takes what was noted. */
  #look(): void {
    for (const role of ROLES) {
      const ledger = this.#ledgers[role];
      this.#stage.board.take(role, (number) => ledger.take(number));
    }
    const now = performance.now();
    const noted = this.#sum((ledger) => ledger.received + ledger.duplicated);
    if (noted !== this.#lastNoted) this.#lastNotedAt = now;
    this.#lastNoted = noted;
    if (this.#killedAt !== null && this.#resumed) {
      const resumeMs = now - this.#killedAt;
      this.#killedAt = null;
      this.#longestResumeMs = Math.max(this.#longestResumeMs, resumeMs);
      this.#progress(`resumed ${resumeMs.toFixed(0)} ms after the kill; ${noted} messages received`);
    }
  }

  /** Looks on until the condition holds. False when nothing moves any more. */
  async #lookUntil(condition: () => boolean): Promise<boolean> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#stage.failure !== null) throw this.#stage.failure;
      this.#look();
      if (condition()) return true;
      if (performance.now() - this.#lastNotedAt > HANG_MS) return false;
      await sleep(LOOK_MS);
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    if (await this.#lookUntil(condition)) return;
    throw new Error(
      `nothing was received for ${HANG_MS} ms, after ${this.#kills} kills and ${this.#lastNoted} messages`,
    );
  }

  async #finish(): Promise<KillReport> {
    const { board } = this.#stage;
    board.stop();
    await this.#until(() => ROLES.every((role) => board.pushed(role) !== null));
    // What each side was sent: what the other one pushed.
    const sent = (role: Role): number => board.pushed(otherRole(role)) as number;
    await this.#lookUntil(() => ROLES.every((role) => this.#ledgers[role].next >= sent(role)));
    board.end();
    const hang = sleep(HANG_MS, 'hang', { ref: false });
    if ((await Promise.race([this.#stage.ended(), hang])) === 'hang') throw new Error('a side does not end');
    if (this.#stage.failure !== null) throw this.#stage.failure;
    this.#look();
    const miscounts = ROLES.reduce((sum, role) => sum + board.miscounts(role), 0);
    const report: KillReport = {
      transport: this.#options.transport,
      kills: this.#kills,
      sent: sent('server') + sent('client'),
      received: this.#sum((ledger) => ledger.received),
      lost: this.#sum((ledger, role) => ledger.lost(sent(role))),
      duplicated: this.#sum((ledger) => ledger.duplicated),
      reordered: this.#sum((ledger) => ledger.reordered),
      redelivered: this.#sum((ledger) => ledger.redelivered),
      longestResumeMs: Math.round(this.#longestResumeMs),
    };
    const { lost, duplicated, reordered } = report;
    if (miscounts > 0 && lost + duplicated + reordered === 0) {
      throw new Error(`'popped' was not the number of the message that came, ${miscounts} times`);
    }
    return report;
  }

  #sum(figure: (ledger: Ledger, role: Role) => number): number {
    return ROLES.reduce((sum, role) => sum + figure(this.#ledgers[role], role), 0);
  }
}

/** Numbers from 0 to below 1 that follow from the seed. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    return mix(state) / 2 ** 32;
  };
}
