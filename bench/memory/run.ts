/** The benchmark of memory: what a flow of many messages leaves in both processes, and what a client takes. */
import { startChild } from '../child.js';
import { makeFlow } from '../flow/near.js';
import type { FlowSettings } from '../flow/settings.js';
import { startSides } from '../flow/sides.js';
import { type MemoryUse, memoryUse } from '../idle/usage.js';
import { pinnedWhile } from '../pinning.js';
import type { Progress } from '../progress.js';
import { type Failure, makeResult, type Outcome, type Result } from '../report.js';
import { crowded, type RoundsSettings } from '../rounds.js';
import type { CpuPair } from '../subject.js';
import { PAYLOAD_BYTES } from '../tally.js';
import { startClient } from './clients.js';

const FULL_MESSAGES = 100_000_000;
const QUICK_MESSAGES = 5_000_000;
/** Before the first look: code is compiled, and every page of the queues is written once. */
const WARM_UP_MESSAGES = 2_000_000;
const BATCH = 500_000;
const PROCESSES = 3;
const BUSY_THREADS = 2;

const FLOW: FlowSettings = {
  carrier: 'shm',
  duty: 'sink',
  bytes: PAYLOAD_BYTES,
  capacityBytes: 2 ** 20,
  batch: 1,
};

export async function runMemory(quick: boolean, { cpus, cores, progress }: RoundsSettings): Promise<Outcome> {
  const results: Result[] = [];
  const failed: Failure[] = [];
  const attempt = async (name: string, measure: () => Promise<readonly Result[]>): Promise<void> => {
    progress.say(name);
    try {
      results.push(...(await measure()));
    } catch (error) {
      failed.push({ name, reason: (error as Error).message });
    }
  };
  await attempt('memory/shm/growth', () =>
    measureGrowth('memory/shm', quick ? QUICK_MESSAGES : FULL_MESSAGES, cpus, progress),
  );
  await attempt('memory/client', measureClients);
  const warnings = cores < BUSY_THREADS ? [crowded('memory/shm/growth', BUSY_THREADS, cores)] : [];
  return { results, failed, warnings };
}

interface Both {
  readonly sender: MemoryUse;
  readonly receiver: MemoryUse;
}

/** `name/growth`, and for each side what was resident, and in its heap, before and after. */
export async function measureGrowth(
  name: string,
  messages: number,
  cpus: CpuPair,
  progress?: Progress,
): Promise<Result[]> {
  const sides = await startSides(FLOW, cpus[1]);
  const flow = makeFlow(FLOW, sides);
  return pinnedWhile(cpus, flow, async () => {
    const look = async (): Promise<Both> => ({ sender: memoryUse(), receiver: await sides.farMemory() });
    const move = async (count: number, what: string): Promise<void> => {
      for (let left = count; left > 0; left -= BATCH) {
        await flow.move(Math.min(BATCH, left));
        flow.between?.();
        // The event loop turns, as that of an application does.
        await new Promise(setImmediate);
        if ((count - left) % (20 * BATCH) === 0) progress?.say(`${name}: ${what} ${count - left}`);
      }
    };
    await move(Math.min(messages, WARM_UP_MESSAGES), 'warming up,');
    const before = await look();
    await move(messages, 'messages:');
    return growthResults(name, messages, before, await look());
  });
}

/** Pure. */
export function growthResults(name: string, messages: number, before: Both, after: Both): Result[] {
  const bytes = (what: string, value: number): Result => ({
    ...makeResult(`${name}/${what}`, 1, [[value]], 'B'),
    n: messages,
  });
  const total = ({ sender, receiver }: Both): number => sender.residentBytes + receiver.residentBytes;
  return [
    bytes('growth', total(after) - total(before)),
    ...(['sender', 'receiver'] as const).flatMap((who) => [
      bytes(`${who}-resident-before`, before[who].residentBytes),
      bytes(`${who}-resident-after`, after[who].residentBytes),
      bytes(`${who}-heap-before`, before[who].heapBytes),
      bytes(`${who}-heap-after`, after[who].heapBytes),
    ]),
  ];
}

/** Processes with one connection, asleep, and such with nothing at all. */
export async function measureClients(): Promise<Result[]> {
  const clients: number[] = [];
  const empty: number[] = [];
  for (let i = 0; i < PROCESSES; i++) {
    const client = await startClient();
    try {
      clients.push(await client.residentBytes());
    } finally {
      await client.stop();
    }
    const child = await startChild('./memory/empty.js');
    try {
      empty.push(((await child.order('memory')) as MemoryUse).residentBytes);
    } finally {
      await child.stop();
    }
  }
  return [makeResult('memory/client', 1, [clients], 'B'), makeResult('memory/empty-node', 1, [empty], 'B')];
}
