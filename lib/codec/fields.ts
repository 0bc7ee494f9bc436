import { TcpshmError } from '../errors.js';
import type { Message } from '../ring/message.js';
import { KINDS, type Kind, type KindOf, type KindTypes, notHeld } from './kinds.js';
import { Place } from './place.js';

/** Text of a fixed room: UTF-8, filled up with zeroes, and without one where it fills the room. */
export interface TextField {
  readonly kind: 'text';
  readonly lengthBytes: number;
}
/** Bytes of a fixed number. */
export interface BytesField {
  readonly kind: 'bytes';
  readonly lengthBytes: number;
}
/** Numbers of one kind, of a fixed count. */
export interface ArrayField<K extends Kind> {
  readonly kind: 'array';
  readonly of: K;
  readonly length: number;
}

/** Text of at most so many bytes as UTF-8, without the character 0: `char[n]`. Throws ERR_OPTION. */
export function text(lengthBytes: number): TextField {
  return { kind: 'text', lengthBytes: checkCount('text', lengthBytes) };
}

/** Exactly so many bytes: `uint8_t[n]`. Reading gives a copy. Throws ERR_OPTION. */
export function bytes(lengthBytes: number): BytesField {
  return { kind: 'bytes', lengthBytes: checkCount('bytes', lengthBytes) };
}

/** So many numbers of a kind: `int32_t[n]`. Throws ERR_OPTION. */
export function array<K extends Kind>(of: K, length: number): ArrayField<K> {
  if (!Object.hasOwn(KINDS, of)) {
    throw new TcpshmError('ERR_OPTION', `an array is of ${Object.keys(KINDS).join(', ')}, got ${String(of)}`);
  }
  return { kind: 'array', of, length: checkCount('array', length) };
}

/** The numbers of an array, in place. Valid as long as the message is. */
export class Elements<T> implements Iterable<T> {
  readonly #message: Message;
  readonly #kind: KindOf<T>;
  readonly #name: string;
  readonly #offset: number;
  readonly length: number;

  /** @internal */
  constructor(message: Message, kind: KindOf<T>, name: string, offset: number, length: number) {
    this.#message = message;
    this.#kind = kind;
    this.#name = name;
    this.#offset = offset;
    this.length = length;
  }

  /** Throws a RangeError beyond the length. */
  get(index: number): T {
    return this.#kind.get(this.#message.view, this.#at(index));
  }

