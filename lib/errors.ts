/** Every code that an error of this library can carry. The list is closed: a new failure gets a new code. */
export const ERROR_CODES = [
  'ERR_ALREADY_CONNECTED', // the pair of names is live elsewhere: another process, thread, group or transport
  'ERR_ANSWER', // a request was answered with an error: that is the cause
  'ERR_AUTHENTICATION', // one side of a login did not prove that it has the shared key, or only one side wants that
  'ERR_BUSY', // a channel that is read in another way already, or a connection that has one
  'ERR_CAPACITY', // a ring capacity that is not a power of two within the limits
  'ERR_CLOSED', // a call on something that was closed
  'ERR_CODEC', // a value that a codec cannot carry, or bytes that are not what it writes
  'ERR_CONNECT', // the address could not be reached: nobody listens, unknown host, unreachable network
  'ERR_FENCED', // another process has taken over this side of the session, as this one was silent for its timeout
  'ERR_FILE', // a file or folder could not be created, opened or locked as required
  'ERR_GROUP_FULL', // a connection cannot be moved to a group that has as many as it may have
  'ERR_HANDLER', // a handler in the thread of a group threw: what it threw is the cause
  'ERR_INSECURE', // whoever reaches the address could log in, and nothing says that this is meant
  'ERR_LIMIT', // more than one side takes of the other: requests at once, bytes of a value or of what was not asked for
  'ERR_LISTEN', // the address could not be bound: in use, not permitted, not of this host
  'ERR_LOGIN_REJECTED', // the server said no, with its reason
  'ERR_LOGIN_TIMEOUT', // the login did not complete in time
  'ERR_MESSAGE_TYPE', // a message type outside 1 to 65535
  'ERR_METHOD', // the peer has no handler for such requests, or one of another kind
  'ERR_NAME', // a peer name that is not allowed
  'ERR_NATIVE_MISSING', // the native module could not be loaded, and what was asked for needs it
  'ERR_NOT_CONNECTED', // a connection cannot be moved: there is none of that name, or it ended meanwhile
  'ERR_NOT_SENT', // a request of which no byte has left: it has not run, and may be made anywhere
  'ERR_NO_MESSAGE', // push without alloc, pop without a message
  'ERR_NO_SPACE', // the file system has no room for what must be reserved up front
  'ERR_OPTION', // an option of the wrong type or range
  'ERR_PROTOCOL', // the peer sent what the protocol does not allow
  'ERR_PROTOCOL_VERSION', // the peer speaks another version of the protocol
  'ERR_QUEUE_FULL', // a pool has as many tasks waiting as it may have
  'ERR_SEGMENT', // a segment or session file that is not what it must be
  'ERR_SEQUENCE_MISMATCH', // the positions of both sides cannot both be true
  'ERR_SYSTEM', // a system call failed in a way that nothing above describes
  'ERR_TIMEOUT', // a request was not answered in time, or a handler had no answer in time
  'ERR_TLS', // no TLS with the peer: a certificate that is not accepted, or one side that does not speak it
  'ERR_UNANSWERED', // a request of which some has left: it may have run, and no answer will come
  'ERR_WORKER', // a thread, of a group or pool, could not be started, or has ended by itself: the cause says why
] as const;

/** The `code` of a {@link TcpshmError}: one of {@link ERROR_CODES}, whose source says what each means. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * The one error class of this library. `code` is of a closed list, the message says what was expected and what
 * came, and `cause` keeps the underlying error (of a system call, say) where there is one.
 *
 * A message size beyond the limit of a ring is a plain `RangeError`, like an index beyond the size of a message.
 */
export class TcpshmError extends Error {
  override readonly name = 'TcpshmError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
