/** The benchmark of throughput: small messages one way, as fast as they go, and round trips of which many are under way. */
import { CARRIERS, type Carrier, type Duty } from '../flow/settings.js';
import { flowSubject } from '../flow/subject.js';
import { BATCHED } from '../limitPrograms.js';
import type { Outcome } from '../report.js';
import { agendaOf, type Plan, type RoundsSettings, runRounds } from '../rounds.js';
import type { Limit, Measurable } from '../subject.js';

type Size = 16 | 64 | 256 | 1024;
const SIZES: readonly Size[] = [16, 64, 256, 1024];
const ECHO_BYTES = 64;
const CAPACITY_BYTES = 2 ** 20;
/** Some milliseconds: to learn that the last one has arrived takes some microseconds. */
const SHARED_BATCH = 100_000;
const SOCKET_BATCH = 20_000;

const subjects: Measurable[] = [
  ...CARRIERS.flatMap((carrier) =>
    SIZES.flatMap((bytes) => [oneWaySubject(carrier, bytes), oneWaySubject(carrier, bytes, BATCHED)]),
  ),
  ...(['inproc', 'shm', 'tcp'] as const).map((carrier) =>
    subject(`throughput/echo/${carrier}`, carrier, 'echo', ECHO_BYTES, 1, floorOf(carrier, ECHO_BYTES, 1)),
  ),
];

const AGENDA = agendaOf(subjects);

const QUICK: Plan = {
  rounds: 1,
  repeats: 1,
  repeatUntilMs: 30_000,
  beginUntilMs: 40_000,
  warmUpMs: 250,
  batchesMs: 250,
  singleMs: 0,
  probeBatches: 100,
  probeMs: 60,
};
const FULL: Plan = {
  rounds: 7,
  repeats: 4,
  repeatUntilMs: 400_000,
  beginUntilMs: 600_000,
  warmUpMs: 800,
  batchesMs: 800,
  singleMs: 0,
  probeBatches: 200,
  probeMs: 150,
};

export function runThroughput(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  return runRounds(AGENDA, quick ? QUICK : FULL, settings);
}

/** One way, pushed one by one or `batch` of them together. */
export function oneWaySubject(
  carrier: Carrier,
  bytes: Size,
  batch = 1,
  name = `throughput/${carrier}/${bytes}${batch > 1 ? '-batched' : ''}`,
): Measurable {
  return subject(name, carrier, 'sink', bytes, batch, floorOf(carrier, bytes, batch));
}

function subject(
  name: string,
  carrier: Carrier,
  duty: Duty,
  bytes: number,
  batch: number,
  floor: Limit,
): Measurable {
  return flowSubject(
    { carrier, duty, bytes, capacityBytes: CAPACITY_BYTES, batch },
    {
      name,
      floor,
      limit: overSocket(carrier) ? 'tcp-loopback' : 'core-to-core',
      batch: overSocket(carrier) ? SOCKET_BATCH : SHARED_BATCH,
      rate: { unit: '/s', bytes },
    },
  );
}

function floorOf(carrier: Carrier, bytes: Size, batch: number): Limit {
  if (overSocket(carrier)) return bytes === 64 ? 'tcp-stream' : `tcp-stream-${bytes}`;
  return batch > 1 ? `ring-${bytes}-batched` : `ring-${bytes}`;
}

function overSocket(carrier: Carrier): boolean {
  return carrier === 'tcp' || carrier === 'tcp-net';
}
