import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { type Agreement, agree, type ServerTerms } from '../session/agreement.js';
import { FrameKind } from '../session/frame.js';
import {
  type Attach,
  decodeAttach,
  decodeHello,
  encodeReject,
  encodeWelcome,
  type Hello,
  type Reject,
  type Transport,
} from '../session/loginMessages.js';
import { canBothBeTrue, type SequenceNumbers } from '../session/state.js';
import { isMemoryMissing } from '../store/mapping.js';
import { peerPresence } from '../store/shared.js';
import { Conversation } from '../wire/conversation.js';
import type { TlsPeer } from '../wire/identity.js';
import { PresenceLink } from '../wire/presenceLink.js';
import { ThreadWire } from '../wire/threadWire.js';
import type { Wire } from '../wire/wire.js';

/** What a client says of itself, for `acceptLogin` to decide on. */
export interface Login {
  /** The client's name. */
  readonly name: string;
  readonly transport: Transport;
  /** Where it comes from: '127.0.0.1:80', a path, or a thread. */
  readonly address: string;
  /** What TLS knows of it, its certificate above all; null where it came without TLS. */
  readonly tls: TlsPeer | null;
  /** Its user data. */
  readonly data: Uint8Array;
}

/** The decision: the group that polls the connection and user data for the client, or why not. */
export type LoginDecision =
  | { readonly group: number; readonly reply?: Uint8Array }
  | { readonly reject: string };

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
}

/** The server's side of one login: from the first byte of a client to its attached connection. */
export class ServerLogin {
  readonly #host: LoginHost;
  readonly #wire: Wire;
  readonly #talk: Conversation;
  #seat: Seat | null = null;
  #inquiry: Inquiry | null = null;
  #offer: Offer | null = null;
  /** The connection of a login that is complete. */
  #attached: Connection | null = null;
  #over = false;

  constructor(wire: Wire, host: LoginHost) {
    this.#host = host;
    this.#wire = wire;
    this.#talk = new Conversation(wire, (kind, payload) => this.#handle(kind, payload));
  }

  /** What was decided about the client, until it is over. */
  get seat(): Seat | null {
    return this.#seat;
  }

  /** The session that the client was offered, until it is over. */
  get offer(): Offer | null {
    return this.#offer;
  }

