/** One side of a soak run as a process or a thread of its own. */
import { isMainThread, workerData } from 'node:worker_threads';
import { Board } from './board.js';
import { runSide, type SideSettings } from './side.js';

if (isMainThread) {
  // Who started this process decides about its end: not the keyboard, but the end of its own process.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  process.stdin.on('end', () => process.exit(1)).resume();
  await run(JSON.parse(process.argv[2] as string) as SideSettings);
  process.exit(0);
} else {
  await run(workerData as SideSettings);
}

async function run(settings: SideSettings): Promise<void> {
  await runSide(Board.map(settings.boardPath, false), settings);
}
