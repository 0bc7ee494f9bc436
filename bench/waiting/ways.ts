import type { RunOptions } from '../../lib/index.js';

/** How both sides of a subject wait: each is driven by `run` with these options. */
export const WAYS = {
  yield: { idle: 'yield' },
  park: { idle: 'park' },
  'park-blocking': { idle: 'park', blocking: true },
} as const satisfies Record<string, RunOptions>;
export type Way = keyof typeof WAYS;
