import { native } from '../../lib/memory/native.js';
import { beginTenure, readTenure } from '../../lib/session/tenure.js';
import type { OpenSegment } from '../../lib/store/openSegment.js';

/** Makes the owner of a side look as if he had given his last sign of life so long ago. */
export function silence({ segment, role }: OpenSegment, forMs: number): void {
  const words = segment.tenure[role];
  const { processId, timeoutMs } = readTenure(words) as { processId: number; timeoutMs: number };
  beginTenure(words, processId, timeoutMs, native().monotonicMs() - forMs);
}
