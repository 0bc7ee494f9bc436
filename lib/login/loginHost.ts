import type { Connection } from '../connection/connection.js';
import type { TcpshmError } from '../errors.js';
import type { PeerCredentials } from '../memory/byteStream.js';
import type { Agreement, ServerTerms } from '../session/agreement.js';
import type { Hello, Reject, Transport } from '../session/loginMessages.js';
import type { SequenceNumbers } from '../session/state.js';
import type { TlsPeer } from '../wire/identity.js';
import type { KeyFinder } from './keys.js';

/** What a client says of itself, for `acceptLogin` to decide on. */
export interface Login {
  /** The client's name. */
  readonly name: string;
  readonly transport: Transport;
  /** Where it comes from: '127.0.0.1:80', a path, or a thread. */
  readonly address: string;
  /** What TLS knows of it, its certificate above all; null where it came without TLS. */
  readonly tls: TlsPeer | null;
  /** Of its process, where it came over a Unix socket with wire 'native'; null else. */
  readonly process: PeerCredentials | null;
  /** Which shared key it has proved to have; null where the address has none. */
  readonly keyId: string | null;
  /** Its user data. */
  readonly data: Uint8Array;
}

/** The decision: the group that polls the connection and user data for the client, or why not. */
export type LoginDecision =
  | { readonly group: number; readonly reply?: Uint8Array }
  | { readonly reject: string };

/** What the address asks of a client that came there. */
export interface Door {
  /** The keys of which it must have one; null where none is needed. */
  readonly keys: KeyFinder | null;
}

/** What a login needs of its server. */
export interface LoginHost {
  readonly terms: Omit<ServerTerms, 'overThreads'>;
  /** Asks the user, and checks the limits. Throws ERR_OPTION when his answer is not usable. */
  decide(login: Login): { readonly group: number; readonly reply: Uint8Array } | Reject;
  /** What must be known before the client can have a session; null where nothing must. */
  inquire(client: string, group: number): Inquiry | null;
  /** The client's session, found or begun. Throws ERR_ALREADY_CONNECTED while it is live, and what opening throws. */
  session(client: string, agreement: Agreement): Connection;
  /** The memory of a session between threads. */
  memoryOf(client: string): SharedArrayBuffer;
  /** The login is complete and its link is attached. */
  admit(connection: Connection, group: number): void;
  /** The positions of both sides cannot both be true. */
  mismatch(connection: Connection, numbers: SequenceNumbers): void;
  /** The client was told that it is not let in, for whatever reason. */
  refused(): void;
  /** The login failed for this error. */
  failed(error: TcpshmError): void;
}

/** A question to another thread: whether a client is still connected there. */
export interface Inquiry {
  readonly settled: boolean;
}

/** What was decided about a client, which has that place unless its login fails. */
export interface Seat {
  readonly hello: Hello;
  readonly agreement: Agreement;
  readonly group: number;
  readonly reply: Uint8Array;
}

/** A session that was offered to the client, until it says whether it attached. */
export interface Offer {
  readonly hello: Hello;
  readonly connection: Connection;
  readonly group: number;
  /** Of the user's protocol. */
  readonly protocolVersion: number;
}
