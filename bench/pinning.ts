import { nativeOrNull } from '../lib/memory/native.js';

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
