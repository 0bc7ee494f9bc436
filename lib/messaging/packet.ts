/**
 * How messaging lies in messages of a ring: one packet in each. The type of the message says what it is, and a header of
 * whole 8 bytes is before the payload; README.md has the diagram. Nothing here is trusted: `read*` check the sizes.
 */
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import type { Method } from './call.js';
import { ReadNames } from './readNames.js';

export const PacketKind = { hello: 1, open: 2, data: 3, fail: 4, cancel: 5, credit: 6, raw: 7 } as const;

export const Flag = {
  /** Of a value: its first fragment, its last one. */
  first: 1,
  last: 2,
  /** Of the flow: nothing follows. */
  end: 4,
  /** The id is one of the receiver's requests. */
  answer: 8,
  deflated: 16,
  /** No answer is expected. */
  notice: 32,
  /** The answer may come in parts. */
  many: 64,
  /** Bytes of a stream, not of the codec. */
  bytes: 128,
} as const;

/** All of a value, and nothing else in the flow. */
export const WHOLE = Flag.first | Flag.last | Flag.end;

export const VERSION = 1;
export const HEADER_BYTES = 8;
/** Largest fragment, as it is before it is compressed. */
export const MAX_FRAGMENT_BYTES = 65_536;
/** What a fragment costs of the credits of its flow, beside its bytes. */
export const FRAGMENT_COST = 64;
/** What every peer takes: of a flow in bytes, and of requests at once. */
export const LEAST_WINDOW_BYTES = 131_072;
export const LEAST_REQUESTS = 64;

const HELLO_BYTES = 40;
/** In a hello, above its version. */
const BEGINS = 1 << 16;
const MAX_NAME_BYTES = 255;
/** In the header of an `open`, where the inflated size of a fragment that is compressed follows the name. */
const INFLATED_BYTES = 8;
export const MOST_HEADER_BYTES = HEADER_BYTES + 256 + INFLATED_BYTES;

export function typeOf(kind: number, flags: number): number {
  return (flags << 8) | kind;
}

/** A method as an `open` has it. */
export class MethodName {
  readonly number: number;
  /** Of the header with it, whose fragment is not compressed. */
  readonly headerBytes: number;
  readonly #text: string;
  /** The bytes of the name, filled up with zeroes: stored by words, as `set` costs more than a short name is worth. */
  readonly #words: Int32Array;
  readonly #length: number;

  /** Throws ERR_OPTION. */
  constructor(method: Method) {
    const bytes = Buffer.from(typeof method === 'string' ? method : '');
    const number = typeof method === 'number' ? method : 0;
    const good =
      typeof method === 'string'
        ? bytes.length > 0 && bytes.length <= MAX_NAME_BYTES
        : Number.isInteger(method) && method > 0 && method <= 0xffff;
    if (!good) {
      throw new TcpshmError(
        'ERR_OPTION',
        `a method is a name of 1 to ${MAX_NAME_BYTES} bytes or a number from 1 to 65535, got ${String(method)}`,
      );
    }
    this.number = number;
    this.#text = String(method);
    this.#length = bytes.length;
    const padded = Buffer.alloc(aligned(bytes.length));
    padded.set(bytes);
    this.#words = Int32Array.from({ length: padded.length >> 2 }, (_, i) => padded.readInt32LE(4 * i));
    this.headerBytes = HEADER_BYTES + padded.length;
  }

  toString(): string {
    return this.#text;
  }

