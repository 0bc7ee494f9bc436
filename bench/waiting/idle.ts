/**
 * What idle connections cost a server that sleeps: time of the processor, for heartbeats and looks, and memory. All have
 * the usual heartbeats, and the smallest queues.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd } from '../idle/crowd.js';
import { makeResult, type Result } from '../report.js';

export interface IdleEffort {
  readonly connections: number;
  /** Samples of the time of processors, each over so long. */
  readonly cpuSamples: number;
  readonly cpuSampleMs: number;
}

const HEARTBEAT_MS = 3000;
/** What the first ones need once is no part of what each costs: code that is compiled, memory that is kept. */
const FIRST = 100;
/** What the logins have left to do. */
const SETTLE_MS = 1000;
const NS_PER_MS = 1e6;

/** `name` is that of the results, which are the server's, and those of its clients where it says so. */
export async function measureIdle(
  name: string,
  transport: 'shm' | 'tcp',
  { connections, cpuSamples, cpuSampleMs }: IdleEffort,
): Promise<Result[]> {
  const crowd = await Crowd.start({ transport, cpu: -1, heartbeatMs: HEARTBEAT_MS });
  try {
    await crowd.grow(FIRST);
    const before = await crowd.memory();
    await crowd.grow(connections - FIRST);
    const each = ((await crowd.memory()) - before) / (connections - FIRST);
    await sleep(SETTLE_MS);
    const shares = { server: [] as number[], clients: [] as number[] };
    for (let i = 0; i < cpuSamples; i++) {
      const [start, from] = [performance.now(), await crowd.usage()];
      await sleep(cpuSampleMs);
      const [end, to] = [performance.now(), await crowd.usage()];
      for (const who of ['server', 'clients'] as const) {
        shares[who].push((100 * (to[who] - from[who])) / ((end - start) * NS_PER_MS));
      }
    }
    await crowd.check(0);
    return [
      makeResult(`${name}/cpu`, 1, [shares.server], '%'),
      makeResult(`${name}/cpu-clients`, 1, [shares.clients], '%'),
      makeResult(`${name}/memory`, 1, [[each]], 'B'),
    ];
  } finally {
    await crowd.stop();
  }
}
