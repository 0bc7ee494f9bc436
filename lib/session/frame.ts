import { TcpshmError } from '../errors.js';
import type { Block } from '../memory/copy.js';
import { Checksum, type ChecksumState } from './checksum.js';

/**
 * A frame: what travels between two peers over a socket. Words of 32 bits, little-endian, which is the order of
 * every machine that Node.js runs on but one (s390x, which is told so by the swapped mark):
 *
 *     0     | "TS" u16 | protocol version u8 | kind u8 |
 *     4     | length: bytes of payload, a multiple of 8 |
 *     8     | position of the first payload byte in the sender's ring (data); without payload 0, or a heartbeat's word |
 *     12    | acknowledged: position up to which the sender has popped the other ring |
 *     16    | acknowledged sequence: how many messages those are, modulo 2^32 |
 *     20    | checksum of the header, this word taken as 0, and of the payload |
 *     24    | payload |
 */
export const FRAME_HEADER_BYTES = 24;
const HEADER_WORDS = FRAME_HEADER_BYTES >> 2;
const TAG = 0;
const LENGTH = 1;
const POSITION = 2;
const ACKNOWLEDGED = 3;
const ACKNOWLEDGED_SEQUENCE = 4;
const CHECKSUM = 5;

export const PROTOCOL_VERSION = 3;
const MARK = 0x5453;
const MARK_SWAPPED = 0x5354;
/** What the first two bytes of TLS are. */
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR = 3;

export const FrameKind = {
  hello: 1,
  welcome: 2,
  attach: 3,
  attached: 4,
  reject: 5,
  /** Ring bytes; without payload an acknowledgement or a heartbeat. */
  data: 6,
  /** The sender closes, for the reason in the payload. */
  goodbye: 7,
  /** The login of a client that shares a key with the server begins with these two. */
  claim: 8,
  challenge: 9,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];
const LAST_KIND = FrameKind.challenge;

/** Largest payload of any frame but data. */
export const MAX_CONTROL_BYTES = 16384;

/** Memory for one frame header, seen as words and bytes. */
export class FrameHeader implements Block {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly #checksum = new Checksum();

  constructor() {
    const buffer = new ArrayBuffer(FRAME_HEADER_BYTES);
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }

  /** Fills the header, all but the checksum. */
  fill(kind: FrameKind, length: number, position: number, acknowledged: number, sequence: number): void {
    const words = this.words;
    words[TAG] = (MARK << 16) | (PROTOCOL_VERSION << 8) | kind;
    words[LENGTH] = length;
    words[POSITION] = position;
    words[ACKNOWLEDGED] = acknowledged;
    words[ACKNOWLEDGED_SEQUENCE] = sequence | 0;
    words[CHECKSUM] = 0;
    this.#checksum.reset().update(words, 0, HEADER_WORDS);
  }

  /** Adds payload words to the checksum, in order. */
  cover(words: Int32Array, from: number, to: number): void {
    this.#checksum.update(words, from, to);
  }

  /** Completes the header: nothing of it or of the payload may change from here on. */
  seal(): void {
    this.words[CHECKSUM] = this.#checksum.digest();
  }
}

/** A whole frame of a kind with a small payload, as bytes. The payload is padded with zeroes. */
export function controlFrame(kind: FrameKind, payload: Uint8Array): Uint8Array {
  const length = (payload.length + 7) & -8;
  const frame = new Uint8Array(FRAME_HEADER_BYTES + length);
  frame.set(payload, FRAME_HEADER_BYTES);
  const header = new FrameHeader();
  header.fill(kind, length, 0, 0, 0);
  header.cover(new Int32Array(frame.buffer), HEADER_WORDS, frame.length >> 2);
  header.seal();
  frame.set(header.bytes);
  return frame;
}

