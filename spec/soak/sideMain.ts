/** One side of a soak run as a process or a thread of its own. */
import { isMainThread, workerData } from 'node:worker_threads';
import { Board } from './board.js';
import { runSide, type SideSettings } from './side.js';

if (isMainThread) {
  const [boardPath, settings] = process.argv.slice(2) as [string, string];
  // Who started this process decides about its end: not the keyboard, but the end of its own process.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  process.stdin.on('end', () => process.exit(1)).resume();
  const board = Board.map(boardPath, false);
  await runSide(board, JSON.parse(settings) as SideSettings);
  process.exit(0);
} else {
  const { memory, settings } = workerData as { memory: SharedArrayBuffer; settings: SideSettings };
  await runSide(new Board(memory), settings);
}
