/** Who a process on this host is, as the kernel says. */
export interface PeerCredentials {
  /** By now it may be another process's, if that one has ended; 0 for one of a namespace that this one does not see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Moves the bytes from `start` to `start + length` of an array, and gives how many, as `send` and `receive` do. */
export type Transfer = (start: number, length: number) => number;

/**
 * A stream of bytes to and from one peer, never blocking. A native socket is one as it is; sockets and channels of
 * Node.js are adapted. Belongs to one thread. A broken stream throws from `send` or `receive`.
 */
export interface ByteStream {
  /**
   * Sends up to three ranges, in order, and returns how many bytes were taken: 0 when none are taken now. Never raises
   * SIGPIPE.
   */
  send(
    a: Uint8Array,
    aStart: number,
    aLength: number,
    b?: Uint8Array,
    bStart?: number,
    bLength?: number,
    c?: Uint8Array,
    cStart?: number,
    cLength?: number,
  ): number;
  /** Receives up to `length` bytes: their count, 0 when none wait, -1 at the end of the stream. */
  receive(into: Uint8Array, start: number, length: number): number;
  /**
   * Where it is there: `receive` into one array, for who does so again and again. Each call takes 60 ns less. The memory
   * of the array must not be resized.
   */
  receiver?(into: Uint8Array): Transfer;
  /** `send` of one range out of one array, in the same way. */
  sender?(from: Uint8Array): Transfer;
  /**
   * Whether silence is silence: what has arrived at this host was received. To be asked again, after polls that
   * received nothing, until it gives true. Without it `receive` tells all there is.
   */
  drained?(): boolean;
  /** Descriptor for an epoll, where it has one: -1 once closed. */
  readonly fd?: number;
  /** Where it has none: called when there is something to receive, or room again. */
  onStir?: (() => void) | null;
  /** For people: '127.0.0.1:80', '[::1]:80', a path ('' for a Unix socket without one), or which thread. */
  remoteAddress(): string;
  /**
   * The process that connected, or listens, at the other end of a Unix socket, as it was then; null for other sockets.
   * Without it, nothing can be known of that.
   */
  peerCredentials?(): PeerCredentials | null;
  /**
   * Gives up the descriptor for another thread to adopt, and returns it: of no use here any more. Only where the stream
   * is one of the system's, and holds nothing back of what has come.
   */
  release?(): number;
  close(): void;
}
