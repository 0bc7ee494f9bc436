/**
 * A child process of the bench: a module that tells something when it is ready, its port say, carries out orders, and
 * ends when it is told to, or when the bench is gone.
 */
import { fileURLToPath } from 'node:url';
import { spawnOwned } from './cleanup.js';

const STOP_PATIENCE_MS = 3000;

export interface Child {
  /** What the child has told when it was ready: its port, where it has one. */
  readonly port: number;
  /** Gives an order, and what the child answers. One at a time. Rejects if it fails at it, or ends instead. */
  order(order: string): Promise<unknown>;
  /** Calls back, once, if the process ends before `stop()`. */
  onLost(callback: (error: Error) => void): void;
  /** Asks the process to end, and kills it if it does not. Twice is harmless. */
  stop(): Promise<void>;
}

/** What a child says to the bench. */
type Word = { readonly port: number } | { readonly done: unknown } | { readonly failed: string };

/** `module` is relative to this folder; `words` are its arguments. */
export async function startChild(module: string, words: readonly string[] = []): Promise<Child> {
  const path = fileURLToPath(new URL(module, import.meta.url));
  const child = spawnOwned(process.execPath, [path, ...words], ['ignore', 'ignore', 'inherit', 'ipc']);
  const ended = new Promise<Error>((resolve) => {
    const end = (how: string): void => resolve(new Error(`the child process ${module} ${how}`));
    child.once('error', (error) => end(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => end(`ended with ${signal ?? code}`));
  });
  /** The next thing that the child says. */
  const next = async (): Promise<Word> => {
    let listener = (_word: unknown): void => {};
    const said = new Promise<Word>((resolve) => {
      listener = (word) => resolve(word as Word);
      child.once('message', listener);
    });
    const first = await Promise.race([said, ended]);
    child.off('message', listener);
    if (first instanceof Error) throw first;
    if ('failed' in first) throw new Error(first.failed);
    return first;
  };
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (!stopping && child.connected) child.disconnect();
    stopping = true;
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
    await ended;
    clearTimeout(kill);
  };
  try {
    const { port } = (await next()) as { port: number };
    return {
      port,
      async order(order) {
        const answer = next();
        child.send(order);
        return ((await answer) as { done: unknown }).done;
      },
      onLost(callback) {
        ended.then((error) => {
          if (!stopping) callback(error);
        });
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** In the child: says that it is ready. */
export function announce(port = 0): void {
  process.send?.({ port } satisfies Word);
}

/** In the child: says that it could not get ready, and why, and ends. */
export function giveUp(error: unknown): void {
  process.send?.({ failed: (error as Error).message } satisfies Word, undefined, undefined, () =>
    process.exit(1),
  );
}

/** In the child: carries out orders, and tells what came of them. */
export function onOrder(carryOut: (order: string) => unknown): void {
  process.on('message', async (order: string) => {
    try {
      process.send?.({ done: await carryOut(order) } satisfies Word);
    } catch (error) {
      process.send?.({ failed: (error as Error).message } satisfies Word);
    }
  });
}

/** In the child: calls back when the bench wants it to end or is gone itself. */
export function onStop(callback: () => void): void {
  process.once('disconnect', callback);
}
