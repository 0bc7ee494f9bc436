/** The benchmark of everyday use: objects, structs, ports, pools and loops, each beside what Node.js has. */
import type { Outcome } from '../report.js';
import { type Agenda, type Plan, type RoundsSettings, runRounds } from '../rounds.js';

const ORDERS = 'peer/message-port/object';

export const AGENDA: Agenda = {
  subjects: [
    {
      name: 'everyday/object/handlers',
      peer: ORDERS,
      load: async () => (await import('./channels.js')).handlers,
    },
    {
      name: 'everyday/object/records',
      peer: ORDERS,
      load: async () => (await import('./channels.js')).records,
    },
    {
      name: 'everyday/object/receive',
      peer: ORDERS,
      load: async () => (await import('./channels.js')).receive,
    },
    { name: 'everyday/port', peer: ORDERS, load: async () => (await import('./ports.js')).ringOrders },
    {
      name: 'everyday/bytes',
      peer: 'peer/message-port/bytes',
      load: async () => (await import('./channels.js')).bytes,
    },
    { name: 'everyday/struct', peer: ORDERS, load: async () => (await import('./channels.js')).structs },
    {
      name: 'everyday/fields',
      peer: 'peer/data-view',
      load: async () => (await import('./fields.js')).inPlace,
    },
    {
      name: 'everyday/fields/queue',
      peer: 'peer/data-view/queue',
      load: async () => (await import('./fields.js')).queued,
    },
    {
      name: 'everyday/pool/awaited',
      peer: 'peer/piscina/awaited',
      load: async () => (await import('./pools.js')).ringAwaited,
    },
    { name: 'everyday/pool', peer: 'peer/piscina', load: async () => (await import('./pools.js')).ring },
    {
      name: 'everyday/for-await',
      peer: 'peer/message-port/for-await',
      load: async () => (await import('./loops.js')).cursors,
    },
    {
      name: 'everyday/for-await/copies',
      peer: 'peer/message-port/for-await',
      load: async () => (await import('./loops.js')).copies,
    },
    { name: ORDERS, load: async () => (await import('./ports.js')).messageOrders },
    { name: 'peer/message-port/bytes', load: async () => (await import('./ports.js')).messageBytes },
    { name: 'peer/data-view', load: async () => (await import('./fields.js')).peerInPlace },
    { name: 'peer/data-view/queue', load: async () => (await import('./fields.js')).peerQueued },
    { name: 'peer/piscina/awaited', load: async () => (await import('./pools.js')).peerAwaited },
    { name: 'peer/piscina', load: async () => (await import('./pools.js')).peer },
    { name: 'peer/piscina/wide', load: async () => (await import('./pools.js')).peerWide },
    { name: 'peer/message-port/for-await', load: async () => (await import('./loops.js')).portEvents },
    { name: 'peer/resolved/for-await', load: async () => (await import('./loops.js')).resolved },
  ],
  limits: ['core-to-core'],
};

const QUICK: Plan = {
  rounds: 2,
  repeats: 1,
  repeatUntilMs: 30_000,
  beginUntilMs: 45_000,
  warmUpMs: 300,
  batchesMs: 300,
  singleMs: 60,
  probeBatches: 200,
  probeMs: 80,
};
const FULL: Plan = {
  rounds: 7,
  repeats: 4,
  repeatUntilMs: 250_000,
  beginUntilMs: 400_000,
  warmUpMs: 1000,
  batchesMs: 1000,
  singleMs: 200,
  probeBatches: 400,
  probeMs: 250,
};

export function runEveryday(quick: boolean, settings: RoundsSettings): Promise<Outcome> {
  return runRounds(AGENDA, quick ? QUICK : FULL, settings);
}
