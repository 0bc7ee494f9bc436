import { nativeOrNull } from './native.js';

/**
 * Arranges that `words[0]` is atomically set from `from` to `to` when this thread ends, if it holds `from` then; returns
 * a function that cancels it. Without the native module the end is not noticed when the thread was terminated from
 * outside.
 */
export function exchangeAtThreadEnd(words: Int32Array, from: number, to: number): () => void {
  const native = nativeOrNull();
  if (native !== null) return native.exchangeAtExit(words, 0, from, to);
  const exchange = (): void => {
    Atomics.compareExchange(words, 0, from, to);
  };
  if (exchanges.size === 0) process.on('exit', exchangeAll);
  exchanges.add(exchange);
  return () => {
    if (exchanges.delete(exchange) && exchanges.size === 0) process.off('exit', exchangeAll);
  };
}

/** One listener for all, as Node.js takes many of them for a leak, and says so. */
const exchanges = new Set<() => void>();

function exchangeAll(): void {
  for (const exchange of exchanges) exchange();
}
