/**
 * Arithmetic of positions. A position counts bytes since a ring began, modulo 2^32, kept as a signed 32-bit
 * integer: it only grows, and wraps. Two positions of one ring are never further apart than its capacity (2^30 at
 * the most), so the sign of their wrapped difference tells which is ahead.
 */

/** Bytes from `from` to `to`: negative when `to` is behind. */
export function distance(from: number, to: number): number {
  return (to - from) | 0;
}

export function advance(position: number, bytes: number): number {
  return (position + bytes) | 0;
}

/** Positions are shown to people as unsigned numbers. */
export function shown(position: number): number {
  return position >>> 0;
}
