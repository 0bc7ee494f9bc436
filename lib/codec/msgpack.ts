import { addExtension, Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE } from 'msgpackr';
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import { type Codec, type MessageSink, notDecoded, notEncoded } from './codec.js';
import { asBase, needsBase, symbolIn, Unfaithful, unfaithful } from './faithful.js';

/** What {@link msgpack} carries beside plain trees of values. */
export interface MsgpackOptions {
  /**
   * Carries values that contain themselves, and keeps what is one object in two places one object. Costs about twice
   * the time. Default false: a cycle is an ERR_CODEC. What either way writes, the other one reads.
   */
  readonly cyclic?: boolean;
}

/**
 * MessagePack (msgpack.org): objects, arrays, strings, numbers, booleans, null and undefined; and as extensions Date,
 * Map, Set, RegExp, BigInt of any size, typed arrays, ArrayBuffer, DataView, Buffer, and errors with name, message and
 * cause alone.
 *
 * Instances of classes arrive as plain objects of their own enumerable properties, or as what their `toJSON` gives; those
 * derived from Map, Set, Error, Array or a typed array arrive as what they are derived from. What would arrive as something
 * else is an ERR_CODEC that names it and its place, and nothing is sent: functions, symbols, promises, WeakMap and the like,
 * SharedArrayBuffer and views of it, Float16Array, boxed primitives, ports and other event targets, objects of other realms
 * (`node:vm`), whatever else has a kind of its own (`Symbol.toStringTag`) and no `toJSON`; and what is nested too deeply for
 * the stack. Not noticed, as plain objects are written without a look at them: the number -0 arrives as 0, the key
 * `__proto__` as `__proto_`, an iterator as {}.
 *
 * Every message stands for itself, so that a peer that has just started reads what one before it did not. Values that
 * were decoded are copies, which the queue knows nothing of.
 *
 * Objects are maps with string keys, as all implementations read them. A Map is a map too, so a value that has one
 * is written in another way, in which objects are msgpackr's records: behind the byte 0xc1, that MessagePack never uses.
 *
 * Encoded and decoded in memory of its own, with one copy to or from the message. In place, an object of ten fields took
 * 1460 ns instead of 535 to encode and 8300 instead of 600 to decode: msgpackr wants 2 KiB to spare, which had to be
 * cleared again, and reads the strings of a small buffer faster. And what a peer can still write to is not parsed.
 */
export function msgpack<T = unknown>(options: MsgpackOptions = {}): Codec<T> {
  const { cyclic = false } = options;
  if (typeof cyclic !== 'boolean') {
    throw new TcpshmError('ERR_OPTION', `cyclic must be a boolean, got ${String(cyclic)}`);
  }
  return { name: 'msgpack', version: 1, encode: cyclic ? encodeCyclic : encode, decode: decode<T> };
}

/** The first byte of a message with records. */
const RECORDS_FOLLOW = 0xc1;
/** What larger messages are decoded in is not kept. */
const KEPT_BYTES = 65536;
/** Gives where the bytes are in msgpackr's own memory, which the next value may use again. */
const IN_PLACE = REUSE_BUFFER_MODE | RESET_BUFFER_MODE;

/** What msgpackr encodes in place: a whole buffer, of which these bytes count, or a view of them alone. */
interface Packed extends Buffer {
  readonly start?: number;
  readonly end?: number;
}

const COMMON = { moreTypes: true, copyBuffers: true };
const HAS_MAP = new TcpshmError('ERR_CODEC', 'a Map is written with records');

const plain = new Packr({
  ...COMMON,
  useRecords: false,
  variableMapSize: true,
  mapsAsObjects: true,
  structuredClone: false,
});
// The option is looked at whenever there is a Map.
Object.defineProperty(plain, 'mapAsEmptyObject', {
  get(): never {
    throw HAS_MAP;
  },
});
const records = new Packr({ ...COMMON, mapsAsObjects: false, structuredClone: false });
/** Reads what `records` writes too. */
const graphs = new Packr({ ...COMMON, mapsAsObjects: false, structuredClone: true });

/**
 * Whether it is this codec that encodes. msgpackr asks its extensions, which all who load it share, about each object that
 * is not a plain one, an array or a Map: so those cost nothing more, and for others the extension is not there.
 */
let encoding = false;

const derived = {
  [Symbol.hasInstance]: (object: object): boolean => encoding && needsBase(object),
};
// Without a type of its own: what it gives is written as what it is.
addExtension({ Class: derived, write: asBase } as unknown as Parameters<typeof addExtension>[0]);

let scratch = Buffer.allocUnsafeSlow(KEPT_BYTES);

function encode(sink: MessageSink, value: unknown): Message | null {
  let packed: Packed;
  const outer = encoding;
  encoding = true;
  try {
    packed = plain.encode(value, IN_PLACE);
  } catch (error) {
    if (error !== HAS_MAP) throw refused(value, error);
    return encodeRecords(sink, value, records);
  } finally {
    encoding = outer;
  }
  const { start = 0, end = packed.length } = packed;
  const message = sink.alloc(end - start);
  message?.setSlice(packed, start, end);
  return message;
}

function encodeCyclic(sink: MessageSink, value: unknown): Message | null {
  return encodeRecords(sink, value, graphs);
}

function encodeRecords(sink: MessageSink, value: unknown, packr: Packr): Message | null {
  let packed: Packed;
  const outer = encoding;
  encoding = true;
  try {
    packed = packr.encode(value, IN_PLACE);
  } catch (error) {
    throw refused(value, error);
  } finally {
    encoding = outer;
  }
  const { start = 0, end = packed.length } = packed;
  const message = sink.alloc(1 + end - start);
  if (message === null) return null;
  message.setUint8(0, RECORDS_FOLLOW);
  message.setSlice(packed, start, end, 1);
  return message;
}

function decode<T>(message: Message): T {
  const { size } = message;
  if (size > scratch.length) scratch = Buffer.allocUnsafeSlow(size);
  message.copyTo(scratch);
  try {
    if (size > 1 && scratch[0] === RECORDS_FOLLOW)
      return graphs.decode(scratch, { start: 1, end: size }) as T;
    return plain.decode(scratch, size) as T;
  } catch (error) {
    throw notDecoded('msgpack', message, error);
  } finally {
    if (scratch.length > KEPT_BYTES) scratch = Buffer.allocUnsafeSlow(KEPT_BYTES);
  }
}

/** What encoding a value threw. */
function refused(value: unknown, error: unknown): TcpshmError {
  if (error instanceof Unfaithful) return unfaithful('msgpack', value, error);
  const symbol = error instanceof Error && error.message === 'Unknown type: symbol';
  return (symbol ? symbolIn('msgpack', value) : null) ?? notEncoded('msgpack', error);
}
