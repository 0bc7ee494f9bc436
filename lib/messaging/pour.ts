import type { Parts } from './call.js';
import type { Sender, SentFlow } from './sender.js';

/** Where parts are read from. */
type Source = AsyncIterator<unknown> | Iterator<unknown>;

/** Whether something is given in parts: not what is a value itself, as arrays, texts, maps are. */
export function isParts(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/**
 * Sends what an iterable gives by a flow, one part after the other as there is room, and ends it. Rejects with what the
 * iterable throws, and what cannot be encoded. Once the flow is given up, so is the iterable.
 */
export async function pour(parts: Parts, flow: SentFlow, sender: Sender, pump: () => void): Promise<void> {
  const source: Source = isParts(parts)
    ? parts[Symbol.asyncIterator]()
    : (parts as Iterable<unknown>)[Symbol.iterator]();
  let exhausted = false;
  flow.onGone = () => {
    exhausted = true;
    abandon(parts, source);
  };
  try {
    // The value before it, if there is one.
    if (flow.bytes !== null) await sent(flow);
    while (!flow.done) {
      const { done, value } = await source.next();
      if (done === true) {
        exhausted = true;
        break;
      }
      if (flow.done || (value instanceof Uint8Array && value.length === 0)) continue;
      flow.raw = value instanceof Uint8Array || value === undefined;
      flow.bytes = value instanceof Uint8Array ? value : sender.bytesOf(value);
      flow.at = 0;
      sender.stir(flow);
      pump();
      if (flow.bytes !== null) await sent(flow);
    }
  } finally {
    flow.onGone = null;
    if (!exhausted) abandon(parts, source);
  }
  if (flow.done) return;
  flow.ends = true;
  sender.stir(flow);
  pump();
}

function sent(flow: SentFlow): Promise<void> {
  return new Promise((resolve) => {
    flow.onSent = () => {
      flow.onSent = null;
      resolve();
    };
  });
}

function abandon(parts: Parts, source: Source): void {
  try {
    const returned = source.return?.() as Promise<unknown> | undefined;
    returned?.then?.(undefined, () => {});
    (parts as { destroy?: () => void }).destroy?.();
  } catch {
    // It has nobody to tell.
  }
}
