/**
 * Kills sides of a busy session at random, and threads of the server's groups, and judges what they received.
 *
 *   server ◄══ session ══► client        each notes what it received, before its pop
 *      └──────► board ◄──────┘
 *                 │ read all the time
 *               judge ── SIGKILL, start ──► a random side
 */
import { Random } from '../support/random.js';
import type { KillArguments, SoakTransport } from './arguments.js';
import { otherRole, ROLES, type Role } from './board.js';
import { openStage, type Stage, type Victim } from './stage.js';
import { type Figures, Watch } from './watch.js';

export interface KillReport extends Figures {
  readonly transport: SoakTransport;
  readonly kills: number;
  /** Groups of the server in threads, how often one of these was killed, and how often the connection was moved. */
  readonly groups: number;
  readonly threadKills: number;
  readonly moves: number;
  /** Longest time from a kill until both directions carried messages of the side that was started again. */
  readonly longestResumeMs: number;
}

/** Longest time of undisturbed traffic before a kill. */
const TRAFFIC_MS = 250;
/** Every so often a side is killed before the session has recovered from the last kill, within so long. */
const EARLY_ONE_IN = 4;
const EARLY_MS = 200;

/** Runs until so many kills have happened. Throws what is wrong beyond the figures, and when `signal` aborts. */
export async function soakKills(
  options: KillArguments,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<KillReport> {
  const stage = openStage({ transport: options.transport, groups: options.groups });
  try {
    return await new Killer(stage, options, progress, signal).run();
  } finally {
    await stage.close();
  }
}

class Killer {
  readonly #stage: Stage;
  readonly #options: KillArguments;
  readonly #progress: (line: string) => void;
  readonly #watch: Watch;
  readonly #random: Random;
  #kills = 0;
  #threadKills = 0;

  constructor(stage: Stage, options: KillArguments, progress: (line: string) => void, signal: AbortSignal) {
    this.#stage = stage;
    this.#options = options;
    this.#progress = progress;
    this.#watch = new Watch(stage, () => this.#recovered, progress, signal);
    this.#random = new Random(options.seed);
  }

  async run(): Promise<KillReport> {
    const watch = this.#watch;
    for (const role of ROLES) this.#start(role);
    await watch.until(() => this.#recovered);
    while (this.#kills < this.#options.kills) {
      const early = this.#kills > 0 && this.#random.once(EARLY_ONE_IN);
      if (!early) await watch.until(() => !watch.recovering);
      await watch.lookFor(this.#random.fraction() * (early ? EARLY_MS : TRAFFIC_MS));
      await this.#kill(this.#victim());
    }
    await watch.until(() => !watch.recovering);
    const figures = await watch.finish();
    return {
      transport: this.#options.transport,
      kills: this.#kills,
      groups: this.#options.groups,
      threadKills: this.#threadKills,
      moves: this.#stage.board.moves,
      ...figures,
      longestResumeMs: watch.longestResumeMs,
    };
  }

  /** Anybody; also in a short run a thread, if there are some. */
  #victim(): Victim {
    const victim = this.#random.pick(this.#stage.mortal);
    const { kills, groups } = this.#options;
    const last = this.#kills === kills - 1;
    return last && groups > 0 && this.#threadKills === 0 ? 'thread' : victim;
  }

  async #kill(victim: Victim): Promise<void> {
    const { recovering } = this.#watch;
    const killedAt = performance.now();
    await this.#stage.kill(victim);
    // What was noted before the death, which may have been the recovery from the last one.
    this.#watch.look();
    this.#watch.ledgers[roleOf(victim)].restarted();
    this.#kills++;
    if (victim === 'thread') this.#threadKills++;
    const what = this.#start(victim);
    this.#watch.disturbed(killedAt);
    this.#progress(
      `kill ${this.#kills}: the ${victim}${recovering ? ', not recovered yet' : ''}; now it is ${what}`,
    );
  }

  #start(victim: Victim): string {
    // The connection may have been in another thread by then, and goes on.
    if (victim !== 'thread') this.#stage.board.setBegan(victim, -1);
    return this.#stage.start(victim);
  }

  /** Whether every side has received something since its start, and something was received from it. */
  get #recovered(): boolean {
    const { board } = this.#stage;
    const { ledgers } = this.#watch;
    return ROLES.every((role) => {
      const began = board.began(role);
      return began >= 0 && ledgers[role].notedSinceStart > 0 && ledgers[otherRole(role)].next > began;
    });
  }
}

/** Whose messages a victim receives. */
function roleOf(victim: Victim): Role {
  return victim === 'thread' ? 'server' : victim;
}