  /** Writes the header of an `open` at the start of a message, whose fragment has so many bytes if it is compressed. */
  write(message: Message, id: number, level: number, inflatedBytes = 0): void {
    const { view, offset } = message;
    view.setUint32(offset, id, true);
    view.setUint32(offset + 4, (this.number | (this.#length << 16) | (level << 24)) >>> 0, true);
    const words = this.#words;
    for (let i = 0; i < words.length; i++) {
      view.setInt32(offset + HEADER_BYTES + 4 * i, words[i] as number, true);
    }
    if (inflatedBytes !== 0) {
      view.setUint32(offset + this.headerBytes, inflatedBytes, true);
      view.setUint32(offset + this.headerBytes + 4, 0, true);
    }
  }
}

/** Bytes of the header of an `open`. */
export function openHeaderBytes(name: MethodName, deflated: boolean): number {
  return deflated ? name.headerBytes + INFLATED_BYTES : name.headerBytes;
}

/** Writes the header of all else. */
export function writeHeader(message: Message, id: number, word: number): void {
  const { view, offset } = message;
  view.setUint32(offset, id, true);
  view.setUint32(offset + 4, word, true);
}

/** What a message has in front of its payload, read. One for each reader, used again for each message. */
export class PacketHeader {
  kind = 0;
  flags = 0;
  id = 0;
  /** Of a `credit`: bytes. Of a fragment that is compressed: its bytes before. */
  word = 0;
  method: Method = 0;
  /** Of an `open`: its priority, 0 to 2. */
  level = 1;
  headerBytes = 0;
  readonly #names = new ReadNames();

  /** What is wrong with it, or null. */
  read(message: Message): string | null {
    const { type, size, view, offset } = message;
    this.kind = type & 0xff;
    this.flags = type >>> 8;
    if (size < HEADER_BYTES) return `${size} bytes, less than a header`;
    this.id = view.getUint32(offset, true);
    this.word = view.getUint32(offset + 4, true);
    this.headerBytes = HEADER_BYTES;
    if (this.kind === PacketKind.open) return this.#readMethod(message);
    if (this.kind < PacketKind.hello || this.kind > PacketKind.raw) return `the unknown kind ${this.kind}`;
    return null;
  }

  #readMethod(message: Message): string | null {
    const length = (this.word >>> 16) & 0xff;
    this.headerBytes = HEADER_BYTES + aligned(length);
    this.level = Math.min(this.word >>> 24, 2);
    const inflated = (this.flags & Flag.deflated) === 0 ? 0 : INFLATED_BYTES;
    if (message.size < this.headerBytes + inflated) return `a method of ${length} bytes beyond its end`;
    this.method = length === 0 ? this.word & 0xffff : this.#names.read(message, HEADER_BYTES, length);
    if (inflated !== 0) this.word = message.getUint32(this.headerBytes);
    this.headerBytes += inflated;
    return null;
  }
}

/** What a messenger says of itself before all else. */
export interface Hello {
  /** Random: which messenger it is, of those that the ring has seen. */
  readonly incarnation: number;
  /** Whether this is its first packet: what was before it in the ring is of another incarnation. */
  readonly begins: boolean;
  /** Messages of the ring that were popped before it began. */
  readonly popped: number;
  /** What a flow may send to it without more credit. */
  readonly windowBytes: number;
  /** Requests that it takes at once. */
  readonly requests: number;
  /** The incarnation of the peer as it knows it; 0 while it knows none. */
  readonly answering: number;
  /** How it can inflate fragments; empty if not at all. */
  readonly compression: string;
}

export function helloBytes(hello: Hello): number {
  return HELLO_BYTES + Buffer.byteLength(hello.compression);
}

/** Into a message of `helloBytes`. */
export function writeHello(message: Message, hello: Hello): void {
  message.setUint32(0, hello.incarnation);
  message.setUint32(4, VERSION | (hello.begins ? BEGINS : 0));
  message.setFloat64(8, hello.popped);
  message.setUint32(16, hello.windowBytes);
  message.setUint32(20, hello.requests);
  message.setUint32(24, hello.answering);
  message.setUint32(28, 0);
  message.setFloat64(32, 0);
  message.setText(hello.compression, HELLO_BYTES);
}

/** The hello of a message, or what is wrong with it. */
export function readHello(message: Message): Hello | string {
  if (message.size < HELLO_BYTES) return `a hello of ${message.size} bytes, not of ${HELLO_BYTES} or more`;
  const version = message.getUint16(4);
  if (version !== VERSION) return `version ${version} of messaging, not ${VERSION}`;
  const hello = {
    incarnation: message.getUint32(0),
    begins: (message.getUint32(4) & BEGINS) !== 0,
    popped: message.getFloat64(8),
    windowBytes: message.getUint32(16),
    requests: message.getUint32(20),
    answering: message.getUint32(24),
    compression: message.text(HELLO_BYTES),
  };
  const { incarnation, popped, windowBytes, requests } = hello;
  const good =
    incarnation !== 0 &&
    Number.isSafeInteger(popped) &&
    popped >= 0 &&
    windowBytes >= LEAST_WINDOW_BYTES &&
    requests >= LEAST_REQUESTS;
  return good ? hello : `a hello that cannot be: ${JSON.stringify(hello)}`;
}

function aligned(length: number): number {
  return (length + 7) & ~7;
}
