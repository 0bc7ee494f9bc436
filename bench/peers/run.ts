/** The benchmark of peers: what else carries messages between threads and processes, beside ours. */
import type { Outcome } from '../report.js';
import { type Agenda, type Plan, type RoundsSettings, runRounds } from '../rounds.js';
import { oneWaySubject } from '../throughput/run.js';
import { drivenSubject } from '../waiting/driven.js';
import { roundTripsOf } from './awaited.js';
import type { Peer } from './link.js';
import { oneWayOf } from './oneWay.js';

type Subjects = Agenda['subjects'];

/** Each is loaded by itself: one whose package is missing is reported as such. */
const PEERS: readonly { readonly name: string; load(): Promise<Peer> }[] = [
  { name: 'peer/message-port', load: async () => (await import('./messagePort.js')).peer },
  { name: 'peer/child-ipc', load: async () => (await import('./childIpc.js')).peer },
  { name: 'peer/net-tcp', load: async () => (await import('./net.js')).tcp },
  { name: 'peer/net-unix', load: async () => (await import('./net.js')).unix },
  { name: 'peer/zeromq-tcp', load: async () => (await import('./zeromq.js')).tcp },
  { name: 'peer/zeromq-ipc', load: async () => (await import('./zeromq.js')).ipc },
];
const CARRIERS = ['inproc', 'shm', 'tcp'] as const;
/** Ours, as `rtt` has them. */
const BUSY = {
  inproc: async () => (await import('../subjects/inproc.js')).subject,
  shm: async () => (await import('../subjects/shm.js')).subject,
  tcp: async () => (await import('../subjects/tcp.js')).subject,
};

const subjects: Subjects = [
  ...CARRIERS.map((carrier) => ({
    name: `peers/busy/${carrier}`,
    load: async () => ({ ...(await BUSY[carrier]()), name: `peers/busy/${carrier}` }),
  })),
  ...CARRIERS.map((carrier) => ({
    name: `peers/yield/${carrier}`,
    load: async () => drivenSubject(`peers/yield/${carrier}`, carrier, 'yield'),
  })),
  ...CARRIERS.map((carrier) => ({
    name: `peers/${carrier}/64`,
    load: async () => oneWaySubject(carrier, 64, 1, `peers/${carrier}/64`),
  })),
  ...PEERS.map(({ name, load }) => ({ name, load: async () => roundTripsOf(await load()) })),
  { name: 'peer/piscina', load: async () => (await import('./piscina.js')).subject },
  ...PEERS.map(({ name, load }) => ({
    name: `${name}/64`,
    load: async () => {
      const peer = await load();
      return oneWayOf(peer, peer.limit === 'core-to-core' ? 'ring-64' : 'tcp-stream');
    },
  })),
  { name: 'peer/piscina/64', load: async () => (await import('./piscina.js')).inFlight },
];

const AGENDA: Agenda = { subjects, limits: ['core-to-core', 'tcp-loopback', 'ring-64', 'tcp-stream'] };

const QUICK: Plan = {
  rounds: 1,
  repeats: 1,
  repeatUntilMs: 20_000,
  beginUntilMs: 35_000,
  warmUpMs: 300,
  batchesMs: 300,
  singleMs: 60,
  probeBatches: 200,
  probeMs: 80,
};
const FULL: Plan = {
  rounds: 7,
  repeats: 4,
  repeatUntilMs: 300_000,
  beginUntilMs: 450_000,
  warmUpMs: 1000,
  batchesMs: 1000,
  singleMs: 200,
  probeBatches: 400,
  probeMs: 250,
};

/** It was tried: a thread that ends after it had a socket now and then takes the process with it. */
const NO_INPROC =
  'peer/zeromq-inproc is not measured: with zeromq 6.8.0, sockets in two threads of a process end it with a segmentation fault';

export async function runPeers(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  const outcome = await runRounds(AGENDA, quick ? QUICK : FULL, settings);
  return { ...outcome, warnings: [...outcome.warnings, NO_INPROC] };
}
