import type { Codec } from '../codec/codec.js';
import type { TcpshmError } from '../errors.js';
import { copyAll } from '../memory/copy.js';
import type { Scratch } from '../port/scratch.js';
import type { Message } from '../ring/message.js';
import type { Compression } from './compression.js';
import { refusal } from './failure.js';
import { IncomingFlow, type IncomingLimits } from './incoming.js';
import type { Incomplete } from './incomplete.js';
import { Flag, MAX_FRAGMENT_BYTES, type PacketHeader } from './packet.js';
import type { PartMemory } from './partMemory.js';

/** How fragments become values. */
export interface Reading extends IncomingLimits {
  readonly codec: Codec<unknown>;
  readonly compression: Compression | null;
  readonly scratch: Scratch;
  readonly incomplete: Incomplete;
}

/** Puts the values of one flow together from its fragments. */
export class Assembler {
  readonly flow: IncomingFlow;
  /** Of the value that `take` has completed. */
  value: unknown = undefined;
  complete = false;
  /** Where parts are copied to that are bytes, if their memory is used again. */
  memory: PartMemory | null = null;
  readonly #reading: Reading;
  readonly #fragments: Uint8Array[] = [];
  #kept = 0;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.flow = new IncomingFlow(reading);
  }

  /**
   * Takes a fragment, of which nothing is needed afterwards. Gives what is wrong with it: then the flow is of no use any
   * more.
   */
  take(header: PacketHeader, message: Message): TcpshmError | null {
    const { flags, headerBytes } = header;
    this.complete = false;
    const deflated = (flags & Flag.deflated) !== 0;
    const size = message.size - headerBytes;
    const refused = this.flow.accept(flags, deflated ? header.word : size);
    if (refused !== null) return refusal(refused.code, refused.message);
    const first = (flags & Flag.first) !== 0;
    const last = (flags & Flag.last) !== 0;
    if (!first && !this.flow.inValue && !last) return null;
    const raw = (flags & Flag.bytes) !== 0;
    if (raw && !(first && last)) return refusal('ERR_PROTOCOL', 'bytes of a stream that are no whole part');
    try {
      if (raw && size === 0) this.value = undefined;
      else if (first && last && !deflated && !raw)
        this.value = decodeInPlace(this.#reading.codec, header, message);
      else this.#gather(header, message, raw, last);
    } catch (error) {
      return error as TcpshmError;
    }
    this.complete = last;
    return null;
  }

  /** Forgets what there is of a value that is not whole: nobody waits for it. Again is harmless. */
  release(): void {
    this.#fragments.length = 0;
    this.#reading.incomplete.release(this.#kept);
    this.#kept = 0;
  }

  #gather(header: PacketHeader, message: Message, raw: boolean, last: boolean): void {
    const { codec, scratch } = this.#reading;
    const bytes = this.#bytesOf(header, message, raw ? this.memory : null);
    if (raw) {
      this.value = bytes;
      return;
    }
    this.#fragments.push(bytes);
    if (!last) {
      this.#keep(bytes.length);
      return;
    }
    try {
      this.value = scratch.decode(codec, this.#fragments);
    } finally {
      this.release();
    }
  }

  #keep(bytes: number): void {
    const { incomplete } = this.#reading;
    if (!incomplete.keep(bytes)) {
      throw refusal(
        'ERR_LIMIT',
        `more than ${incomplete.limit} bytes of values that are not whole yet, with those of others`,
      );
    }
    this.#kept += bytes;
  }

  /** A copy of a fragment, as it was before it was compressed; in `memory`, if that is there for it. */
  #bytesOf(
    { flags, headerBytes, word }: PacketHeader,
    message: Message,
    memory: PartMemory | null,
  ): Uint8Array {
    const bytes = message.bytes().subarray(headerBytes);
    if ((flags & Flag.deflated) === 0) {
      // A slice would be cleared before it is filled, which takes as long as all else.
      const copy = memory?.take(bytes.length) ?? Buffer.allocUnsafeSlow(bytes.length);
      copyAll(bytes, copy, 0);
      return copy;
    }
    const { compression } = this.#reading;
    if (compression === null)
      throw refusal('ERR_PROTOCOL', 'a fragment is compressed, and nothing was agreed on');
    if (word === 0 || word > MAX_FRAGMENT_BYTES)
      throw refusal('ERR_LIMIT', `a fragment that inflates to ${word} bytes`);
    let inflated: Uint8Array;
    try {
      // What the peer can still write to is not parsed.
      inflated = compression.inflate(Uint8Array.prototype.slice.call(bytes), word);
    } catch (error) {
      throw refusal('ERR_LIMIT', `a fragment does not inflate to ${word} bytes: ${(error as Error).message}`);
    }
    if (inflated.length !== word) {
      throw refusal('ERR_PROTOCOL', `a fragment inflates to ${inflated.length} bytes, not to ${word}`);
    }
    return inflated;
  }
}

/** The value of a fragment that is all of it. Throws ERR_CODEC. */
export function decodeInPlace(codec: Codec<unknown>, header: PacketHeader, message: Message): unknown {
  const { headerBytes } = header;
  return codec.decode(message.wrap(message.offset + headerBytes, message.size - headerBytes, message.type));
}
