/** Why a connection ended, as `onDisconnect` gets it. The list is closed. */
export const DISCONNECT_REASONS = [
  'closed by peer', // it closed the connection, its client or its server
  'peer ended', // its thread or process ended without closing: the wire came to its end
  'timed out', // nothing came from it for the connection timeout
  'idle', // no message went over it for the idle timeout, only signs of life
  'too many heartbeats', // it has sent more of them than it may
  'network failed', // the socket reported an error
  'journal failed', // the disk did not take what must be safe before it is sent (durability 'disk'); the error says why
  'taken over', // this side is another process's by now, as this one was silent for its timeout: the connection is closed
  'memory lost', // its file is not what it was: another program has shortened it, say; the connection is closed
  'moved', // the server has moved the connection to another group: there it goes on, and the peer notices nothing
  'handler failed', // a handler in the thread of a group threw: the error says what; the client may log in again
  'protocol violated', // it sent what the protocol does not allow; the error says what
] as const;
/** One of {@link DISCONNECT_REASONS}. */
export type DisconnectReason = (typeof DISCONNECT_REASONS)[number];
