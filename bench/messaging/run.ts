/** The benchmark of messaging: requests and answers, one at a time, many at once, and beside a stream. */
import type { Peer } from '../peers/link.js';
import type { Outcome } from '../report.js';
import { type Agenda, type Plan, type RoundsSettings, runRounds } from '../rounds.js';
import { inFlight, oneAtATime } from './asking.js';
import { besideStream } from './beside.js';
import { askedOurs } from './ours.js';
import { askedPeer } from './peer.js';

const CARRIERS = ['inproc', 'shm', 'tcp'] as const;
/** Each is loaded by itself: one whose package is missing is reported as such. */
const PEERS: readonly { readonly name: string; load(): Promise<Peer> }[] = [
  { name: 'message-port', load: async () => (await import('../peers/messagePort.js')).peer },
  { name: 'zeromq-ipc', load: async () => (await import('../peers/zeromq.js')).ipc },
  { name: 'zeromq-tcp', load: async () => (await import('../peers/zeromq.js')).tcp },
];
const MESSAGE_PORT = 'peer/request/message-port';
const STREAM_BYTES = 2 ** 30;

const AGENDA: Agenda = {
  subjects: [
    ...CARRIERS.map((carrier) => ({
      name: `messaging/request/${carrier}`,
      load: async () => oneAtATime(askedOurs(carrier, `messaging/request/${carrier}`)),
    })),
    ...CARRIERS.map((carrier) => ({
      name: `messaging/in-flight/${carrier}`,
      load: async () => inFlight(askedOurs(carrier, `messaging/in-flight/${carrier}`)),
    })),
    {
      name: 'messaging/beside/nothing',
      load: async () => besideStream('messaging/beside/nothing', 'shm', 0),
    },
    {
      name: 'messaging/beside/stream',
      load: async () => besideStream('messaging/beside/stream', 'shm', STREAM_BYTES),
    },
    ...PEERS.map(({ name, load }) => ({
      name: `peer/request/${name}`,
      load: async () => oneAtATime(askedPeer(await load(), `peer/request/${name}`)),
    })),
    ...PEERS.map(({ name, load }) => ({
      name: `peer/in-flight/${name}`,
      load: async () => inFlight(askedPeer(await load(), `peer/in-flight/${name}`)),
    })),
  ],
  limits: ['core-to-core', 'tcp-loopback'],
  peer: MESSAGE_PORT,
};

const QUICK: Plan = {
  rounds: 1,
  repeats: 1,
  repeatUntilMs: 20_000,
  beginUntilMs: 35_000,
  warmUpMs: 400,
  batchesMs: 400,
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

export function runMessaging(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  return runRounds(AGENDA, quick ? QUICK : FULL, settings);
}
