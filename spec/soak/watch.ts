/** Follows a session while something disturbs it, and judges what the sides have received. */
import { setTimeout as sleep } from 'node:timers/promises';
import { otherRole, ROLES, type Role } from './board.js';
import { Ledger } from './ledger.js';
import type { Stage } from './stage.js';

/** What was found at the end of a run. */
export interface Figures {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Came again as the receiver died between noting and popping: allowed. */
  readonly redelivered: number;
}

/** From one look at the board to the next. */
const LOOK_MS = 1;
/** How long nothing may be received, and how long a session may take to recover, before it is a hang. */
const HANG_MS = 20_000;

export class Watch {
  readonly ledgers: Readonly<Record<Role, Ledger>> = { server: new Ledger(), client: new Ledger() };
  readonly #stage: Stage;
  readonly #recovered: () => boolean;
  readonly #progress: (line: string) => void;
  readonly #signal: AbortSignal;
  /** When the first disturbance was of those that the session has not recovered from; null when it has. */
  #disturbedAt: number | null = null;
  #resumes = 0;
  #longestResumeMs = 0;
  #lastNoted = 0;
  #lastNotedAt = performance.now();

  /** `recovered` tells whether the session works again after a disturbance. */
  constructor(stage: Stage, recovered: () => boolean, progress: (line: string) => void, signal: AbortSignal) {
    this.#stage = stage;
    this.#recovered = recovered;
    this.#progress = progress;
    this.#signal = signal;
  }

  /** Whether the session has not recovered yet. */
  get recovering(): boolean {
    return this.#disturbedAt !== null;
  }

  /** How often it has recovered. */
  get resumes(): number {
    return this.#resumes;
  }

  /** The longest time from a disturbance, the first one of several, until the session had recovered. */
  get longestResumeMs(): number {
    return Math.round(this.#longestResumeMs);
  }

  /** The session was disturbed, at this time. */
  disturbed(at: number): void {
    this.#disturbedAt ??= at;
  }

  /** Takes what was noted. */
  look(): void {
    for (const role of ROLES) {
      const ledger = this.ledgers[role];
      this.#stage.board.take(role, (number) => ledger.take(number));
    }
    const now = performance.now();
    const noted = this.#sum((ledger) => ledger.received + ledger.duplicated);
    if (noted !== this.#lastNoted) this.#lastNotedAt = now;
    this.#lastNoted = noted;
    if (this.#disturbedAt === null || !this.#recovered()) return;
    const resumeMs = now - this.#disturbedAt;
    this.#disturbedAt = null;
    this.#resumes++;
    this.#longestResumeMs = Math.max(this.#longestResumeMs, resumeMs);
    this.#progress(`resumed after ${resumeMs.toFixed(0)} ms; ${noted} messages received`);
  }

  /** Looks on until the condition holds. Throws when nothing moves any more, and when the run is to end. */
  async until(condition: () => boolean): Promise<void> {
    if (await this.#lookUntil(condition)) return;
    const what = this.recovering ? 'the session did not recover' : 'nothing was received';
    throw new Error(`${what} for ${HANG_MS} ms, after ${this.#lastNoted} messages`);
  }

  /** Looks on for a while. */
  async lookFor(durationMs: number): Promise<void> {
    const start = performance.now();
    await this.until(() => performance.now() - start >= durationMs);
  }

  /** Lets the sides come to their end, and gives the figures. */
  async finish(): Promise<Figures> {
    const { board } = this.#stage;
    board.paused = false;
    board.stop();
    await this.until(() => ROLES.every((role) => board.pushed(role) !== null));
    // What each side was sent: what the other one pushed.
    const sent = (role: Role): number => board.pushed(otherRole(role)) as number;
    await this.#lookUntil(() => ROLES.every((role) => this.ledgers[role].next >= sent(role)));
    board.end();
    const hang = sleep(HANG_MS, 'hang', { ref: false });
    if ((await Promise.race([this.#stage.ended(), hang])) === 'hang') throw new Error('a side does not end');
    if (this.#stage.failure !== null) throw this.#stage.failure;
    this.look();
    const figures: Figures = {
      sent: sent('server') + sent('client'),
      received: this.#sum((ledger) => ledger.received),
      lost: this.#sum((ledger, role) => ledger.lost(sent(role))),
      duplicated: this.#sum((ledger) => ledger.duplicated),
      reordered: this.#sum((ledger) => ledger.reordered),
      redelivered: this.#sum((ledger) => ledger.redelivered),
    };
    const miscounts = ROLES.reduce((sum, role) => sum + board.miscounts(role), 0);
    if (miscounts > 0 && !isFaulty(figures)) {
      throw new Error(`'popped' was not the number of the message that came, ${miscounts} times`);
    }
    return figures;
  }

  /** False when nothing moves any more. */
  async #lookUntil(condition: () => boolean): Promise<boolean> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#stage.failure !== null) throw this.#stage.failure;
      this.look();
      if (condition()) return true;
      const since = Math.min(this.#lastNotedAt, this.#disturbedAt ?? Number.POSITIVE_INFINITY);
      if (performance.now() - since > HANG_MS) return false;
      await sleep(LOOK_MS);
    }
  }

  #sum(figure: (ledger: Ledger, role: Role) => number): number {
    return ROLES.reduce((sum, role) => sum + figure(this.ledgers[role], role), 0);
  }
}

/** Whether messages were lost, or came in another way than they were sent. */
export function isFaulty(figures: Pick<Figures, 'lost' | 'duplicated' | 'reordered'>): boolean {
  return figures.lost + figures.duplicated + figures.reordered > 0;
}
