import { isArrayBufferView } from 'node:util/types';
import { TcpshmError } from '../errors.js';

/** Throws ERR_CODEC for what would have to be moved itself. */
export function checkTransferable(transferList: readonly unknown[]): void {
  for (const one of transferList) {
    if (one instanceof ArrayBuffer || isArrayBufferView(one)) continue;
    const name = (one as object | null)?.constructor?.name ?? typeof one;
    throw new TcpshmError('ERR_CODEC', `a ${name} cannot be transferred: array buffers alone can`);
  }
}

/** After they were copied: their owner counts on it that they are gone. */
export function detachBuffers(transferList: readonly unknown[]): void {
  if (transferList.length === 0) return;
  const buffers = new Set<ArrayBuffer>();
  for (const one of transferList) {
    const buffer = isArrayBufferView(one) ? one.buffer : one;
    if (buffer instanceof ArrayBuffer) buffers.add(buffer);
  }
  structuredClone(null, { transfer: [...buffers] });
}
