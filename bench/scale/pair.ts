/**
 * One connection that is polled at both ends, alone and beside many idle ones: two servers of one kind, each in a
 * process of its own on the same processor, of which one works and the other one sleeps.
 *
 *   this process, near cpu            far cpu
 *   client ◄══ round trips ══►  server
 *   client ◄══ round trips ══►  server ◄══ idle connections ══ clients in some other processes, asleep
 *
 * The two are measured in short turns, in changing order, so that whatever the machine does meets both alike.
 */
import type { Histogram } from 'hdr-histogram-js';
import { Client } from '../../lib/index.js';
import { Crowd } from '../idle/crowd.js';
import { emptyHistogram, timeSingle } from '../measure.js';
import { pinThread } from '../pinning.js';
import type { CpuPair, RoundTrip } from '../subject.js';
import { ShmRoundTrip } from '../subjects/shm.js';
import { TcpRoundTrip } from '../subjects/tcp.js';

export interface PairSettings {
  readonly transport: 'shm' | 'tcp';
  /** Idle connections of the second server. */
  readonly idle: number;
  /** Round trips that are timed together. */
  readonly batch: number;
  readonly heartbeatMs: number;
  readonly cpus: CpuPair;
}

export interface TurnEffort {
  readonly turns: number;
  readonly turnMs: number;
  readonly singleMs: number;
}

/** What one of the two took. */
export interface Taken {
  /** Mean round trip of each batch, in nanoseconds. */
  readonly samples: readonly number[];
  readonly single: Histogram;
}

export const SIDES = ['alone', 'idle'] as const;
export type Side = (typeof SIDES)[number];

const LOOKS_PER_HEARTBEAT = 3;
const NS_PER_MS = 1e6;

interface Place {
  readonly crowd: Crowd;
  readonly client: Client;
  readonly trips: RoundTrip;
}

export class Pair {
  readonly #settings: PairSettings;
  readonly #places: Readonly<Record<Side, Place>>;
  readonly #heartbeats: NodeJS.Timeout;
  #lost: Error | null = null;

  static async start(settings: PairSettings): Promise<Pair> {
    const crowds: Crowd[] = [];
    const places: Place[] = [];
    try {
      for (const idle of [0, settings.idle]) crowds.push(await startCrowd(settings, idle));
      for (const crowd of crowds) places.push(await startPlace(settings, crowd));
      const [alone, idle] = places as [Place, Place];
      return new Pair(settings, { alone, idle });
    } catch (error) {
      for (const { trips } of places) await trips.stop();
      for (const crowd of crowds) await crowd.stop();
      throw error;
    }
  }

  private constructor(settings: PairSettings, places: Record<Side, Place>) {
    this.#settings = settings;
    this.#places = places;
    for (const { crowd } of Object.values(places)) {
      crowd.onLost((error) => {
        this.#lost = error;
      });
    }
    // Of the clients, while others have their turn.
    this.#heartbeats = setInterval(() => {
      for (const { client } of Object.values(places)) client.poll();
    }, settings.heartbeatMs / LOOKS_PER_HEARTBEAT);
  }

  /** Round trips of both for so many turns each. */
  async measure({ turns, turnMs, singleMs }: TurnEffort): Promise<Record<Side, Taken>> {
    const taken = {
      alone: { samples: [] as number[], single: emptyHistogram() },
      idle: { samples: [] as number[], single: emptyHistogram() },
    };
    const unpin = pinThread(this.#settings.cpus[0]);
    try {
      for (let turn = 0; turn < turns; turn++) {
        for (const side of turn % 2 === 0 ? SIDES : [...SIDES].reverse()) {
          const { crowd, trips } = this.#places[side];
          if (this.#lost !== null) throw this.#lost;
          await crowd.busy();
          timeBatches(trips, this.#settings.batch, turnMs, taken[side].samples);
          timeSingle(trips, singleMs, taken[side].single);
          await crowd.rest();
        }
      }
    } finally {
      unpin();
    }
    return taken;
  }

  /** Throws unless all idle connections are connected still. */
  async check(): Promise<void> {
    for (const side of SIDES) await this.#places[side].crowd.check(1);
  }

  /** Ends both, and leaves nothing behind. */
  async stop(): Promise<void> {
    clearInterval(this.#heartbeats);
    await Promise.all(SIDES.map((side) => stopPlace(this.#places[side])));
  }
}

async function startCrowd({ transport, heartbeatMs, cpus }: PairSettings, idle: number): Promise<Crowd> {
  const crowd = await Crowd.start({ transport, cpu: cpus[1], heartbeatMs });
  try {
    await crowd.grow(idle);
    return crowd;
  } catch (error) {
    await crowd.stop();
    throw error;
  }
}

async function startPlace({ transport, heartbeatMs }: PairSettings, crowd: Crowd): Promise<Place> {
  const client = new Client({
    name: 'bench',
    sharedDirectory: crowd.sharedDirectory,
    heartbeatIntervalMs: heartbeatMs,
    connectionTimeoutMs: 4 * heartbeatMs,
  });
  try {
    const connection = await client.connect({ port: crowd.port, transport });
    const peers = { client, connection, stop: () => client.close() };
    const trips = transport === 'shm' ? new ShmRoundTrip(peers) : new TcpRoundTrip(peers);
    return { crowd, client, trips };
  } catch (error) {
    await client.close();
    throw error;
  }
}

async function stopPlace({ crowd, trips }: Place): Promise<void> {
  await trips.stop();
  await crowd.stop();
}

/** Times batches for so long. The first one is not counted: it begins with what the rest has left in the caches. */
function timeBatches(trips: RoundTrip, batch: number, forMs: number, into: number[]): void {
  trips.between?.();
  trips.roundTrips(batch);
  for (let before = performance.now(), end = before + forMs; before < end; ) {
    trips.between?.();
    before = performance.now();
    trips.roundTrips(batch);
    into.push(((performance.now() - before) * NS_PER_MS) / batch);
  }
}
