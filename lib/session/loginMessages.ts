/**
 * The messages of a login and the refusal, as bytes: four, after two more where both sides share a key (`seal.ts`). All
 * that arrives is untrusted: each field is bounded when it is read, and a field that is not as it must be is an
 * ERR_PROTOCOL that names it.
 */
import { ERROR_CODES, type ErrorCode, TcpshmError } from '../errors.js';
import { isCapacity } from '../ring/memory.js';
import { isName } from './names.js';
import { MAX_PROTOCOL_BYTES, type ProtocolRange } from './protocol.js';
import type { Capacities } from './segment.js';
import type { Point, SideState } from './state.js';

/** What lies between two peers. */
export const TRANSPORTS = ['inproc', 'shm', 'tcp'] as const;
/** What lies between two peers: memory of this process, a file in /dev/shm that both map, or a socket. */
export type Transport = (typeof TRANSPORTS)[number];
const WANTED = ['auto', ...TRANSPORTS] as const;
export type WantedTransport = (typeof WANTED)[number];

/** Longest user data in a login or its reply, in bytes. */
export const MAX_LOGIN_BYTES = 4096;
const MAX_PATH_BYTES = 4096;
const MAX_REASON_BYTES = 1024;
/** Longest name of a codec with its version, in bytes. */
export const MAX_CODEC_BYTES = 128;

/** Client to server: who I am and what I want. */
export interface Hello {
  readonly client: string;
  /** The only server that will do; empty for any. */
  readonly server: string;
  readonly transport: WantedTransport;
  /** Id of the boot of the client's kernel: equal ones may share memory. Empty without the native module. */
  readonly bootId: string;
  /** Capacities in bytes that the client wants: 0 for the server's. */
  readonly clientToServer: number;
  readonly serverToClient: number;
  /** The same, if 'auto' becomes tcp. */
  readonly overTcp: Capacities;
  readonly heartbeatIntervalMs: number;
  readonly connectionTimeoutMs: number;
  /** How the client writes its messages, 'name@version'; empty where it does not say. */
  readonly codec: string;
  /** What the user's programs speak, in which versions; no name where it does not say. */
  readonly protocol: ProtocolRange;
  readonly login: Uint8Array;
}

/** Server to client: accepted, and this is the session as I have it. */
export interface Welcome {
  readonly server: string;
  readonly transport: Transport;
  readonly sessionId: string;
  readonly clientToServer: number;
  readonly serverToClient: number;
  /** Of the segment that the server made for shm; empty else. */
  readonly path: string;
  readonly state: SideState;
  /** The version of the user's protocol that is spoken from here on; 0 where a side said nothing. */
  readonly protocolVersion: number;
  readonly reply: Uint8Array;
}

/** Client to server: I have the session too, and this is how I have it. */
export interface Attach {
  readonly outcome: 'attached' | 'mismatch' | 'cannot share memory';
  readonly sessionId: string;
  readonly state: SideState;
}
const OUTCOMES = ['attached', 'mismatch', 'cannot share memory'] as const;

/** Either side: no, and why. */
export interface Reject {
  readonly code: ErrorCode;
  readonly reason: string;
  /** Whether the client has done nothing wrong. Not sent. */
  readonly blameless?: boolean;
}

/** Client to server: I have the key of this id, as you will see by the seals. */
export interface Claim {
  readonly keyId: string;
  readonly nonce: Uint8Array;
}

/** Server to client: go on. */
export interface Challenge {
  readonly nonce: Uint8Array;
}

/** Random bytes that make a login another one than all before. */
export const NONCE_BYTES = 32;

export function encodeClaim(claim: Claim): Uint8Array {
  return new Writer().text(claim.keyId).blob(claim.nonce).finish();
}

export function decodeClaim(bytes: Uint8Array): Claim {
  const reader = new Reader(bytes, 'claim');
  return reader.end({ keyId: reader.name('id of a key'), nonce: reader.nonce() });
}

export function encodeChallenge(challenge: Challenge): Uint8Array {
  return new Writer().blob(challenge.nonce).finish();
}

export function decodeChallenge(bytes: Uint8Array): Challenge {
  const reader = new Reader(bytes, 'challenge');
  return reader.end({ nonce: reader.nonce() });
}

