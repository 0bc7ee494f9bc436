import { PacketKind } from './packet.js';

/**
 * What a messenger does: 'raw' exchanges bytes only, and the peer's requests wait in the ring; 'passive' answers the peer,
 * and its own requests wait; 'active' does all. It goes on from one to a later one, and not back.
 */
export const MESSENGER_STATES = ['raw', 'passive', 'active'] as const;
/** One of {@link MESSENGER_STATES}. */
export type MessengerState = (typeof MESSENGER_STATES)[number];

/** Whether a state comes after another one. */
export function isAfter(state: MessengerState, other: MessengerState): boolean {
  return MESSENGER_STATES.indexOf(state) > MESSENGER_STATES.indexOf(other);
}

/** Whether a message of the ring, by its type, is taken in the state 'raw'. */
export function isTakenRaw(type: number): boolean {
  const kind = type & 0xff;
  return kind === PacketKind.hello || kind === PacketKind.raw;
}
