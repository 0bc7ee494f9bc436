import type { Codec } from '../codec/codec.js';
import { msgpack } from '../codec/msgpack.js';
import { TcpshmError } from '../errors.js';

const trees = msgpack();
const graphs = msgpack({ cyclic: true });

/**
 * Values as `postMessage` takes them, by MessagePack: what a structured clone does that this does not is an ERR_CODEC,
 * rather than something else on the other side. The README has the table.
 */
export const structured: Codec<unknown> = {
  name: 'structured',
  version: 1,
  encode: (sink, value) => (hasParts(value) ? graphs : trees).encode(sink, value),
  decode: trees.decode,
};

/** What MessagePack carries as what it is, by the tag of `Object.prototype.toString`. */
const CARRIED = new Set([
  'Arguments',
  'Array',
  'ArrayBuffer',
  'Date',
  'Error',
  'Map',
  'Object',
  'RegExp',
  'Set',
  'URL',
]);

/** Whether a value has objects in it, so that one may be there twice. Throws ERR_CODEC for what cannot be carried. */
function hasParts(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) {
    checkPrimitive(value);
    return false;
  }
  if (!isComposite(value)) return false;
  let nested = false;
  for (const part of partsOf(value)) {
    if (typeof part === 'object' && part !== null) {
      nested = true;
      break;
    }
    checkPrimitive(part);
  }
  if (nested) checkAll(value);
  return nested;
}

/** Looks at each object once, however they refer to each other. */
function checkAll(value: object): void {
  const seen = new Set<object>([value]);
  for (const object of seen) {
    if (!isComposite(object)) continue;
    for (const part of partsOf(object)) {
      if (typeof part === 'object' && part !== null) seen.add(part);
      else checkPrimitive(part);
    }
  }
}

function checkPrimitive(value: unknown): void {
  if (typeof value === 'function' || typeof value === 'symbol') throw refused(`a ${typeof value}`);
}

/** Whether it can have others in it. Throws ERR_CODEC for an object that cannot be carried. */
function isComposite(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype === Object.prototype || prototype === null || Array.isArray(object)) return true;
  if (ArrayBuffer.isView(object)) {
    if (object.buffer instanceof SharedArrayBuffer) throw refused('a view of a SharedArrayBuffer');
    return false;
  }
  const tag = Object.prototype.toString.call(object).slice('[object '.length, -1);
  if (!CARRIED.has(tag)) throw refused(`a ${tag}`);
  // Among them ports, whose tag does not tell.
  if (object instanceof EventTarget) throw refused(`a ${object.constructor.name}`);
  return true;
}

function partsOf(object: object): Iterable<unknown> {
  if (Array.isArray(object)) return object;
  if (object instanceof Map) return [...object.keys(), ...object.values()];
  if (object instanceof Set) return object;
  if (object instanceof Error) return [object.cause];
  if (Object.hasOwn(object, '__proto__')) throw refused("an object with the key '__proto__'");
  return Object.values(object);
}

function refused(what: string): TcpshmError {
  return new TcpshmError('ERR_CODEC', `${what} cannot be sent: it would not arrive as what it is`);
}
