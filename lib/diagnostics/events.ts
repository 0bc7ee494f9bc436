import type { TcpshmError } from '../errors.js';
import type { DisconnectReason } from '../session/disconnect.js';
import type { Transport } from '../session/loginMessages.js';
import type { Role } from '../session/names.js';

/** Whom an event is about: at run time the `Connection` itself. */
export interface Subject {
  readonly localName: string;
  readonly remoteName: string;
  readonly transport: Transport;
}

/** How a connection was closed: only 'closed', 'removed' and 'reset' were asked for by its user. */
export type Closing =
  | 'closed' // the session stays
  | 'removed' // the session went with it
  | 'reset' // the session was given up, to begin it anew
  | 'handed over' // it goes on in another thread of this process
  | 'taken over'; // the session is another process's by now

/**
 * What is published on channels of `node:diagnostics_channel`, by their names. A channel belongs to its thread, as
 * Node.js has it: what happens to the connections of a group's thread is published there, that the thread itself has
 * started or ended in the thread of the server. Subscribers are called at once, in the middle of what happens: they look
 * at it, and do nothing to it. What one throws becomes an uncaught exception of its process, and reaches nothing here.
 *
 * `C` is what connections are seen as: `DiagnosticEvents<Connection>`.
 */
export interface DiagnosticEvents<C extends Subject = Subject> {
  /** A client begins to connect: by `connect`, or with `attempt` by itself. `server` is empty where any will do. */
  readonly 'tcpshm:connecting': {
    readonly client: string;
    readonly server: string;
    readonly attempt: number | null;
  };
  /** That has failed. `error.code` says whether it was refused; nothing is left behind. */
  readonly 'tcpshm:connect-failed': {
    readonly client: string;
    readonly server: string;
    readonly attempt: number | null;
    readonly error: Error;
  };
  /**
   * A login is complete, on this side. `resumed` where the session was there before, and goes on. `moved` where there was
   * no login: the connection comes from another thread.
   */
  readonly 'tcpshm:connected': {
    readonly connection: C;
    readonly role: Role;
    readonly sessionId: string;
    readonly resumed: boolean;
    readonly moved: boolean;
  };
  /** What `onDisconnect` gets, whether there is one or not: published before it. The session stays. */
  readonly 'tcpshm:disconnected': {
    readonly connection: C;
    readonly reason: DisconnectReason;
    readonly error: TcpshmError | null;
  };
  /** A connection is of no use any more, but for its `stats`. */
  readonly 'tcpshm:closed': { readonly connection: C; readonly how: Closing };
  /** A server let a client not in. The name is null where it was not said before. */
  readonly 'tcpshm:login-refused': {
    readonly server: string;
    readonly client: string | null;
    readonly address: string;
    readonly code: string;
    readonly reason: string;
  };
  /** A session was begun, on one side, which the login may still undo. `where` is its file, or a kind of memory. */
  readonly 'tcpshm:session-begun': {
    readonly client: string;
    readonly server: string;
    readonly transport: Transport;
    readonly role: Role;
    readonly sessionId: string;
    readonly where: string;
  };
  /** `resetSession` was called. `aside` is where the file is kept, null where there is none. */
  readonly 'tcpshm:session-reset': { readonly connection: C; readonly aside: string | null };
  /** This process has taken the place of another one that was silent. `from` is its id, null where it is not known. */
  readonly 'tcpshm:session-taken-over': {
    readonly path: string;
    readonly role: Role;
    readonly from: number | null;
  };
  /** A session file was moved out of the way: because it is damaged, or its session was reset. */
  readonly 'tcpshm:session-set-aside': { readonly path: string; readonly aside: string };
  /** The thread of a group is up: for the first time, or in the place of one that has died. */
  readonly 'tcpshm:group-started': { readonly server: string; readonly group: number };
  /** It has ended by itself, and is replaced. */
  readonly 'tcpshm:group-died': {
    readonly server: string;
    readonly group: number;
    readonly error: TcpshmError;
  };
  /** A thread of a pool can be given tasks. `pool` is the RingPool. */
  readonly 'tcpshm:pool-thread-started': { readonly pool: object; readonly threadId: number };
  /** It has ended by itself, or could not be started (`wasUp` is false then). */
  readonly 'tcpshm:pool-thread-died': {
    readonly pool: object;
    readonly threadId: number;
    readonly wasUp: boolean;
    readonly error: TcpshmError;
  };
  /**
   * Tracing: a poll has handed out so many messages, of so many bytes of records, which were popped. Not what `front` and
   * `pop` take without a poll.
   */
  readonly 'tcpshm:delivered': { readonly connection: C; readonly messages: number; readonly bytes: number };
  /** Tracing: a socket has taken so many bytes, in so many frames (the last may be a part of one). */
  readonly 'tcpshm:sent': { readonly connection: C; readonly frames: number; readonly bytes: number };
  /** Tracing: a poll has read so many bytes from a socket. */
  readonly 'tcpshm:received': { readonly connection: C; readonly bytes: number };
}

/** A channel of `node:diagnostics_channel` that this library publishes on. */
export type DiagnosticName = keyof DiagnosticEvents;