/** Who takes the frames that arrive. Each method may throw a TcpshmError, which ends the link. */
export interface FrameSink {
  /** A data frame begins. */
  dataBegins(position: number, length: number): void;
  /** The next bytes of its payload: a multiple of 8. Not verified yet. */
  dataArrives(block: Block, start: number, length: number): void;
  /** It is whole and verified. */
  dataEnds(acknowledged: number, acknowledgedSequence: number): void;
  /** A whole, verified frame of another kind. The payload belongs to the callee. */
  control(kind: FrameKind, payload: Uint8Array): void;
}

/** The most that {@link FrameReader} leaves over for its next call. */
export const MAX_CARRY_BYTES = FRAME_HEADER_BYTES;

/** What a reader knows of a stream between two calls, as plain data: another one can go on with it. */
export interface ReaderState {
  /** What was left over. */
  readonly carry: Uint8Array;
  /** The frame that is arriving; null between frames. */
  readonly frame: ArrivingFrame | null;
}

/** A frame whose header has arrived, and not all of its payload. */
export interface ArrivingFrame {
  readonly kind: number;
  readonly length: number;
  readonly acknowledged: number;
  readonly acknowledgedSequence: number;
  /** The checksum that its header says, and that of what has arrived. */
  readonly expected: number;
  readonly checksum: ChecksumState;
  /** Bytes of its payload that are missing. */
  readonly missing: number;
  /** What has arrived of it, at its place, unless it is data. */
  readonly payload: Uint8Array | null;
}

/**
 * Cuts a stream of bytes, however split, into frames. Keeps no more than a piece of a header between calls, so
 * that ten thousand connections can share one receive buffer: the caller puts `carry` before what it receives.
 */
export class FrameReader {
  /** Who takes what comes next: may change while a control frame is handled, even in the middle of a block. */
  sink: FrameSink;
  readonly #checksum = new Checksum();
  /** The header of the frame that is arriving, once it is whole. */
  #kind: number = 0;
  #length = 0;
  #acknowledged = 0;
  #acknowledgedSequence = 0;
  #expected = 0;
  /** Bytes of its payload that are missing; -1 between frames. */
  #missing = -1;
  #payload: Uint8Array | null = null;
  readonly #carry = new Uint8Array(MAX_CARRY_BYTES);
  #carried = 0;

  /** With a state, goes on with the stream where another reader was. */
  constructor(sink: FrameSink, state: ReaderState | null = null) {
    this.sink = sink;
    if (state === null) return;
    this.#carry.set(state.carry);
    this.#carried = state.carry.length;
    const { frame } = state;
    if (frame === null) return;
    this.#kind = frame.kind;
    this.#length = frame.length;
    this.#acknowledged = frame.acknowledged;
    this.#acknowledgedSequence = frame.acknowledgedSequence;
    this.#expected = frame.expected;
    this.#checksum.resume(frame.checksum);
    this.#missing = frame.missing;
    this.#payload = frame.payload;
  }

