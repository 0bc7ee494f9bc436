import { TcpshmError } from '../errors.js';

/** Kinds of objects that MessagePack, with msgpackr's extensions, carries as what they are. */
const CARRIED: Readonly<Record<string, abstract new (...args: never[]) => object>> = {
  Array,
  ArrayBuffer,
  DataView,
  Date,
  Error,
  Map,
  RegExp,
  Set,
};

type View = ArrayBufferView<ArrayBuffer>;
type ViewType = new (buffer: ArrayBuffer, offset: number, length: number) => View;

const VIEWS: Readonly<Record<string, ViewType>> = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
};

/** Thrown from within an encoding: what met it knows the whole value. */
export class Unfaithful extends Error {
  readonly part: unknown;

  constructor(part: unknown, what: string) {
    super(what);
    this.part = part;
  }
}

/**
 * Looks at an object that is not a plain one, an array or a Map, before it is written. True if it would be written as
 * something else than it is, but `asBase` is what it is. Throws {@link Unfaithful} where nothing is.
 */
export function needsBase(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype === null || prototype === Object.prototype || prototype === Date.prototype) return false;
  if (typeof object === 'function') throw new Unfaithful(object, 'a function');
  if (ArrayBuffer.isView(object)) return viewNeedsBase(object);
  const tag = tagOf(object);
  // A Date has one too, with which it would arrive as a text.
  if (tag !== 'Date' && typeof (object as { toJSON?: unknown }).toJSON === 'function') return false;
  if (object instanceof EventTarget) throw new Unfaithful(object, `a ${object.constructor.name}`);
  if (tag === 'Object') return false;
  if (object instanceof Map) return true;
  if (object instanceof Error) return false;
  const type = CARRIED[tag];
  if (type !== undefined && (object instanceof type || Array.isArray(object))) return false;
  throw new Unfaithful(object, type === undefined ? `a ${tag}` : `a ${tag} of another realm`);
}

/** What `needsBase` has found, as an object of the class that it is derived from. */
export function asBase(object: object): object {
  if (object instanceof Map) return new Map<unknown, unknown>(object);
  const view = object as View & { readonly length: number };
  const Base = VIEWS[tagOf(view)] as ViewType;
  return new Base(view.buffer, view.byteOffset, view.length);
}

/** The error for a value that has such a part in it, with the place of that. */
export function unfaithful(codec: string, value: unknown, { part, message }: Unfaithful): TcpshmError {
  const path = placeOf(value, (candidate) => candidate === part);
  return refusal(codec, message, path);
}

/** The same for a symbol, which msgpackr finds itself. Null if there is none. */
export function symbolIn(codec: string, value: unknown): TcpshmError | null {
  const path = placeOf(value, (candidate) => typeof candidate === 'symbol');
  return path === null ? null : refusal(codec, 'a symbol', path);
}

function refusal(codec: string, what: string, path: string | null): TcpshmError {
  const where = path === null || path === '' ? '' : ` at ${path}`;
  return new TcpshmError(
    'ERR_CODEC',
    `${codec} cannot carry ${what}${where}: it would not arrive as what it is`,
  );
}

function viewNeedsBase(view: ArrayBufferView): boolean {
  if (view.buffer instanceof SharedArrayBuffer) {
    throw new Unfaithful(view, 'a view of a SharedArrayBuffer');
  }
  if (view instanceof DataView || Buffer.isBuffer(view)) return false;
  const kind = tagOf(view);
  const type = VIEWS[kind];
  if (type === undefined) throw new Unfaithful(view, `a ${kind}`);
  return (view as object).constructor !== type;
}

/** The kind of an object; of a view, whatever that is derived from. */
function tagOf(object: object): string {
  return Object.prototype.toString.call(object).slice('[object '.length, -1);
}

/** Where in a value something is, as one would write it in a program: '' for the value itself. */
function placeOf(value: unknown, is: (part: unknown) => boolean): string | null {
  const places = new Map<unknown, string>([[value, '']]);
  if (is(value)) return '';
  for (const [object, place] of places) {
    if (typeof object !== 'object' || object === null || ArrayBuffer.isView(object)) continue;
    for (const [name, part] of partsOf(object)) {
      if (is(part)) return place + name;
      if (!places.has(part)) places.set(part, place + name);
    }
  }
  return null;
}

function* partsOf(object: object): Iterable<readonly [name: string, part: unknown]> {
  if (object instanceof Map) {
    for (const [key, part] of object) {
      yield ['.keys()', key];
      yield [`.get(${typeof key === 'string' ? JSON.stringify(key) : typeof key})`, part];
    }
  } else if (object instanceof Set) {
    for (const part of object) yield ['.values()', part];
  } else if (Array.isArray(object)) {
    for (const [at, part] of object.entries()) yield [`[${at}]`, part];
  } else if (object instanceof Error) {
    yield ['.cause', object.cause];
  } else {
    for (const [key, part] of Object.entries(object)) {
      yield [
        /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`,
        part,
      ];
    }
  }
}
