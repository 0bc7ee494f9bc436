import { availableParallelism } from 'node:os';
import type { ResourceLimits } from 'node:worker_threads';
import { TcpshmError } from '../errors.js';
import { checkOptions, choice, count } from '../options.js';
import { checkCapacity } from '../ring/memory.js';
import type { SoloThreadOptions } from '../thread/soloThread.js';
import { fileOf } from './handlers.js';

/** What becomes of tasks that were running in a thread that has died. */
export const ON_CRASH = ['reject', 'retry'] as const;

/** Those of piscina have its names and meanings. */
export interface RingPoolOptions {
  /** The module with the tasks: an absolute path, or a `file:` URL. Each `run` may name another one. */
  readonly filename?: string | URL | null;
  /** Which of its exports runs tasks. Default 'default'. */
  readonly name?: string;
  /** Default half the processors. */
  readonly minThreads?: number;
  /** Default one and a half times the processors. */
  readonly maxThreads?: number;
  /** After so many idle milliseconds a thread above `minThreads` ends. Default 1000. */
  readonly idleTimeout?: number;
  /** Most tasks that wait: 'auto' for the square of `maxThreads`. Default Infinity. */
  readonly maxQueue?: number | 'auto';
  /** Most tasks that run at once in a thread: more than one for those that wait for something. Default 1. */
  readonly concurrentTasksPerWorker?: number;
  readonly resourceLimits?: ResourceLimits;
  readonly workerData?: unknown;
  readonly argv?: string[];
  readonly execArgv?: string[];
  readonly env?: SoloThreadOptions['env'];
  readonly niceIncrement?: number;
  readonly trackUnmanagedFds?: boolean;
  /**
   * What becomes of a task whose thread dies while it runs: it rejects with ERR_WORKER, or is run again, up to three times
   * (for tasks that may run twice). Default 'reject'. Those that had not started run in another thread in any case.
   */
  readonly onCrash?: (typeof ON_CRASH)[number];
  /** Of the rings between pool and thread, in each direction. Default 2^20. */
  readonly capacityBytes?: number;
}

/** The same, checked. */
export interface PoolSettings {
  readonly filename: string | null;
  readonly name: string;
  readonly minThreads: number;
  readonly maxThreads: number;
  readonly idleTimeout: number;
  readonly maxQueue: number;
  readonly concurrentTasksPerWorker: number;
  readonly onCrash: (typeof ON_CRASH)[number];
  readonly capacityBytes: number;
}

/** Throws ERR_OPTION, ERR_CAPACITY. */
export function poolSettings(options: RingPoolOptions): PoolSettings {
  checkOptions(options);
  const processors = availableParallelism();
  const least = count(options.minThreads, 'minThreads', Math.max(1, Math.floor(processors / 2)), 0);
  const most = count(options.maxThreads, 'maxThreads', Math.ceil(processors * 1.5));
  if (options.minThreads !== undefined && options.maxThreads !== undefined && least > most) {
    throw new TcpshmError(
      'ERR_OPTION',
      `minThreads must not be more than maxThreads, got ${least} and ${most}`,
    );
  }
  const maxThreads = options.maxThreads === undefined ? Math.max(least, most) : most;
  return {
    filename: options.filename === undefined || options.filename === null ? null : file(options.filename),
    name: text(options.name, 'name', 'default'),
    minThreads: Math.min(least, maxThreads),
    maxThreads,
    idleTimeout: number(options.idleTimeout, 'idleTimeout', 1000),
    maxQueue:
      options.maxQueue === 'auto'
        ? maxThreads ** 2
        : number(options.maxQueue, 'maxQueue', Number.POSITIVE_INFINITY),
    concurrentTasksPerWorker: count(options.concurrentTasksPerWorker, 'concurrentTasksPerWorker', 1),
    onCrash: choice(options.onCrash, 'onCrash', ON_CRASH) ?? 'reject',
    capacityBytes: checkCapacity(options.capacityBytes ?? 2 ** 20),
  };
}

/** The options that are for the threads alone. */
export function threadOptions(options: RingPoolOptions): Omit<SoloThreadOptions, 'filename' | 'name'> {
  const { resourceLimits, workerData, argv, execArgv, env, niceIncrement, trackUnmanagedFds } = options;
  return {
    ...(resourceLimits !== undefined && { resourceLimits }),
    ...(workerData !== undefined && { workerData }),
    ...(argv !== undefined && { argv }),
    ...(execArgv !== undefined && { execArgv }),
    ...(env !== undefined && { env }),
    ...(niceIncrement !== undefined && { niceIncrement }),
    ...(trackUnmanagedFds !== undefined && { trackUnmanagedFds }),
  };
}

/** Throws ERR_OPTION. */
export function file(filename: unknown): string {
  if (typeof filename === 'string' || filename instanceof URL) return fileOf(filename);
  throw new TcpshmError('ERR_OPTION', `filename must be a path or a URL, got ${String(filename)}`);
}

/** Throws ERR_OPTION. */
export function text(value: unknown, what: string, fallback: string): string {
  if (value === undefined || value === null) return fallback;
  if (typeof value === 'string' && value !== '') return value;
  throw new TcpshmError('ERR_OPTION', `${what} must be a text, got ${String(value)}`);
}

function number(value: unknown, what: string, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && value >= 0) return value;
  throw new TcpshmError('ERR_OPTION', `${what} must be a number from 0 on, got ${String(value)}`);
}
