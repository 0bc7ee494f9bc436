import type { ResourceLimits, Transferable, Worker } from 'node:worker_threads';
import type { Piscina } from 'piscina';

export interface SoloThreadOptions {
  /** The module that its tasks are in, as a path, and which of its exports they are. */
  readonly filename: string;
  readonly name: string;
  readonly resourceLimits?: ResourceLimits;
  readonly workerData?: unknown;
  readonly argv?: string[];
  readonly execArgv?: string[];
  readonly env?: NodeJS.ProcessEnv | typeof import('node:worker_threads').SHARE_ENV;
  readonly niceIncrement?: number;
  readonly trackUnmanagedFds?: boolean;
}

/** A task that was given to a thread, which was started for it. */
export interface Begun {
  readonly task: Promise<unknown>;
  /** Resolves when the thread has ended, with its exit code: all that it had open is free. */
  readonly gone: Promise<number>;
  readonly thread: Worker | null;
}

/**
 * A thread that piscina starts and ends, alone: a piscina of one worker, which lives until it ends by itself or
 * `destroy`, whether it has a task or not. Then the next task starts another one.
 */
export class SoloThread {
  readonly #options: SoloThreadOptions;
  readonly #onMessage: ((message: unknown) => void) | null;
  #piscina: Piscina | null = null;
  /** What it failed with outside of its task, since the last `begin`. */
  failure: Error | null = null;

  /** `onMessage` gets what the thread posts to its parent. */
  constructor(options: SoloThreadOptions, onMessage: ((message: unknown) => void) | null = null) {
    this.#options = options;
    this.#onMessage = onMessage;
  }

  /** Whether tasks can begin. */
  get loaded(): boolean {
    return this.#piscina !== null;
  }

  /** Loads piscina, before the first task: who has no threads need not. */
  async load(): Promise<void> {
    const { Piscina } = await import('piscina');
    this.#piscina ??= this.#make(Piscina);
  }

  /** Starts the thread, if it is not there, with a task. `signal` ends it. Once it is loaded. */
  begin(work: object, transferList: readonly Transferable[] = [], signal?: AbortSignal): Begun {
    const piscina = this.#piscina as Piscina;
    this.failure = null;
    const task = piscina.run(work, {
      transferList: [...transferList],
      ...(signal !== undefined && { signal }),
    }) as Promise<unknown>;
    const [thread = null] = piscina.threads;
    const gone = new Promise<number>((resolve) => {
      if (thread === null) resolve(0);
      else thread.once('exit', resolve);
    });
    return { task, gone, thread };
  }

  /** Ends the thread, whatever it is at. */
  async destroy(): Promise<void> {
    await this.#piscina?.destroy();
  }

  #make(made: typeof Piscina): Piscina {
    const piscina = new made({
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      recordTiming: false,
      ...this.#options,
    });
    piscina.on('error', (error: Error) => {
      this.failure ??= error;
    });
    if (this.#onMessage !== null) piscina.on('message', this.#onMessage);
    return piscina;
  }
}
