/** The benchmark of waiting: round trips of sides that do not poll all the time, and what those that wait cost. */
import type { Progress } from '../progress.js';
import type { Failure, Outcome, Result } from '../report.js';
import { type Agenda, type Plan, type RoundsSettings, runRounds } from '../rounds.js';
import { drivenSubject, type Transport } from './driven.js';
import { type IdleEffort, measureIdle } from './idle.js';
import type { Way } from './ways.js';

const ours = (name: string, transport: Transport, way: Way): Agenda['subjects'][number] => ({
  name,
  load: async () => drivenSubject(name, transport, way),
});

const AGENDA: Agenda = {
  subjects: [
    ours('waiting/yield/inproc', 'inproc', 'yield'),
    ours('waiting/yield/shm', 'shm', 'yield'),
    ours('waiting/park/inproc', 'inproc', 'park'),
    ours('waiting/park/inproc-blocking', 'inproc', 'park-blocking'),
    ours('waiting/park/shm', 'shm', 'park'),
    ours('waiting/park/shm-blocking', 'shm', 'park-blocking'),
    ours('waiting/park/tcp', 'tcp', 'park'),
    ours('waiting/park/tcp-blocking', 'tcp', 'park-blocking'),
    {
      name: 'peer/message-port',
      // It sleeps, too.
      load: async () => ({ ...(await import('../peers/messagePort.js')).subject, limit: 'futex-wake' }),
    },
  ],
  limits: ['core-to-core', 'futex-wake'],
  peer: 'peer/message-port',
};

const QUICK: Plan & IdleEffort = {
  rounds: 2,
  repeats: 1,
  repeatUntilMs: 15_000,
  beginUntilMs: 20_000,
  warmUpMs: 300,
  batchesMs: 300,
  singleMs: 80,
  probeBatches: 200,
  probeMs: 150,
  connections: 1000,
  cpuSamples: 3,
  cpuSampleMs: 1000,
};
const FULL: Plan & IdleEffort = {
  rounds: 7,
  repeats: 5,
  repeatUntilMs: 150_000,
  beginUntilMs: 240_000,
  warmUpMs: 1000,
  batchesMs: 1000,
  singleMs: 200,
  probeBatches: 400,
  probeMs: 400,
  connections: 1000,
  cpuSamples: 6,
  cpuSampleMs: 3000,
};

export async function runWaiting(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  const plan = quick ? QUICK : FULL;
  const roundTrips = await runRounds(AGENDA, plan, settings);
  const idle = await measureCrowds(plan, settings.progress);
  return {
    results: [...roundTrips.results, ...idle.results],
    failed: [...roundTrips.failed, ...idle.failed],
    warnings: roundTrips.warnings,
  };
}

async function measureCrowds(
  effort: IdleEffort,
  progress: Progress,
): Promise<Pick<Outcome, 'results' | 'failed'>> {
  const results: Result[] = [];
  const failed: Failure[] = [];
  for (const transport of ['shm', 'tcp'] as const) {
    const name = `waiting/idle-${effort.connections}${transport === 'shm' ? '' : '/tcp'}`;
    progress.say(name);
    try {
      results.push(...(await measureIdle(name, transport, effort)));
    } catch (error) {
      failed.push({ name, reason: (error as Error).message });
    }
  }
  return { results, failed };
}
