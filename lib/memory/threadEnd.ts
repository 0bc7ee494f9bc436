import { nativeOrNull } from './native.js';

/**
 * Arranges that `words[0]` is atomically set from `from` to `to` when this thread ends, if it holds `from` then; returns
 * a function that cancels it. Without the native module the end is not noticed when the thread was terminated from
 * outside.
 */
export function exchangeAtThreadEnd(words: Int32Array, from: number, to: number): () => void {
  const native = nativeOrNull();
  if (native !== null) return native.exchangeAtExit(words, 0, from, to);
  const onExit = (): void => {
    Atomics.compareExchange(words, 0, from, to);
  };
  process.once('exit', onExit);
  return () => process.off('exit', onExit);
}
