/** The benchmark of latency under load: messages that leave at a fixed rate. */
import type { Outcome } from '../report.js';
import { type Agenda, type Plan, type RoundsSettings, runRounds } from '../rounds.js';
import { pacedSubject } from './subject.js';

const SHARED_RATES = { '10k': 10_000, '100k': 100_000, '500k': 500_000, '1M': 1_000_000 };
const SOCKET_RATES = { '10k': 10_000, '50k': 50_000, '100k': 100_000 };
const RATES = { inproc: SHARED_RATES, shm: SHARED_RATES, tcp: SOCKET_RATES } as const;

const AGENDA: Agenda = {
  subjects: (['inproc', 'shm', 'tcp'] as const).flatMap((carrier) =>
    Object.entries(RATES[carrier]).map(([rate, perSecond]) => {
      const name = `latency/${carrier}/${rate}`;
      return { name, load: async () => pacedSubject(name, carrier, perSecond) };
    }),
  ),
  limits: ['core-to-core', 'tcp-loopback'],
};

const QUICK: Plan = {
  rounds: 2,
  repeats: 1,
  repeatUntilMs: 20_000,
  beginUntilMs: 30_000,
  warmUpMs: 300,
  batchesMs: 300,
  singleMs: 0,
  probeBatches: 200,
  probeMs: 80,
};
const FULL: Plan = {
  rounds: 7,
  repeats: 4,
  repeatUntilMs: 150_000,
  beginUntilMs: 240_000,
  warmUpMs: 800,
  batchesMs: 1000,
  singleMs: 0,
  probeBatches: 400,
  probeMs: 250,
};

export function runLatency(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  return runRounds(AGENDA, quick ? QUICK : FULL, settings);
}
