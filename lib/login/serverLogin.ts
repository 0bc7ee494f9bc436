import { randomBytes } from 'node:crypto';
import type { Connection } from '../connection/connection.js';
import { Topic } from '../diagnostics/channels.js';
import { type ErrorCode, TcpshmError } from '../errors.js';
import { type Agreement, agree } from '../session/agreement.js';
import { FrameKind } from '../session/frame.js';
import {
  type Attach,
  decodeAttach,
  decodeClaim,
  decodeHello,
  encodeChallenge,
  encodeReject,
  encodeWelcome,
  type Hello,
  NONCE_BYTES,
  type Reject,
} from '../session/loginMessages.js';
import { Seal } from '../session/seal.js';
import { canBothBeTrue } from '../session/state.js';
import { isMemoryMissing } from '../store/mapping.js';
import { peerPresence } from '../store/shared.js';
import { shownAddress } from '../wire/address.js';
import { Conversation } from '../wire/conversation.js';
import { PresenceLink } from '../wire/presenceLink.js';
import { ThreadWire } from '../wire/threadWire.js';
import type { Wire } from '../wire/wire.js';
import type { Door, Inquiry, LoginHost, Offer, Seat } from './loginHost.js';

const REFUSED = new Topic('tcpshm:login-refused');

/** What no honest client runs into, or not often. */
const OFFENCES: readonly ErrorCode[] = [
  'ERR_AUTHENTICATION',
  'ERR_PROTOCOL',
  'ERR_PROTOCOL_VERSION',
  'ERR_TLS',
];

/** The server's side of one login: from the first byte of a client to its attached connection. */
export class ServerLogin {
  readonly #host: LoginHost;
  readonly #door: Door;
  readonly #wire: Wire;
  /** Where the login is sealed: from the challenge on. */
  #seal: Seal | null = null;
  #keyId: string | null = null;
  readonly #talk: Conversation;
  #seat: Seat | null = null;
  #inquiry: Inquiry | null = null;
  #offer: Offer | null = null;
  /** The connection of a login that is complete. */
  #attached: Connection | null = null;
  /** Whether the client cannot share memory, although it wanted to. */
  #unshared = false;
  #over = false;
  /** The client, once it has said its name. */
  #client: string | null = null;
  #offence = false;

  constructor(wire: Wire, host: LoginHost, door: Door) {
    this.#host = host;
    this.#door = door;
    this.#wire = wire;
    this.#talk = new Conversation(wire, (kind, payload) => this.#handle(kind, payload));
  }

  /** Whether it has ended for what an honest client does not do. */
  get offence(): boolean {
    return this.#offence;
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
    const { code, message } = error;
    this.#offence = OFFENCES.includes(code);
    // Who tries keys: the operator is told where from.
    const told =
      code === 'ERR_AUTHENTICATION'
        ? new TcpshmError(code, `login from ${shownAddress(this.#wire)}: ${message}`)
        : error;
    this.#refuse({ code, reason: message });
    this.#host.failed(told);
  }

  /** Ends it before it has begun. */
  turnAway(reject: Reject): void {
    if (!this.#over) this.#refuse(reject);
  }

  /** Ends it because the server does. */
  abandon(): void {
    if (!this.#over) this.#refuse({ code: 'ERR_CONNECT', reason: 'the server closes' });
  }

  #handle(kind: FrameKind, payload: Uint8Array): void {
    if (this.#seal === null && this.#talksOfKeys(kind, payload)) return;
    const message = this.#seal?.open(kind, payload) ?? payload;
    if (kind === FrameKind.hello && this.#seat === null) this.#onHello(decodeHello(message));
    else if (kind === FrameKind.attach && this.#offer !== null)
      this.#onAttach(decodeAttach(message), this.#offer);
    else {
      throw new TcpshmError('ERR_PROTOCOL', `expected ${this.#expected}, got a frame of kind ${kind}`);
    }
  }

  /** Sends a message, with a seal where the login has them. */
  #speak(kind: FrameKind, message: Uint8Array): void {
    this.#talk.say(kind, this.#seal?.seal(kind, message) ?? message);
  }

  /** False for a message of a login that needs no key. */
  #talksOfKeys(kind: FrameKind, payload: Uint8Array): boolean {
    const { keys } = this.#door;
    if (keys === null) {
      if (kind !== FrameKind.claim) return false;
      throw new TcpshmError(
        'ERR_AUTHENTICATION',
        'the client has a key, and this address has none: listen with keys, or connect without one',
      );
    }
    if (kind !== FrameKind.claim) {
      throw new TcpshmError(
        'ERR_AUTHENTICATION',
        'this address wants the proof of a key, and the client has none: connect with key',
      );
    }
    const { keyId } = decodeClaim(payload);
    const seal = new Seal(keys(keyId), 'server', this.#wire.binding?.() ?? new Uint8Array(0));
    const challenge = encodeChallenge({ nonce: randomBytes(NONCE_BYTES) });
    seal.note('client', kind, payload);
    seal.note('server', FrameKind.challenge, challenge);
    this.#talk.say(FrameKind.challenge, challenge);
    this.#seal = seal;
    this.#keyId = keyId;
    return true;
  }

  #onHello(hello: Hello): void {
    this.#client = hello.client;
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
      process: this.#wire.peerCredentials?.() ?? null,
      keyId: this.#keyId,
      data: hello.login,
    });
    if (this.#over) return;
    if ('code' in decision) {
      this.#offence = decision.blameless !== true;
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
    this.#offer = { hello, connection, group, protocolVersion: agreement.protocolVersion };
    if (this.#wire instanceof ThreadWire) this.#wire.share(this.#host.memoryOf(hello.client));
    this.#speak(
      FrameKind.welcome,
      encodeWelcome({
        server: this.#host.terms.name,
        transport: connection.transport,
        sessionId: segment.identity.sessionId,
        clientToServer: segment.identity.clientToServer,
        serverToClient: segment.identity.serverToClient,
        path: connection.transport === 'shm' ? where : '',
        state: connection.side.readState(),
        protocolVersion: agreement.protocolVersion,
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
      // Once: each time a session is begun for it.
      if (hello.transport !== 'auto' || this.#unshared) {
        throw new TcpshmError(
          'ERR_PROTOCOL',
          'the client was offered memory as it wanted, and cannot share it',
        );
      }
      this.#unshared = true;
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
    this.#speak(FrameKind.attached, new Uint8Array(0));
    if (!this.#talk.flushed) {
      throw new TcpshmError('ERR_PROTOCOL', 'the client does not read the replies to its login');
    }
    connection.side.peer.protocolVersion = offer.protocolVersion;
    connection.side.peer.idleTimeoutMs = this.#host.terms.idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    if (connection.transport === 'tcp')
      connection.side.peer.attachReplicated(this.#talk, this.#host.terms, attach.state, hello.login);
    else if (connection.transport === 'shm')
      connection.side.peer.attachShared(this.#talk, this.#host.terms, hello.login);
    else
      connection.side.peer.attach(
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
    this.#host.refused();
    if (REFUSED.listened) {
      const { name: server } = this.#host.terms;
      REFUSED.tell({ server, client: this.#client, address: this.#wire.remoteAddress(), ...reject });
    }
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
