/** The large messages, and the queues that they go through: a message is at most a quarter of its queue. */
export interface SizeSettings {
  readonly bytes: number;
  readonly capacityBytes: number;
  /** Messages that are timed together: some milliseconds. */
  readonly batch: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const SIZES = {
  '4KiB': { bytes: 4 * KIB, capacityBytes: MIB, batch: 4000 },
  '64KiB': { bytes: 64 * KIB, capacityBytes: MIB, batch: 400 },
  '1MiB': { bytes: MIB, capacityBytes: 4 * MIB, batch: 40 },
  '4MiB': { bytes: 4 * MIB, capacityBytes: 16 * MIB, batch: 10 },
} as const satisfies Record<string, SizeSettings>;
export type Size = keyof typeof SIZES;