export function encodeHello(hello: Hello): Uint8Array {
  return new Writer()
    .text(hello.client)
    .text(hello.server)
    .u32(WANTED.indexOf(hello.transport))
    .text(hello.bootId)
    .u32(hello.clientToServer)
    .u32(hello.serverToClient)
    .u32(hello.overTcp.clientToServer)
    .u32(hello.overTcp.serverToClient)
    .f64(hello.heartbeatIntervalMs)
    .f64(hello.connectionTimeoutMs)
    .text(hello.codec)
    .text(hello.protocol.name)
    .u32(hello.protocol.oldest)
    .u32(hello.protocol.newest)
    .blob(hello.login)
    .finish();
}

export function decodeHello(bytes: Uint8Array): Hello {
  const reader = new Reader(bytes, 'login');
  return reader.end({
    client: reader.name('client name'),
    server: reader.text('server name', 63),
    transport: reader.choice('transport', WANTED),
    bootId: reader.text('boot id', 36),
    clientToServer: reader.capacity('capacity from client to server', 'or 0'),
    serverToClient: reader.capacity('capacity from server to client', 'or 0'),
    overTcp: {
      clientToServer: reader.capacity('capacity from client to server over tcp', 'or 0'),
      serverToClient: reader.capacity('capacity from server to client over tcp', 'or 0'),
    },
    heartbeatIntervalMs: reader.f64('heartbeat interval'),
    connectionTimeoutMs: reader.f64('connection timeout'),
    codec: reader.text('codec', MAX_CODEC_BYTES),
    protocol: reader.protocol(),
    login: reader.blob('user data', MAX_LOGIN_BYTES),
  });
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  return new Writer()
    .text(welcome.server)
    .u32(WANTED.indexOf(welcome.transport))
    .text(welcome.sessionId)
    .u32(welcome.clientToServer)
    .u32(welcome.serverToClient)
    .text(welcome.path)
    .state(welcome.state)
    .u32(welcome.protocolVersion)
    .blob(welcome.reply)
    .finish();
}

export function decodeWelcome(bytes: Uint8Array): Welcome {
  const reader = new Reader(bytes, 'login reply');
  return reader.end({
    server: reader.name('server name'),
    transport: reader.choice('transport', ['inproc', 'shm', 'tcp'] as const, 1),
    sessionId: reader.sessionId(),
    clientToServer: reader.capacity('capacity from client to server'),
    serverToClient: reader.capacity('capacity from server to client'),
    path: reader.text('path', MAX_PATH_BYTES),
    state: reader.state(),
    protocolVersion: reader.u32(),
    reply: reader.blob('user data', MAX_LOGIN_BYTES),
  });
}

export function encodeAttach(attach: Attach): Uint8Array {
  return new Writer()
    .u32(OUTCOMES.indexOf(attach.outcome))
    .text(attach.sessionId)
    .state(attach.state)
    .finish();
}

export function decodeAttach(bytes: Uint8Array): Attach {
  const reader = new Reader(bytes, 'attachment');
  return reader.end({
    outcome: reader.choice('outcome', OUTCOMES),
    sessionId: reader.sessionId(),
    state: reader.state(),
  });
}

export function encodeReject(reject: Reject): Uint8Array {
  return new Writer().text(reject.code).text(cut(reject.reason, MAX_REASON_BYTES)).finish();
}

export function decodeReject(bytes: Uint8Array): Reject {
  const reader = new Reader(bytes, 'rejection');
  const code = reader.text('code', 64);
  const reason = reader.text('reason', MAX_REASON_BYTES);
  return reader.end({ code: ERROR_CODES.find((known) => known === code) ?? 'ERR_LOGIN_REJECTED', reason });
}

/** The start of a text that takes at most so many bytes. */
function cut(text: string, lengthBytes: number): string {
  // A stream may go on, so a character that was cut is not an error to be replaced.
  return new TextDecoder().decode(Buffer.from(text).subarray(0, lengthBytes), { stream: true });
}

