import { TcpshmError } from '../errors.js';
import type { MappedFile } from '../memory/native.js';
import { distance, shown } from '../memory/wrap.js';
import { ALIGNMENT } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import { readCommit, readPublished } from '../ring/recovery.js';
import { checkIdentity, type Identity, readIdentity, Segment, SUPERBLOCK_BYTES } from '../session/segment.js';

/** The segment, if it is the one expected; null for a file whose creation was never finished. Throws ERR_SEGMENT. */
export function recognise(
  file: Pick<MappedFile, 'buffer' | 'path'>,
  expected: Partial<Identity>,
): Segment | null {
  const { buffer, path } = file;
  const identity = readIdentity(buffer, path);
  if (identity === null) {
    if (isZeroFrom(buffer, SUPERBLOCK_BYTES)) return null;
    throw new TcpshmError(
      'ERR_SEGMENT',
      `${path} is not a usable segment: expected zeroes behind a superblock that was never finished, got data`,
    );
  }
  checkIdentity(identity, expected, path);
  const segment = new Segment(buffer, identity);
  return identity.journal && segment.inode[0] === 0 ? null : segment;
}

/** The identity, if it can be read. */
export function identityOrNull(file: MappedFile): Identity | null {
  try {
    return readIdentity(file.buffer, file.path);
  } catch {
    return null;
  }
}

/** Throws ERR_SEGMENT unless both rings can be opened. The other side may be alive and at work in them. */
export function checkRings(segment: Segment, where: string): void {
  checkRing(segment.clientToServer, `${where}, ring client→server`);
  checkRing(segment.serverToClient, `${where}, ring server→client`);
}

function checkRing(ring: RingMemory, where: string): void {
  try {
    const { position } = readPublished(ring);
    const { reclaimed } = readCommit(ring);
    const used = distance(reclaimed, position);
    if (used <= ring.capacity - ALIGNMENT) return;
    throw new TcpshmError(
      'ERR_SEGMENT',
      `expected records of at most ${ring.capacity - ALIGNMENT} bytes, got ${used}, from position ${shown(reclaimed)}`,
    );
  } catch (cause) {
    throw new TcpshmError('ERR_SEGMENT', `${where}: ${(cause as Error).message}`, cause);
  }
}

function isZeroFrom(buffer: ArrayBuffer, start: number): boolean {
  const zeroes = Buffer.alloc(65536);
  for (let at = start; at < buffer.byteLength; at += zeroes.length) {
    const part = Buffer.from(buffer, at, Math.min(zeroes.length, buffer.byteLength - at));
    if (!part.equals(zeroes.subarray(0, part.length))) return false;
  }
  return true;
}
