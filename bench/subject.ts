/**
 * What can be measured: the one adapter through which each transport of ours and every competitor runs, so that
 * all of them move the same messages, are driven by the same loop and are reported in the same way.
 */

import type { Effort, Measurement } from './measure.js';

/** The floors; each is a program in `limits/`, which says what it is. */
export const LIMITS = [
  'core-to-core',
  'core-to-core-one-word',
  'ring-round-trip',
  'tcp-loopback',
  'futex-wake',
  'ring-16',
  'ring-64',
  'ring-256',
  'ring-1024',
  'ring-16-batched',
  'ring-64-batched',
  'ring-256-batched',
  'ring-1024-batched',
  'tcp-stream-16',
  'tcp-stream',
  'tcp-stream-256',
  'tcp-stream-1024',
  'tcp-stream-4KiB',
  'tcp-stream-64KiB',
  'tcp-stream-1MiB',
  'tcp-stream-4MiB',
  'memcpy-shm/4KiB',
  'memcpy-shm/64KiB',
  'memcpy-shm/1MiB',
  'memcpy-shm/4MiB',
] as const;
export type Limit = (typeof LIMITS)[number];

/** Which processor the measuring side is to run on, and which the echo. */
export type CpuPair = readonly [near: number, far: number];

export interface Subject {
  /** As in the report: 'rtt/shm', 'peer/net-tcp'. */
  readonly name: string;
  /** The floor of what carries the messages. */
  readonly limit: Limit;
  /** Null where that only tells of the state of the machine, and is nothing to compare with. */
  readonly floor?: null;
  /**
   * Threads that never sleep while this is measured. Above the number of cores they take turns, and the figures
   * say nothing; with 0 the figures are those of waking up, and do not move with the distance between two cores.
   */
  readonly busyThreads: number;
  /** Round trips that are timed together. A multiple of four, so that every batch has the same mix of sizes. */
  readonly batch: number;
  /**
   * Starts the echo in its own thread or process, where it pins itself to the far processor, and connects to it.
   * The calling thread is pinned to the near one, by the caller, once that is done.
   */
  start(cpus: CpuPair): Promise<RoundTrip>;
}

/**
 * What is measured in another way than by round trips, one after the other. It takes slices between probes of its floor
 * as a {@link Subject} does.
 */
export interface Measurable {
  readonly name: string;
  /** The floor that tells of the state of the machine: slices stand between its probes. */
  readonly limit: Limit;
  /**
   * What it is compared with, if that is another one: with the typical one of its probes, which are taken next to those of
   * the former. Null for none.
   */
  readonly floor?: Limit | null;
  readonly busyThreads: number;
  /** Messages that are timed together. */
  readonly batch: number;
  /** Messages that are to leave in a second, where that is given: whether it was held is reported. */
  readonly perSecond?: number;
  /** What is reported of its samples; left out for their times. */
  readonly rate?: RateOf;
  /** Takes one slice: starts both sides, measures, and leaves nothing behind. */
  measure(cpus: CpuPair, batch: number, effort: Effort): Promise<Measurement>;
}

/** What goes one way is reported by how many messages of so many bytes go in a second, or how many bytes. */
export interface RateOf {
  readonly unit: '/s' | 'B/s';
  readonly bytes: number;
}

/** A started subject. Belongs to the thread that started it. */
export interface RoundTrip {
  /** Whether `roundTrips` gives a promise, always, or never. */
  readonly asynchronous: boolean;
  /**
   * Sends `count` messages of `mix.ts`, each when the one before it has come back, and verifies what came back.
   * Numbering goes on from call to call. Throws, or rejects, at the first message that is wrong, and when the echo
   * is gone.
   */
  roundTrips(count: number): void | Promise<void>;
  /**
   * Milliseconds that the round trips so far have waited before messages, until all were asleep: no part of what they
   * took. Left out where they do not.
   */
  readonly pausedMs?: number;
  /** What must happen now and then but is no part of a round trip (heartbeats). Called between batches, untimed. */
  between?(): void;
  /** Ends the echo and leaves nothing behind. Twice is harmless. */
  stop(): Promise<void>;
}