/** Appends fields: numbers little-endian, texts and blobs after their length. */
class Writer {
  readonly #parts: Buffer[] = [];

  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value >>> 0);
    this.#parts.push(part);
    return this;
  }

  f64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeDoubleLE(value);
    this.#parts.push(part);
    return this;
  }

  blob(bytes: Uint8Array): this {
    this.u32(bytes.length);
    this.#parts.push(Buffer.from(bytes));
    return this;
  }

  text(text: string): this {
    return this.blob(Buffer.from(text, 'utf8'));
  }

  state(state: SideState): this {
    for (const point of [state.acknowledged, state.pushed, state.popped, state.received]) {
      this.u32(point.position).f64(point.sequence);
    }
    return this;
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** Replaces nothing and drops nothing. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Reader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take('a number', 4));
  }

  capacity(field: string, orZero?: 'or 0'): number {
    const capacity = this.u32();
    if (!(capacity === 0 && orZero === 'or 0') && !isCapacity(capacity)) {
      throw this.#bad(field, 'a power of two within the limits', String(capacity));
    }
    return capacity;
  }

  f64(field: string): number {
    const value = this.#bytes.readDoubleLE(this.#take(field, 8));
    if (!Number.isFinite(value) || value < 0) throw this.#bad(field, 'a finite number from 0', String(value));
    return value;
  }

  blob(field: string, limit: number): Uint8Array {
    const length = this.u32();
    if (length > limit) throw this.#bad(field, `at most ${limit} bytes`, String(length));
    const start = this.#take(field, length);
    return Uint8Array.prototype.slice.call(this.#bytes, start, start + length);
  }

  text(field: string, limit: number): string {
    const bytes = this.blob(field, limit);
    try {
      return UTF8.decode(bytes);
    } catch {
      throw this.#bad(field, 'text in UTF-8', JSON.stringify(Buffer.from(bytes).toString('latin1')));
    }
  }

  name(field: string): string {
    const name = this.text(field, 63);
    if (!isName(name)) throw this.#bad(field, 'a valid name', JSON.stringify(name));
    return name;
  }

  sessionId(): string {
    const id = this.text('session id', 16);
    if (!/^[0-9a-f]{16}$/.test(id))
      throw this.#bad('session id', '16 hexadecimal digits', JSON.stringify(id));
    return id;
  }

  nonce(): Uint8Array {
    const nonce = this.blob('nonce', NONCE_BYTES);
    if (nonce.length !== NONCE_BYTES) throw this.#bad('nonce', `${NONCE_BYTES} bytes`, String(nonce.length));
    return nonce;
  }

  choice<const T extends readonly string[]>(field: string, values: T, first = 0): T[number] {
    const index = this.u32();
    const value = values[index - first];
    if (value === undefined) throw this.#bad(field, `one of ${values.join(', ')}`, `number ${index}`);
    return value;
  }

  protocol(): ProtocolRange {
    const name = this.text('name of the protocol', MAX_PROTOCOL_BYTES);
    const oldest = this.u32();
    const newest = this.u32();
    if (oldest > newest || (name === '' ? newest !== 0 : oldest === 0)) {
      throw this.#bad(
        'versions of the protocol',
        'a range from 1, or none without a name',
        `${oldest} to ${newest}`,
      );
    }
    return { name, oldest, newest };
  }

  state(): SideState {
    const acknowledged = this.#point();
    const pushed = this.#point();
    const popped = this.#point();
    return { acknowledged, pushed, popped, received: this.#point() };
  }

  /** Only the padding of the frame may follow. */
  end<T>(message: T): T {
    const rest = this.#bytes.length - this.#at;
    if (rest >= 8) throw this.#bad('end', 'at most 7 bytes of padding', `${rest} bytes`);
    return message;
  }

  #point(): Point {
    const position = this.u32();
    const sequence = this.f64('sequence');
    if (!Number.isSafeInteger(sequence)) throw this.#bad('sequence', 'a whole number', String(sequence));
    return { position, sequence };
  }

  #take(field: string, length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) {
      throw this.#bad(field, `${length} more bytes`, String(this.#bytes.length - start));
    }
    this.#at += length;
    return start;
  }

  #bad(field: string, expected: string, got: string): TcpshmError {
    return new TcpshmError(
      'ERR_PROTOCOL',
      `${this.#what} is not valid: expected ${field} to be ${expected}, got ${got}`,
    );
  }
}
