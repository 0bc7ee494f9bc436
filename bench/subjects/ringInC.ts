/**
 * The rings and messages of ours, in C (`limits/ring_round_trip.c`): measured as a subject, so that its ratio to a bounced
 * word stands beside ours, each between its own probes.
 */
import { probe } from '../limitPrograms.js';
import type { Measurable } from '../subject.js';

/** It ends by time. */
const BATCHES = 1_000_000;

export const subject: Measurable = {
  name: 'limit/ring-round-trip',
  limit: 'core-to-core',
  busyThreads: 2,
  batch: 1000,
  async measure(cpus, batch, { batchesMs }) {
    const { samples } = await probe('ring-round-trip', cpus, batch, BATCHES, batchesMs);
    return { samples, single: null };
  },
};
