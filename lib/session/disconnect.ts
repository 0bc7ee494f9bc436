/** Why a connection ended, as `onDisconnect` gets it. The list is closed. */
export const DISCONNECT_REASONS = [
  'closed by peer', // it closed the connection, its client or its server
  'peer ended', // its thread or process ended without closing: the wire came to its end
  'timed out', // nothing came from it for the connection timeout
  'network failed', // the socket reported an error
  'journal failed', // the disk did not take what must be safe before it is sent (durability 'disk'); the error says why
  'taken over', // this side is another process's by now, as this one was silent for its timeout: the connection is closed
  'protocol violated', // it sent what the protocol does not allow; the error says what
] as const;
export type DisconnectReason = (typeof DISCONNECT_REASONS)[number];