  /** Throws a RangeError beyond the length, ERR_CODEC for what is out of range. */
  set(index: number, value: T): void {
    if (!this.#kind.holds(value)) throw notHeld(this.#kind.c, this.#name, value);
    this.#kind.put(this.#message.view, this.#at(index), value);
  }

  /** Sets all of them. Throws ERR_CODEC for another number of values, or one out of range, and sets none then. */
  assign(values: ArrayLike<T>): void {
    checkElements(this.#kind, this.#name, this.length, values);
    for (let i = 0; i < this.length; i++) this.#kind.put(this.#message.view, this.#at(i), values[i] as T);
  }

  /** Its numbers, read from the message one by one: it must stay until the end of the loop. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.length; i++) yield this.get(i);
  }

  #at(index: number): number {
    if (index >>> 0 !== index || index >= this.length) {
      throw new RangeError(`'${this.#name}' has the indexes 0 to ${this.length - 1}, got ${String(index)}`);
    }
    return this.#message.offset + this.#offset + index * this.#kind.bytes;
  }
}

/** A field, as its struct needs it: of which size, and how a value is checked, written and read. */
export interface Slot {
  readonly bytes: number;
  readonly alignment: number;
  /** Its declaration in C. */
  readonly c: string;
  /** Throws ERR_CODEC for what it cannot hold. */
  check(value: unknown): void;
  /** Writes what was checked. */
  put(message: Message, at: number, value: unknown): void;
  /** A value that lasts. */
  take(message: Message, at: number): unknown;
  /** The property of cursors. */
  property?(offset: number): PropertyDescriptor & ThisType<Place>;
  /** Or the object that it is, made with each cursor. */
  part?(message: Message, offset: number): unknown;
}

export function kindSlot<K extends Kind>(name: string, of: K): Slot {
  const kind = KINDS[of] as KindOf<KindTypes[K]>;
  return {
    bytes: kind.bytes,
    alignment: kind.bytes,
    c: `${kind.c} ${name};`,
    check(value) {
      if (!kind.holds(value)) throw notHeld(kind.c, name, value);
    },
    put: (message, at, value) => kind.put(message.view, message.offset + at, value as KindTypes[K]),
    take: (message, at) => kind.get(message.view, message.offset + at),
    property: (offset) => Place.property(of, name, offset),
  };
}

export function textSlot(name: string, { lengthBytes }: TextField): Slot {
  const c = `char ${name}[${lengthBytes}];`;
  const what = `text of at most ${lengthBytes} bytes`;
  const check = (value: unknown): void => {
    if (typeof value !== 'string' || Buffer.byteLength(value) > lengthBytes || value.includes('\0')) {
      throw notHeld(what, name, value);
    }
  };
  const put = (message: Message, at: number, value: unknown): void => {
    const end = at + message.setText(value as string, at);
    for (let i = end; i < at + lengthBytes; i++) message.setUint8(i, 0);
  };
  const take = (message: Message, at: number): string => {
    let length = 0;
    while (length < lengthBytes && message.getUint8(at + length) !== 0) length++;
    return message.text(at, length);
  };
  return { bytes: lengthBytes, alignment: 1, c, check, put, take, property: propertyOf(check, put, take) };
}

export function bytesSlot(name: string, { lengthBytes }: BytesField): Slot {
  const c = `uint8_t ${name}[${lengthBytes}];`;
  const check = (value: unknown): void => {
    if (!(value instanceof Uint8Array)) throw notHeld(`${lengthBytes} bytes`, name, value);
    if (value.length !== lengthBytes) throw notHeld(`${lengthBytes} bytes`, name, `${value.length} bytes`);
  };
  const put = (message: Message, at: number, value: unknown): void => message.set(value as Uint8Array, at);
  const take = (message: Message, at: number): Buffer => {
    message.getUint8(at + lengthBytes - 1);
    return Buffer.from(message.bytes().subarray(at, at + lengthBytes));
  };
  return { bytes: lengthBytes, alignment: 1, c, check, put, take, property: propertyOf(check, put, take) };
}

export function arraySlot<K extends Kind>(name: string, field: ArrayField<K>): Slot {
  const kind = KINDS[field.of] as KindOf<KindTypes[K]>;
  const { length } = field;
  return {
    bytes: kind.bytes * length,
    alignment: kind.bytes,
    c: `${kind.c} ${name}[${length}];`,
    check: (value) => checkElements(kind, name, length, value as ArrayLike<KindTypes[K]>),
    put(message, at, value) {
      const values = value as ArrayLike<KindTypes[K]>;
      for (let i = 0; i < length; i++) {
        kind.put(message.view, message.offset + at + i * kind.bytes, values[i] as KindTypes[K]);
      }
    },
    take: (message, at) =>
      Array.from({ length }, (_, i) => kind.get(message.view, message.offset + at + i * kind.bytes)),
    part: (message, offset) => new Elements(message, kind, name, offset, length),
  };
}

function propertyOf(
  check: Slot['check'],
  put: Slot['put'],
  take: Slot['take'],
): (offset: number) => PropertyDescriptor & ThisType<Place> {
  return (offset) => ({
    get() {
      return take(Place.message(this), offset);
    },
    set(value: unknown) {
      check(value);
      put(Place.message(this), offset, value);
    },
  });
}

function checkElements<T>(kind: KindOf<T>, name: string, length: number, values: ArrayLike<T>): void {
  const what = `${kind.c}[${length}]`;
  if (typeof values !== 'object' || values === null) throw notHeld(what, name, values);
  if (values.length !== length) throw notHeld(what, name, `${values.length} values`);
  for (let i = 0; i < length; i++) if (!kind.holds(values[i])) throw notHeld(what, name, values[i]);
}

function checkCount(what: string, count: number): number {
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new TcpshmError('ERR_OPTION', `${what} needs a whole number from 1 on, got ${String(count)}`);
}
