/**
 * The handlers of a soak run whose server has groups in threads: here the connection is, and so is the server's part of
 * the exchange. The board is named by the URL of this module.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import type { Connection, GroupContext } from '../../lib/index.js';
import { Board } from './board.js';
import { Exchange } from './exchange.js';

const STEPS_PER_TURN = 40;

const board = Board.map(new URL(import.meta.url).searchParams.get('board') as string, false);
const exchange = new Exchange(board, 'server');
let current: Connection | null = null;

export function onStart({ group, signal }: GroupContext): void {
  board.setThread(group, threadId);
  void work(signal);
}

export function onConnection(connection: Connection): void {
  current = connection;
  board.linked('server', connection.pushed);
}

export function onMessage(connection: Connection): void {
  step(connection);
}

export function onDisconnect(): void {
  current = null;
}

/** Also while nothing comes. */
async function work(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (let i = 0; i < STEPS_PER_TURN && current?.state === 'connected'; i++) step(current);
    await nextTurn();
  }
}

function step(connection: Connection): void {
  if (board.victim === threadId) process.exit(9);
  exchange.step(connection);
}
