/** A flow of ours as something to measure. */
import { measureBatches, type Timed } from '../measure.js';
import { pinnedWhile } from '../pinning.js';
import type { Measurable } from '../subject.js';
import { makeFlow } from './near.js';
import type { FlowSettings } from './settings.js';
import { startSides } from './sides.js';

const BUSY_THREADS = 2;

/** `settings` but for the rest of it, which is for the report. */
export function flowSubject(
  settings: FlowSettings,
  about: Pick<Measurable, 'name' | 'limit' | 'batch' | 'rate'> & Required<Pick<Measurable, 'floor'>>,
): Measurable {
  return {
    ...about,
    busyThreads: BUSY_THREADS,
    async measure(cpus, batch, effort) {
      const flow = makeFlow(settings, await startSides(settings, cpus[1]));
      const timed: Timed = {
        asynchronous: flow.asynchronous,
        run: (count) => flow.move(count),
        between: () => flow.between?.(),
      };
      return pinnedWhile(cpus, flow, () => measureBatches(about.name, timed, batch, effort));
    },
  };
}
