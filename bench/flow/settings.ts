/** What the messages go over: `tcp-net` is tcp with `wire: 'net'`, on both sides. */
export const CARRIERS = ['inproc', 'shm', 'tcp', 'tcp-net'] as const;
export type Carrier = (typeof CARRIERS)[number];

/** What the far side does with what comes: pops it and tells when the last has come, or sends it back. */
export type Duty = 'sink' | 'echo';

export interface FlowSettings {
  readonly carrier: Carrier;
  readonly duty: Duty;
  /** Payload of each message. */
  readonly bytes: number;
  /** Of the queue that they go through. */
  readonly capacityBytes: number;
  /** How many messages are published together. */
  readonly batch: number;
}

/** What the far side is told. */
export interface FarSettings extends FlowSettings {
  readonly cpu: number;
  readonly directory: string;
  readonly sharedDirectory: string;
}

/** Type of the last message of those that are to be answered. */
export const LAST = 2;
