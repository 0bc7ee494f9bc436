import { Lane } from './lane.js';
import type { Outcome } from './outcome.js';
import type { Plan } from './plan.js';

/** Of processes that take what others leave, and a tenth of the rest: they come to their end on a busy machine as well. */
const LOW_PRIORITY = 10;

/**
 * Runs all files of a plan: in so many processes at once, with as many for those that compute; then those that are to
 * be alone, each in a process of its own. `told` hears of each file that is through.
 */
export async function runAll(
  plan: Plan,
  lanes: number,
  told: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const keep = (outcome: Outcome): void => {
    outcomes.push(outcome);
    told(outcome);
  };

  const runLane = async (files: string[], niceness: number): Promise<void> => {
    const lane = new Lane(niceness);
    for (let file = files.shift(); file !== undefined; file = files.shift()) keep(await lane.run(file));
    for (const death of await lane.end()) keep(death);
  };
  const runLanes = (files: readonly string[], niceness: number): Promise<void>[] => {
    const left = [...files];
    return Array.from({ length: Math.min(lanes, left.length) }, () => runLane(left, niceness));
  };

  await Promise.all([...runLanes(plan.computing, LOW_PRIORITY), ...runLanes(plan.others, 0)]);
  for (const file of plan.alone) await runLane([file], 0);
  return outcomes;
}
