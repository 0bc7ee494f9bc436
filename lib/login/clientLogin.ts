import { randomBytes } from 'node:crypto';
import type { Connection } from '../connection/connection.js';
import { TcpshmError } from '../errors.js';
import { reconcile } from '../session/agreement.js';
import { FrameKind } from '../session/frame.js';
import type { LivenessOptions } from '../session/liveness.js';
import {
  decodeChallenge,
  decodeReject,
  decodeWelcome,
  encodeAttach,
  encodeClaim,
  encodeHello,
  type Hello,
  NONCE_BYTES,
  type Welcome,
} from '../session/loginMessages.js';
import { segmentFileName } from '../session/names.js';
import { showProtocol } from '../session/protocol.js';
import { Seal } from '../session/seal.js';
import { FRESH_STATE, isFresh, type SequenceNumbers, type SideState } from '../session/state.js';
import { openSegmentFile } from '../store/files.js';
import { isMemoryMissing } from '../store/mapping.js';
import type { OpenSegment } from '../store/openSegment.js';
import { openShared, peerPresence } from '../store/shared.js';
import { Conversation } from '../wire/conversation.js';
import { PresenceLink } from '../wire/presenceLink.js';
import { sharedMemoryOf } from '../wire/threadWire.js';
import type { Wire } from '../wire/wire.js';
import type { SharedKey } from './keys.js';

/** What a login needs of its client. */
export interface LoginGuest {
  readonly liveness: LivenessOptions;
  /** The connection of an earlier login to this server, if it was not closed. */
  known(welcome: Welcome): Connection | null;
  /** Makes a connection of a session. */
  connection(open: OpenSegment, welcome: Welcome): Connection;
  /** The session of a journal, if there is one. */
  find(welcome: Welcome): OpenSegment | null;
  begin(welcome: Welcome): OpenSegment;
  /** The positions of both sides cannot both be true. */
  mismatch(connection: Connection, numbers: SequenceNumbers): void;
}

/** The client's side of a login over a wire that is connected. */
export class ClientLogin {
  readonly #talk: Conversation;
  readonly #guest: LoginGuest;
  readonly #key: SharedKey | null;
  /** Where the login is sealed: from the claim on. */
  #seal: Seal | null = null;
  /** Whether the server has answered the claim: from then on all has seals. */
  #challenged = false;
  #hello: Hello;
  #connection: Connection | null = null;
  #welcome: Welcome | null = null;
  /** Whether the session was begun for this login. */
  #begun = false;
  #done = false;
  #greeted = false;

  /** With `key`, the server must have it too. */
  constructor(wire: Wire, hello: Hello, guest: LoginGuest, key: SharedKey | null = null) {
    this.#hello = hello;
    this.#key = key;
    this.#guest = guest;
    this.#talk = new Conversation(wire, (kind, payload) => this.#handle(kind, payload));
  }

