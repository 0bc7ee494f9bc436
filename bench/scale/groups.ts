/**
 * What two threads of groups do, and what one does: of messages that are some microseconds of work each. They have their
 * turns, so that whatever the machine does meets both alike, and each turn of two is compared with that of one next
 * to it.
 */
import type { Progress } from '../progress.js';
import { makeRateRatio, makeRateResult, type Outcome, type Ratio, type Result } from '../report.js';
import type { RoundsSettings } from '../rounds.js';
import { mean, median, summarize } from '../statistics.js';
import { PAYLOAD_BYTES } from '../tally.js';
import { type Effort, Team } from './team.js';

export interface GroupsPlan {
  readonly rounds: number;
  /** Pairs of turns in each. */
  readonly turns: number;
  /** Messages for each group in one turn. */
  readonly messages: number;
  /** Turns that are not counted. */
  readonly warmUp: number;
  /** After this time no round is begun. */
  readonly forMs: number;
}

const ONE = 1;
const TWO = 2;
/** A thread that has had less of its processor in a turn was disturbed by other work. */
export const LEAST_SHARE = 0.75;

/** A turn of one thread, and one of two. */
interface Turn {
  readonly one: Effort;
  readonly two: Effort;
}

export async function measureGroups(
  plan: GroupsPlan,
  { cpus, cores, progress }: RoundsSettings,
): Promise<Outcome> {
  const teams: Team[] = [];
  try {
    for (const groups of [ONE, TWO]) {
      progress.say(`${nameOf(groups)}: starting`);
      teams.push(await Team.start(groups, cpus));
    }
    const rounds = await takeTurns(teams as [Team, Team], plan, progress);
    return outcomeOf(rounds, plan, cores);
  } catch (error) {
    const reason = (error as Error).message;
    return {
      results: [],
      failed: [ONE, TWO].map((groups) => ({ name: nameOf(groups), reason })),
      warnings: [],
    };
  } finally {
    for (const team of teams) await team.stop();
  }
}

async function takeTurns(
  [one, two]: readonly [Team, Team],
  { rounds, turns, messages, warmUp, forMs }: GroupsPlan,
  progress: Progress,
): Promise<Turn[][]> {
  const turn = async (): Promise<Turn> => ({
    one: await one.burst(messages),
    two: await two.burst(messages),
  });
  const taken: Turn[][] = [];
  for (let i = 0; i < warmUp; i++) await turn();
  const endMs = performance.now() + forMs;
  for (let round = 1; round <= rounds && (round === 1 || performance.now() < endMs); round++) {
    progress.say(`round ${round} of ${rounds}: scale/groups`);
    const slice: Turn[] = [];
    for (let i = 0; i < turns; i++) slice.push(await turn());
    taken.push(slice);
  }
  return taken;
}

/** Results of rounds of turns. Where there were turns that were not disturbed, these are counted alone. Pure. */
export function outcomeOf(rounds: readonly (readonly Turn[])[], plan: GroupsPlan, cores: number): Outcome {
  const settled = rounds.map((turns) => turns.filter(isSettled)).filter((turns) => turns.length > 0);
  const unsettled = settled.length === 0;
  const chosen = unsettled ? rounds : settled;
  const ones = chosen.map((turns) => turns.map(({ one }) => one));
  const twos = chosen.map((turns) => turns.map(({ two }) => two));
  const why =
    cores < TWO
      ? `${TWO} threads share ${cores} core(s)`
      : 'in each of their turns other work has taken a processor from one of them';
  return {
    results: [
      resultOf(ONE, ones, plan, unsettled),
      {
        ...resultOf(
          TWO,
          twos,
          plan,
          unsettled,
          compare(twos, ones, ({ cpuNs }) => cpuNs),
        ),
        oneGroupRatio: compare(twos, ones, ({ ns }) => ns),
      },
    ],
    failed: [],
    warnings: unsettled ? [`${nameOf(TWO)} did not settle: ${why}. Compare messages per CPU second`] : [],
  };
}

function resultOf(
  groups: number,
  rounds: readonly (readonly Effort[])[],
  { messages }: GroupsPlan,
  unsettled: boolean,
  perCpuRatio?: Ratio,
): Result {
  const efforts = rounds.flat();
  const slices = rounds.map((turns) => turns.map(({ ns }) => ns));
  const shares = Array.from({ length: groups }, (_, group) =>
    thousandth(median(efforts.map((effort) => effort.shares[group] as number))),
  );
  return {
    ...makeRateResult(nameOf(groups), messages * groups, slices, { unit: '/s', bytes: PAYLOAD_BYTES }),
    groups: {
      shares,
      messagesPerCpuSecond: Math.round(1e9 / median(efforts.map(({ cpuNs }) => cpuNs))),
      ...(perCpuRatio === undefined ? {} : { perCpuRatio }),
      clientsShare: thousandth(median(efforts.map(({ clientsShare }) => clientsShare))),
    },
    ...(unsettled ? { unsettled } : {}),
  };
}

/** Round by round, of times per message: how many times as fast. */
function compare(
  twos: readonly (readonly Effort[])[],
  ones: readonly (readonly Effort[])[],
  of: (effort: Effort) => number,
): Ratio {
  return makeRateRatio(
    nameOf(ONE),
    twos.map((turns, round) => ({
      subject: summarize(turns.map(of)),
      probes: [summarize((ones[round] as readonly Effort[]).map(of))],
    })),
  );
}

/** What its own clients take is no other work. */
function isSettled({ one, two }: Turn): boolean {
  return [one, two].every(({ shares }) => mean(shares) >= LEAST_SHARE);
}

function nameOf(groups: number): string {
  return `scale/groups-${groups}`;
}

function thousandth(share: number): number {
  return Math.round(share * 1000) / 1000;
}
