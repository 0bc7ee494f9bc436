import { inspect } from 'node:util';
import { addExtension, Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE } from 'msgpackr';
import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import { type Codec, type MessageSink, nameOf, notDecoded, notEncoded } from './codec.js';
import { asBase, needsBase, symbolIn, Unfaithful, unfaithful } from './faithful.js';

/** What {@link msgpack} carries beside plain trees of values. */
export interface MsgpackOptions {
  /**
   * Carries values that contain themselves, and keeps what is one object in two places one object. Costs about twice
   * the time. Default false: a cycle is an ERR_CODEC. What either way writes, the other one reads.
   */
  readonly cyclic?: boolean;
  /**
   * The keys of objects that are sent often: 1 to 32 lists, each with keys in the order in which the objects have them. An
   * object with just these keys is written as the number of its list and its values: about half as many bytes, and half
   * the time. All others arrive just as well. Both sides have to say the same lists: a login between others is refused, as
   * they are part of the codec's name.
   *
   *     msgpack<Order>({ records: [['id', 'symbol', 'customer'], ['name', 'city']] })
   */
  readonly records?: readonly (readonly string[])[];
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
  const { cyclic = false, records } = options;
  if (typeof cyclic !== 'boolean') {
    throw new TcpshmError('ERR_OPTION', `cyclic must be a boolean, got ${String(cyclic)}`);
  }
  if (records !== undefined) return withRecords(checkedRecords(records), cyclic);
  return { name: 'msgpack', version: 1, encode: cyclic ? encodeCyclic : encode, decode: decode<T> };
}

/** The first byte of a message with records that it defines itself. */
const RECORDS_FOLLOW = 0xc1;
/** What msgpackr numbers in one byte, from this one on. */
const MAX_RECORDS = 32;
const FIRST_RECORD = 0x40;
/** MessagePack's null. */
const NIL = 0xc0;
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
const selfContained = new Packr({ ...COMMON, mapsAsObjects: false, structuredClone: false });
/** Reads what `selfContained` writes too. */
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
    return encodeRecords(sink, value, selfContained, 1);
  } finally {
    encoding = outer;
  }
  const { start = 0, end = packed.length } = packed;
  const message = sink.alloc(end - start);
  message?.setSlice(packed, start, end);
  return message;
}

function encodeCyclic(sink: MessageSink, value: unknown): Message | null {
  return encodeRecords(sink, value, graphs, 1);
}

/** Behind so many bytes: one that tells of records, or none where nothing else comes. */
function encodeRecords(sink: MessageSink, value: unknown, packr: Packr, head: 0 | 1): Message | null {
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
  const message = sink.alloc(head + end - start);
  if (message === null) return null;
  if (head === 1) message.setUint8(0, RECORDS_FOLLOW);
  message.setSlice(packed, start, end, head);
  return message;
}

function decode<T>(message: Message): T {
  return decodeBy(message, readAny) as T;
}

function readAny(size: number): unknown {
  if (size > 1 && scratch[0] === RECORDS_FOLLOW) return graphs.decode(scratch, { start: 1, end: size });
  return plain.decode(scratch, size);
}

/** With a function that reads the first bytes of `scratch`, so many. */
function decodeBy(message: Message, read: (size: number) => unknown): unknown {
  const { size } = message;
  if (size > scratch.length) scratch = Buffer.allocUnsafeSlow(size);
  message.copyTo(scratch);
  try {
    return read(size);
  } catch (error) {
    throw notDecoded('msgpack', message, error);
  } finally {
    if (scratch.length > KEPT_BYTES) scratch = Buffer.allocUnsafeSlow(KEPT_BYTES);
  }
}

/**
 * Records that both sides know from the start, so every message still stands for itself. What is none of them a message
 * defines where it first has it.
 */
function withRecords<T>(records: readonly (readonly string[])[], cyclic: boolean): Codec<T> {
  const shared = {
    ...COMMON,
    mapsAsObjects: false,
    maxSharedStructures: records.length,
    // Rather than `structures`: those that a reader gets by this, no message can define anew for the next ones.
    getStructures: () => records.map((keys) => [...keys]),
  };
  const writer = new Packr({ ...shared, structuredClone: cyclic });
  const reader = new Packr({ ...shared, structuredClone: true });
  // It gets them when it first meets one, and buffers of the message that it is at would arrive as plain bytes then.
  reader.decode(Buffer.from([FIRST_RECORD, ...(records[0] ?? []).map(() => NIL)]));
  const read = (size: number): unknown => reader.decode(scratch, size);
  return {
    name: nameOf('msgpack', JSON.stringify(records)),
    version: 1,
    encode: (sink, value) => encodeRecords(sink, value, writer, 0),
    decode: (message) => decodeBy(message, read) as T,
  };
}

function checkedRecords(records: unknown): readonly (readonly string[])[] {
  if (!Array.isArray(records) || records.length === 0 || records.length > MAX_RECORDS) {
    throw new TcpshmError(
      'ERR_OPTION',
      `records must be 1 to ${MAX_RECORDS} lists of keys, got ${inspect(records)}`,
    );
  }
  const known = new Set<string>();
  return records.map((keys: unknown) => {
    const name = JSON.stringify(keys);
    if (!isRecord(keys) || known.has(name)) {
      throw new TcpshmError(
        'ERR_OPTION',
        `a record is a list, which no other one is like, of different keys other than '__proto__', got ${inspect(keys)}`,
      );
    }
    known.add(name);
    return [...keys];
  });
}

function isRecord(keys: unknown): keys is readonly string[] {
  return (
    Array.isArray(keys) &&
    keys.length > 0 &&
    keys.every((key) => typeof key === 'string' && key !== '__proto__') &&
    new Set(keys).size === keys.length
  );
}

/** What encoding a value threw. */
function refused(value: unknown, error: unknown): TcpshmError {
  if (error instanceof Unfaithful) return unfaithful('msgpack', value, error);
  const symbol = error instanceof Error && error.message === 'Unknown type: symbol';
  return (symbol ? symbolIn('msgpack', value) : null) ?? notEncoded('msgpack', error);
}
