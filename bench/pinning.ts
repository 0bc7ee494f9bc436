import { nativeOrNull } from '../lib/memory/native.js';
import type { CpuPair } from './subject.js';

/** Whether threads can be pinned here: by our native module, on Linux. */
export function canPin(): boolean {
  return nativeOrNull() !== null;
}

/**
 * Pins the calling thread, where that is possible, and returns what undoes it. Threads and processes that it starts
 * meanwhile inherit it, V8's own among them: start them first.
 */
export function pinThread(cpu: number): () => void {
  const module = nativeOrNull();
  if (module === null) return () => {};
  const before = module.getAffinity();
  module.setAffinity([cpu]);
  return () => module.setAffinity(before);
}

/** Measures what was started, on the near processor, and stops it. */
export async function pinnedWhile<T>(
  [near]: CpuPair,
  started: { stop(): Promise<void> },
  act: () => Promise<T>,
): Promise<T> {
  const unpin = pinThread(near);
  try {
    return await act();
  } finally {
    unpin();
    await started.stop();
  }
}
