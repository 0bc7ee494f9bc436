/**
 * An echo in a child process: a module of the bench that tells its port when it is ready, and ends when it is told
 * to, or when the bench is gone.
 */
import { fileURLToPath } from 'node:url';
import { spawnOwned } from './cleanup.js';

const STOP_PATIENCE_MS = 3000;

export interface EchoProcess {
  readonly port: number;
  /** Calls back, once, if the process ends before `stop()`. */
  onLost(callback: (error: Error) => void): void;
  /** Asks the process to end, and kills it if it does not. Twice is harmless. */
  stop(): Promise<void>;
}

/** `module` is relative to this folder; `words` are its arguments. */
export async function startEchoProcess(module: string, words: readonly string[] = []): Promise<EchoProcess> {
  const path = fileURLToPath(new URL(module, import.meta.url));
  const child = spawnOwned(process.execPath, [path, ...words], ['ignore', 'ignore', 'inherit', 'ipc']);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => resolve(`ended with ${signal ?? code}`));
  });
  let stopping = false;
  const ready = new Promise<number>((resolve) => child.once('message', (port) => resolve(port as number)));
  const first = await Promise.race([ready, ended]);
  if (typeof first === 'string') throw new Error(`the echo process ${module} ${first}`);
  return {
    port: first,
    onLost(callback) {
      ended.then((how) => {
        if (!stopping) callback(new Error(`the echo process ${module} ${how} while it was measured`));
      });
    },
    async stop() {
      if (!stopping && child.connected) child.disconnect();
      stopping = true;
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
      await ended;
      clearTimeout(kill);
    },
  };
}

/** In the echo process: says that it is ready. */
export function announce(port: number): void {
  process.send?.(port);
}

/** In the echo process: calls back when the bench wants it to end or is gone itself. */
export function onStop(callback: () => void): void {
  process.once('disconnect', callback);
}