  /** For another reader: this one must not take anything any more. */
  get state(): ReaderState {
    const carry = this.#carry.slice(0, this.#carried);
    if (this.#missing < 0) return { carry, frame: null };
    return {
      carry,
      frame: {
        kind: this.#kind,
        length: this.#length,
        acknowledged: this.#acknowledged,
        acknowledgedSequence: this.#acknowledgedSequence,
        expected: this.#expected,
        checksum: this.#checksum.state,
        missing: this.#missing,
        payload: this.#payload,
      },
    };
  }

  /** Copies what the last call left over to the start of a block, and returns its length. */
  restore(block: Block): number {
    const count = this.#carried;
    for (let i = 0; i < count; i++) block.bytes[i] = this.#carry[i] as number;
    return count;
  }

  /** Whether the stream may end here without having cut a frame. */
  get betweenFrames(): boolean {
    return this.#missing < 0 && this.#carried === 0;
  }

  /** Takes the first `end` bytes of a block: what `restore` put there and what came after. */
  consume(block: Block, end: number): void {
    let at = 0;
    for (;;) {
      if (this.#missing < 0) {
        if (end - at < FRAME_HEADER_BYTES) break;
        this.#begin(block.words, at >> 2);
        at += FRAME_HEADER_BYTES;
      }
      const length = Math.min(this.#missing, (end - at) & -8);
      if (length > 0) {
        this.#checksum.update(block.words, at >> 2, (at + length) >> 2);
        if (this.#payload === null) this.sink.dataArrives(block, at, length);
        else this.#payload.set(block.bytes.subarray(at, at + length), this.#payload.length - this.#missing);
        this.#missing -= length;
        at += length;
      }
      if (this.#missing !== 0) break;
      this.#end();
    }
    this.#carried = end - at;
    for (let i = 0; at < end; i++) this.#carry[i] = block.bytes[at++] as number;
  }

  #begin(words: Int32Array, at: number): void {
    const tag = words[at + TAG] as number;
    const length = (words[at + LENGTH] as number) >>> 0;
    checkTag(tag);
    this.#kind = tag & 0xff;
    this.#length = length;
    this.#acknowledged = words[at + ACKNOWLEDGED] as number;
    this.#acknowledgedSequence = words[at + ACKNOWLEDGED_SEQUENCE] as number;
    this.#expected = words[at + CHECKSUM] as number;
    words[at + CHECKSUM] = 0;
    this.#checksum.reset().update(words, at, at + HEADER_WORDS);
    this.#payload = null;
    if (length % 8 !== 0) {
      throw new TcpshmError('ERR_PROTOCOL', `a frame's length must be a multiple of 8, got ${length}`);
    }
    if (this.#kind === FrameKind.data) {
      this.sink.dataBegins(words[at + POSITION] as number, length);
    } else if (this.#kind < 1 || this.#kind > LAST_KIND) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `a frame's kind must be from 1 to ${LAST_KIND}, got ${this.#kind}`,
      );
    } else if (length > MAX_CONTROL_BYTES) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `a frame of kind ${this.#kind} must have at most ${MAX_CONTROL_BYTES} bytes, got ${length}`,
      );
    } else {
      this.#payload = new Uint8Array(length);
    }
    this.#missing = length;
  }

  #end(): void {
    const actual = this.#checksum.digest();
    if (actual !== this.#expected) {
      throw new TcpshmError(
        'ERR_PROTOCOL',
        `a frame of kind ${this.#kind} and ${this.#length} bytes has checksum ${actual >>> 0},` +
          ` its header says ${this.#expected >>> 0}: bytes were changed on the way`,
      );
    }
    this.#missing = -1;
    if (this.#payload === null) this.sink.dataEnds(this.#acknowledged, this.#acknowledgedSequence);
    else this.sink.control(this.#kind as FrameKind, this.#payload);
  }
}

function checkTag(tag: number): void {
  const mark = tag >>> 16;
  if (mark !== MARK) {
    const other = tag & 0xffff;
    if ((other & 0xff) === TLS_HANDSHAKE && other >>> 8 === TLS_MAJOR) {
      throw new TcpshmError('ERR_TLS', 'the peer speaks TLS, and this side does not here');
    }
    const text = new TextDecoder('latin1').decode(Uint8Array.of(tag, tag >> 8, tag >> 16, tag >> 24));
    throw new TcpshmError(
      'ERR_PROTOCOL',
      mark === MARK_SWAPPED || other === MARK_SWAPPED
        ? 'the peer sends words in the other byte order'
        : `expected a tcpshm peer, got other bytes: ${JSON.stringify(text)}`,
    );
  }
  const version = (tag >>> 8) & 0xff;
  if (version !== PROTOCOL_VERSION) {
    throw new TcpshmError(
      'ERR_PROTOCOL_VERSION',
      `this side speaks protocol version ${PROTOCOL_VERSION}, the peer ${version}`,
    );
  }
}