  /** Takes what has come. False once it is over, one way or the other. */
  poll(): boolean {
    if (this.#over) return false;
    try {
      if (!this.#talk.poll()) this.#abandon();
      if (this.#seat !== null && this.#inquiry?.settled) this.#welcome(this.#seat);
    } catch (error) {
      // What is wrong behind the end of the login, with bytes that came along with it, is for the link to tell.
      if (this.#attached !== null && error instanceof TcpshmError) this.#attached.side.violate(error);
      else this.fail(error instanceof TcpshmError ? error : this.#broken(error));
    }
    return !this.#over;
  }

  /** Ends it for an error, which both sides are told. */
  fail(error: TcpshmError): void {
    if (this.#over) return;
    this.#refuse({ code: error.code, reason: error.message });
    this.#host.failed(error);
  }

  /** Ends it because the server does. */
  abandon(): void {
    if (!this.#over) this.#refuse({ code: 'ERR_CONNECT', reason: 'the server closes' });
  }

  #handle(kind: FrameKind, payload: Uint8Array): void {
    if (kind === FrameKind.hello && this.#seat === null) this.#onHello(decodeHello(payload));
    else if (kind === FrameKind.attach && this.#offer !== null)
      this.#onAttach(decodeAttach(payload), this.#offer);
    else {
      throw new TcpshmError('ERR_PROTOCOL', `expected ${this.#expected}, got a frame of kind ${kind}`);
    }
  }

  #onHello(hello: Hello): void {
    const agreement = agree(hello, { ...this.#host.terms, overThreads: this.#wire instanceof ThreadWire });
    if ('code' in agreement) {
      this.#refuse(agreement);
      return;
    }
    const decision = this.#host.decide({
      name: hello.client,
      transport: agreement.transport,
      address: this.#wire.remoteAddress(),
      tls: this.#wire.tlsPeer?.() ?? null,
      data: hello.login,
    });
    if (this.#over) return;
    if ('code' in decision) {
      this.#refuse(decision);
      return;
    }
    const seat = { hello, agreement, ...decision };
    this.#seat = seat;
    this.#inquiry = this.#host.inquire(hello.client, decision.group);
    if (this.#inquiry === null) this.#welcome(seat);
  }

  /** Offers the client its session. */
  #welcome({ hello, agreement, group, reply }: Seat): void {
    this.#inquiry = null;
    const connection = this.#session(hello, agreement);
    if (connection === null) {
      // Shared memory is not to be had: all is decided anew, over tcp.
      this.#seat = null;
      this.#onHello({ ...hello, transport: 'tcp' });
      return;
    }
    const { segment, where } = connection.side.ends.open;
    this.#offer = { hello, connection, group };
    if (this.#wire instanceof ThreadWire) this.#wire.share(this.#host.memoryOf(hello.client));
    this.#talk.say(
      FrameKind.welcome,
      encodeWelcome({
        server: this.#host.terms.name,
        transport: connection.transport,
        sessionId: segment.identity.sessionId,
        clientToServer: segment.identity.clientToServer,
        serverToClient: segment.identity.serverToClient,
        path: connection.transport === 'shm' ? where : '',
        state: connection.side.readState(),
        reply,
      }),
    );
  }

  /** The client's session; null where 'auto' cannot have shared memory. */
  #session(hello: Hello, agreement: Agreement): Connection | null {
    try {
      return this.#host.session(hello.client, agreement);
    } catch (error) {
      if (hello.transport === 'auto' && agreement.transport === 'shm' && isMemoryMissing(error)) return null;
      throw error;
    }
  }

  #onAttach(attach: Attach, offer: Offer): void {
    const { connection, hello } = offer;
    if (attach.outcome === 'cannot share memory') {
      this.#offer = null;
      this.#seat = null;
      connection.side.abandonLogin();
      return;
    }
    const local = connection.side.readState();
    const { clientToServer, serverToClient, sessionId } = connection.side.ends.open.segment.identity;
    if (
      attach.outcome === 'mismatch' ||
      attach.sessionId !== sessionId ||
      (connection.transport === 'tcp' && !canBothBeTrue(attach.state, local, clientToServer, serverToClient))
    ) {
      const numbers = { local, remote: attach.state };
      // The host is told of it first, and may want to remove the session.
      this.#offer = null;
      this.#refuse({
        code: 'ERR_SEQUENCE_MISMATCH',
        reason: 'the positions of both sides cannot both be true',
      });
      this.#host.mismatch(connection, numbers);
      return;
    }
    this.#talk.say(FrameKind.attached, new Uint8Array(0));
    if (!this.#talk.flushed) {
      throw new TcpshmError('ERR_PROTOCOL', 'the client does not read the replies to its login');
    }
    if (connection.transport === 'tcp')
      connection.side.attachReplicated(this.#talk, this.#host.terms, attach.state, hello.login);
    else if (connection.transport === 'shm')
      connection.side.attachShared(this.#talk, this.#host.terms, hello.login);
    else
      connection.side.attach(
        new PresenceLink(peerPresence(connection.side.ends.open.segment, 'server')),
        hello.login,
      );
    this.#over = true;
    this.#offer = null;
    this.#seat = null;
    this.#attached = connection;
    if (connection.transport === 'inproc') this.#wire.close();
    this.#host.admit(connection, offer.group);
  }

  #refuse(reject: Reject): void {
    try {
      this.#talk.say(FrameKind.reject, encodeReject(reject));
    } catch {
      // The client is gone: nobody to tell.
    }
    this.#abandon();
  }

  #abandon(): void {
    this.#over = true;
    this.#wire.close();
    this.#offer?.connection.side.abandonLogin();
    this.#offer = null;
    this.#seat = null;
  }

  /** What the client has to send. */
  get #expected(): string {
    if (this.#seat === null) return 'a login';
    return this.#offer === null ? 'nothing before the offer' : 'a reply to the offered session';
  }

  #broken(cause: unknown): TcpshmError {
    return new TcpshmError(
      'ERR_SYSTEM',
      `login from ${this.#wire.remoteAddress()}: ${(cause as Error).message}`,
      cause,
    );
  }
}
