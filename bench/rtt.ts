/** The round trip benchmark: everything that can carry a message, at its fastest. */
import type { Outcome } from './report.js';
import { type Agenda, type Plan, type RoundsSettings, runRounds } from './rounds.js';

const AGENDA: Agenda = {
  subjects: [
    { name: 'limit/ring-round-trip', load: async () => (await import('./subjects/ringInC.js')).subject },
    { name: 'rtt/inproc', load: async () => (await import('./subjects/inproc.js')).subject },
    { name: 'rtt/shm', load: async () => (await import('./subjects/shm.js')).subject },
    { name: 'rtt/tcp', load: async () => (await import('./subjects/tcp.js')).subject },
    { name: 'peer/message-port', load: async () => (await import('./peers/messagePort.js')).subject },
    { name: 'peer/net-tcp', load: async () => (await import('./peers/net.js')).subject },
  ],
  limits: ['core-to-core', 'core-to-core-one-word', 'tcp-loopback'],
};

const QUICK: Plan = {
  rounds: 3,
  repeats: 3,
  repeatUntilMs: 22_000,
  beginUntilMs: 36_000,
  warmUpMs: 600,
  batchesMs: 500,
  singleMs: 80,
  probeBatches: 300,
  probeMs: 300,
};
const FULL: Plan = {
  rounds: 9,
  repeats: 9,
  repeatUntilMs: 150_000,
  beginUntilMs: 240_000,
  warmUpMs: 1000,
  batchesMs: 1000,
  singleMs: 200,
  probeBatches: 500,
  probeMs: 500,
};

export function runRtt(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  return runRounds(AGENDA, quick ? QUICK : FULL, settings);
}
