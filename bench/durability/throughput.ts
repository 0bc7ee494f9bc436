/**
 * One way, as fast as it goes: bursts of messages of 64 bytes, each until the last one was popped and acknowledged.
 *
 *   this process                                                       child process
 *   alloc, push ──► [ ring in a journal ] ── frames over TCP ──► [ ring in a journal ] ──► onMessage: verify, pop
 *                     'disk': sent once it is safe                  'disk': acknowledged once the pop is safe
 */
import { performance } from 'node:perf_hooks';
import type { DurabilityLevel } from '../../lib/index.js';
import { PAYLOAD_BYTES } from '../tally.js';
import { writtenBytes } from './fileSystem.js';
import { type Peers, startPeers } from './peers.js';

/**
 * Of the queue. Room is handed back two syncs of this side and one of the other after a push, and by then it should
 * not be full.
 */
export const CAPACITY_BYTES = 2 ** 24;

const NS_PER_MS = 1e6;
/** Messages between two polls. */
const PUSHES_PER_POLL = 64;
const PATIENCE_MS = 60_000;

export interface ThroughputEffort {
  /** Messages of a burst. */
  readonly burst: number;
  /** Bursts that are timed, after one that is not. */
  readonly bursts: number;
}

export interface Throughput {
  /** Mean time per message of each burst, in nanoseconds. */
  readonly samples: readonly number[];
  /** Bytes that each side had the kernel write to the disk meanwhile. */
  readonly written: number;
  readonly serverWritten: number;
}

export async function measureThroughput(
  durability: DurabilityLevel,
  directory: string,
  { burst, bursts }: ThroughputEffort,
): Promise<Throughput> {
  const peers = await startPeers({
    directory,
    durability,
    serverDurability: durability,
    pace: 'busy',
    burst,
    capacityBytes: CAPACITY_BYTES,
  });
  try {
    const serverBefore = sendBurst(peers, burst);
    const before = writtenBytes();
    const samples: number[] = [];
    let serverAfter = serverBefore;
    for (let i = 0; i < bursts; i++) {
      const start = performance.now();
      serverAfter = sendBurst(peers, burst);
      samples.push(((performance.now() - start) * NS_PER_MS) / burst);
      await new Promise(setImmediate);
    }
    return { samples, written: writtenBytes() - before, serverWritten: serverAfter - serverBefore };
  } finally {
    await peers.stop();
  }
}

function sendBurst({ client, connection, tally, finishBurst }: Peers, burst: number): number {
  let now = performance.now();
  const deadline = now + PATIENCE_MS;
  for (let sent = 0; sent < burst; now = performance.now()) {
    for (let i = 0; i < PUSHES_PER_POLL && sent < burst; i++) {
      const message = connection.alloc(PAYLOAD_BYTES);
      if (message === null) break;
      tally.write(message);
      connection.push();
      sent++;
    }
    client.poll(now);
    if (now > deadline) throw new Error(`the queue stayed full after ${sent} of ${burst} messages`);
  }
  return finishBurst();
}
