/** The benchmark of bandwidth: large messages, written once and read once. */
import { flowSubject } from '../flow/subject.js';
import type { Outcome } from '../report.js';
import { agendaOf, type Plan, type RoundsSettings, runRounds } from '../rounds.js';
import type { Measurable } from '../subject.js';
import { portSubject } from './port.js';
import { SIZES, type Size } from './sizes.js';

const sizes = Object.keys(SIZES) as Size[];
const ours = (['inproc', 'shm', 'tcp'] as const).flatMap((carrier) =>
  sizes.map((size): Measurable => {
    const { bytes, capacityBytes, batch } = SIZES[size];
    return flowSubject(
      { carrier, duty: 'sink', bytes, capacityBytes, batch: 1 },
      {
        name: `bandwidth/${carrier}/${size}`,
        limit: carrier === 'tcp' ? 'tcp-loopback' : 'core-to-core',
        floor: carrier === 'tcp' ? `tcp-stream-${size}` : `memcpy-shm/${size}`,
        batch,
        rate: { unit: 'B/s', bytes },
      },
    );
  }),
);
const peers = (['clone', 'transfer'] as const).flatMap((way) => sizes.map((size) => portSubject(way, size)));
const subjects = [...ours, ...peers];

const AGENDA = agendaOf(subjects);

const QUICK: Plan = {
  rounds: 1,
  repeats: 1,
  repeatUntilMs: 20_000,
  beginUntilMs: 35_000,
  warmUpMs: 250,
  batchesMs: 250,
  singleMs: 0,
  probeBatches: 50,
  probeMs: 80,
};
const FULL: Plan = {
  rounds: 7,
  repeats: 4,
  repeatUntilMs: 250_000,
  beginUntilMs: 400_000,
  warmUpMs: 800,
  batchesMs: 800,
  singleMs: 0,
  probeBatches: 200,
  probeMs: 200,
};

export function runBandwidth(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  return runRounds(AGENDA, quick ? QUICK : FULL, settings);
}