  /** Says hello, and takes what has come: the connection once it is complete, else null. Throws why it failed. */
  poll(): Connection | null {
    try {
      if (!this.#greeted) {
        this.#greeted = true;
        if (this.#key === null) this.#speak(FrameKind.hello, encodeHello(this.#hello));
        else this.#claim(this.#key);
      }
      if (!this.#talk.poll() && !this.#done) {
        throw new TcpshmError('ERR_CONNECT', 'the server hung up during the login, without a reason');
      }
    } catch (error) {
      // What is wrong behind the end of the login, with bytes that came along with it, is for the link to tell.
      if (!this.#done || !(error instanceof TcpshmError)) throw error;
      this.#connection?.side.violate(error);
    }
    return this.#done ? this.#connection : null;
  }

  /** Ends a login that failed: nothing that it made stays. */
  abandon(): void {
    this.#talk.wire.close();
    this.#connection?.side.abandonLogin();
  }

  #handle(kind: FrameKind, payload: Uint8Array): void {
    if (kind === FrameKind.reject) {
      const { code, reason } = decodeReject(payload);
      // Now it is sure that the server has not taken up what this side has begun, if it was the server who said so.
      if (this.#begun && this.#seal === null) this.#connection?.close({ remove: true });
      throw new TcpshmError(code, `the server refused the login: ${reason}`);
    }
    if (this.#seal !== null && !this.#challenged) {
      this.#onChallenge(this.#seal, kind, payload);
      return;
    }
    const message = this.#seal?.open(kind, payload) ?? payload;
    if (kind === FrameKind.welcome && this.#welcome === null) this.#onWelcome(decodeWelcome(message));
    else if (kind === FrameKind.attached && this.#welcome !== null) this.#onAttached(this.#welcome);
    else throw new TcpshmError('ERR_PROTOCOL', `expected the reply to a login, got a frame of kind ${kind}`);
  }

  /** Sends a message, with a seal where the login has them. */
  #speak(kind: FrameKind, message: Uint8Array): void {
    this.#talk.say(kind, this.#seal?.seal(kind, message) ?? message);
  }

  #claim({ id: keyId, secret }: SharedKey): void {
    const claim = encodeClaim({ keyId, nonce: randomBytes(NONCE_BYTES) });
    this.#seal = new Seal(secret, 'client', this.#talk.wire.binding?.() ?? new Uint8Array(0));
    this.#seal.note('client', FrameKind.claim, claim);
    this.#talk.say(FrameKind.claim, claim);
  }

  #onChallenge(seal: Seal, kind: FrameKind, payload: Uint8Array): void {
    if (kind !== FrameKind.challenge) {
      throw new TcpshmError(
        'ERR_AUTHENTICATION',
        `expected the server to ask for a proof of the key, got a frame of kind ${kind}`,
      );
    }
    decodeChallenge(payload);
    seal.note('server', FrameKind.challenge, payload);
    this.#challenged = true;
    this.#speak(FrameKind.hello, encodeHello(this.#hello));
  }

  #onWelcome(welcome: Welcome): void {
    if (this.#hello.server !== '' && this.#hello.server !== welcome.server) {
      throw new TcpshmError(
        'ERR_LOGIN_REJECTED',
        `expected the server '${this.#hello.server}', got '${welcome.server}'`,
      );
    }
    const wanted = this.#hello.transport;
    if (wanted === 'auto' ? welcome.transport === 'inproc' : welcome.transport !== wanted) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `expected a session over ${wanted}, was offered one over ${welcome.transport}`,
      );
    }
    if (welcome.protocolVersion !== 0) {
      const { oldest, newest } = this.#hello.protocol;
      if (welcome.protocolVersion < oldest || welcome.protocolVersion > newest) {
        throw new TcpshmError(
          'ERR_PROTOCOL',
          `expected the server to choose a version of ${showProtocol(this.#hello.protocol)}, it chose ${welcome.protocolVersion}`,
        );
      }
    }
    this.#welcome = welcome;
    if (welcome.transport === 'tcp') this.#attachJournal(welcome);
    else this.#attachMemory(welcome);
  }

  #attachMemory(welcome: Welcome): void {
    const known = this.#guest.known(welcome);
    if (known !== null && known.side.mine.sessionId !== welcome.sessionId) {
      // The memory that this side has is no longer what the server has.
      if (!isFresh(known.side.mine.state)) throw this.#mismatch(known, welcome);
      known.close();
    }
    try {
      this.#connection =
        this.#guest.known(welcome) ?? this.#guest.connection(this.#openMemory(welcome), welcome);
    } catch (error) {
      if (this.#hello.transport !== 'auto' || !isMemoryMissing(error)) throw error;
      // The boot is the same but the memory is not to be had (another container, another user): over tcp then.
      this.#welcome = null;
      this.#say('cannot share memory', welcome, FRESH_STATE);
      this.#hello = { ...this.#hello, transport: 'tcp' };
      this.#speak(FrameKind.hello, encodeHello(this.#hello));
      return;
    }
    this.#say('attached', welcome, this.#connection.side.readState());
  }

  #openMemory(welcome: Welcome): OpenSegment {
    const expected = { client: this.#hello.client, server: welcome.server, sessionId: welcome.sessionId };
    if (welcome.transport === 'inproc')
      return openShared(sharedMemoryOf(this.#talk.wire), 'client', expected);
    checkSegmentPath(welcome.path, this.#hello.client, welcome.server);
    const timeoutMs = this.#guest.liveness.connectionTimeoutMs;
    const open = openSegmentFile(welcome.path, 'client', expected, { timeoutMs });
    if (open !== null) return open;
    throw new TcpshmError('ERR_FILE', `the server's segment ${welcome.path} is not on this host`);
  }

  #attachJournal(welcome: Welcome): void {
    const known = this.#guest.known(welcome);
    const found = known?.side.ends.open ?? this.#guest.find(welcome);
    this.#connection = known ?? (found === null ? null : this.#guest.connection(found, welcome));
    const mine = this.#connection?.side.mine ?? null;
    const decision = reconcile(mine, welcome);
    if (decision === 'mismatch') {
      this.#connection ??= this.#guest.connection(this.#guest.begin(welcome), welcome);
      throw this.#mismatch(this.#connection, welcome);
    }
    if (decision === 'begin') {
      this.#connection?.close({ remove: true });
      this.#connection = this.#guest.connection(this.#guest.begin(welcome), welcome);
      this.#begun = true;
    }
    const connection = this.#connection as Connection;
    connection.side.peer.keep();
    this.#say('attached', welcome, connection.side.readState());
  }

  /** Tells both sides that what they have of the session cannot both be true, and gives what to throw. */
  #mismatch(connection: Connection, welcome: Welcome): TcpshmError {
    const numbers = { local: connection.side.readState(), remote: welcome.state };
    this.#say('mismatch', welcome, numbers.local);
    this.#guest.mismatch(connection, numbers);
    return new TcpshmError(
      'ERR_SEQUENCE_MISMATCH',
      `the positions of '${this.#hello.client}' and '${welcome.server}' cannot both be true:` +
        ` ${JSON.stringify(numbers)}`,
    );
  }

  #say(outcome: 'attached' | 'mismatch' | 'cannot share memory', welcome: Welcome, state: SideState): void {
    const { sessionId } = welcome;
    this.#speak(FrameKind.attach, encodeAttach({ outcome, sessionId, state }));
  }

  #onAttached(welcome: Welcome): void {
    const connection = this.#connection as Connection;
    const { liveness } = this.#guest;
    connection.side.peer.protocolVersion = welcome.protocolVersion;
    connection.side.peer.idleTimeoutMs = liveness.idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    if (welcome.transport === 'tcp')
      connection.side.peer.attachReplicated(this.#talk, liveness, welcome.state, welcome.reply);
    else if (welcome.transport === 'shm')
      connection.side.peer.attachShared(this.#talk, liveness, welcome.reply);
    else {
      connection.side.peer.attach(
        new PresenceLink(peerPresence(connection.side.ends.open.segment, 'client')),
        welcome.reply,
      );
      this.#talk.wire.close();
    }
    this.#done = true;
  }
}

/**
 * Where the segment lies is the server's to say, but not which file that is: one that is no session of these two is not
 * opened, whatever else this user may write. Throws ERR_PROTOCOL.
 */
function checkSegmentPath(path: string, client: string, server: string): void {
  const expected = segmentFileName(client, server);
  if (path.slice(path.lastIndexOf('/') + 1) === expected && !path.includes('\0')) return;
  throw new TcpshmError(
    'ERR_PROTOCOL',
    `expected the server '${server}' to offer a segment named '${expected}', it offered ${JSON.stringify(path)},` +
      " which was not opened: connect with transport 'tcp', or to a server that is to be trusted",
  );
}
