import { TcpshmError } from '../errors.js';
import { ALWAYS_CLEAR_BYTES } from '../ring/layout.js';
import type { Message } from '../ring/message.js';
import { type Codec, type MessageSink, nameOf } from './codec.js';
import {
  type ArrayField,
  arraySlot,
  type BytesField,
  bytesSlot,
  type Elements,
  kindSlot,
  type Slot,
  type TextField,
  textSlot,
} from './fields.js';
import { KINDS, type Kind, type KindTypes } from './kinds.js';
import { Place } from './place.js';

/** What a field of a struct is: a number by its kind, a text, bytes, an array of numbers, or a struct within. */
export type Field = Kind | TextField | BytesField | ArrayField<Kind> | AnyStruct;
/** Names and fields of a struct, in the order in which they lie in a message. */
export type Fields = { readonly [name: string]: Field };
type AnyStruct = { readonly kind: 'struct'; readonly fields: Fields };

/** A field in place: numbers, text and bytes are read and set, arrays and structs within have methods of their own. */
type InPlace<F> = F extends Kind
  ? KindTypes[F]
  : F extends TextField
    ? string
    : F extends BytesField
      ? Uint8Array
      : F extends ArrayField<infer K>
        ? Elements<KindTypes[K]>
        : F extends { readonly kind: 'struct'; readonly fields: infer S extends Fields }
          ? Cursor<S>
          : never;

type Whole<F extends Fields> = {
  [N in keyof F]: F[N] extends Kind | TextField | BytesField ? N : never;
}[keyof F];

/** A message as a struct, in place. Valid as long as the message is; then its properties throw a RangeError. */
export type Cursor<F extends Fields> = { -readonly [N in Whole<F>]: InPlace<F[N]> } & {
  readonly [N in Exclude<keyof F, Whole<F>>]: InPlace<F[N]>;
};

/** The values of a struct, for good. */
export type Values<F extends Fields> = { readonly [N in keyof F]: Value<F[N]> };
type Value<F> =
  F extends ArrayField<infer K>
    ? readonly KindTypes[K][]
    : F extends { readonly kind: 'struct'; readonly fields: infer S extends Fields }
      ? Values<S>
      : InPlace<F>;

/** What peers call a struct at the login. Those who call it differently are refused with ERR_CODEC. */
export interface StructOptions {
  /** What its codec is called: peers must agree on it. Default: made from the layout, so that it tells layouts apart. */
  readonly name?: string;
  /** Default 1. */
  readonly version?: number;
}

/**
 * A layout of messages, as a C compiler would make it: fields in their order, each at a multiple of its alignment (of
 * its size; of its largest part, if it is an array or a struct), and the size a multiple of the largest. Little-endian.
 *
 *     const quote = struct({ price: 'f64', quantity: 'u32', symbol: text(8), legs: array('i32', 4) });
 *     const message = quote.alloc(connection);       // a cursor over a message, or null
 *     if (message !== null) {
 *       message.price = 101.25;
 *       message.legs.set(0, -1);
 *       connection.push();
 *     }
 *     quote.of(connection.front()).price;            // in place, without a copy
 *
 * It is a codec as well, of values that are copied. Fields that are out of range throw ERR_CODEC, and so does a
 * message of another size. Throws ERR_OPTION for what is no field or no name in C.
 */
export function struct<const F extends Fields>(fields: F, options: StructOptions = {}): Struct<F> {
  return new Struct(fields, options);
}

type CursorClass = new (message: Message) => Place;

interface Member {
  readonly name: string;
  readonly slot: Slot;
  readonly offset: number;
}

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Words of C up to C23, and the one property that no class can define. */
const RESERVED = new Set(
  (
    '__proto__ alignas alignof auto bool break case char const constexpr continue default do double else enum extern' +
    ' false float for goto if inline int long nullptr register restrict return short signed sizeof static' +
    ' static_assert struct switch thread_local true typedef typeof typeof_unqual union unsigned void volatile while'
  ).split(' '),
);

/**
 * A layout as {@link struct} makes it, for any number of connections of its thread. Keeps no message, and gives the same
 * cursor again for the same flyweight: reading and writing in place allocates nothing.
 */
export class Struct<F extends Fields> implements Codec<Values<F>> {
  readonly kind = 'struct';
  readonly fields: F;
  /** Of a message, a multiple of `alignment`. */
  readonly sizeBytes: number;
  readonly alignment: number;
  readonly name: string;
  readonly version: number;
  /** A codec whose decoded values are cursors: without a copy, valid until the message is popped. */
  readonly inPlace: Codec<Values<F>, Cursor<F>>;
  readonly #members: readonly Member[];
  readonly #Cursor: CursorClass;
  // Not `#private`: accessors of fields are inlined as long as there is room for their bytecode, and come after `of`.
  /** One for each message object: there is one of them for each end of a queue. */
  private readonly _cursors = new WeakMap<Message, Place>();
  private _message: Message | null = null;
  private _cursor: Place | null = null;

  /** @internal @see struct */
  constructor(fields: F, options: StructOptions) {
    const members: Member[] = [];
    let end = 0;
    let alignment = 1;
    for (const [name, field] of Object.entries(fields)) {
      const slot = slotOf(name, field);
      const offset = alignedTo(end, slot.alignment);
      members.push({ name, slot, offset });
      end = offset + slot.bytes;
      alignment = Math.max(alignment, slot.alignment);
    }
    if (members.length === 0) throw new TcpshmError('ERR_OPTION', 'a struct needs a field');
    this.fields = fields;
    this.sizeBytes = alignedTo(end, alignment);
    this.alignment = alignment;
    this.#members = members;
    this.name = options.name ?? nameOf('struct', this.#body());
    this.version = options.version ?? 1;
    this.#Cursor = cursorClass(members, 0);
    this.inPlace = {
      name: this.name,
      version: this.version,
      isView: true,
      encode: (sink, values) => this.encode(sink, values),
      decode: (message) => this.of(message),
    };
  }

  /** Where a field is, in bytes from the start. */
  offsetOf(name: keyof F & string): number {
    const member = this.#members.find((known) => known.name === name);
    if (member === undefined) throw new TcpshmError('ERR_OPTION', `this struct has no field '${name}'`);
    return member.offset;
  }

  /** Room for one, all zeroes, to be filled in and pushed; null when the queue is full. */
  alloc(sink: MessageSink): Cursor<F> | null {
    const message = this.#room(sink);
    return message === null ? null : this.of(message);
  }

  /**
   * A message in place. The same cursor again for the same end of a queue, so nothing is allocated. Throws ERR_CODEC for a
   * message of another size.
   */
  of(message: Message): Cursor<F> {
    if (message.size !== this.sizeBytes) throw this.#badSize(message);
    if (message === this._message) return this._cursor as unknown as Cursor<F>;
    let cursor = this._cursors.get(message);
    if (cursor === undefined) {
      cursor = new this.#Cursor(message);
      this._cursors.set(message, cursor);
    }
    this._message = message;
    this._cursor = cursor;
    return cursor as unknown as Cursor<F>;
  }

  /**
   * Copies the values into a message of the sink, which is still to be pushed; null when the queue is full. Throws
   * ERR_CODEC for values that are not those of the fields: then nothing is allocated.
   */
  encode(sink: MessageSink, values: Values<F>): Message | null {
    this.check(values);
    const message = this.#room(sink);
    if (message !== null) this.put(message, 0, values);
    return message;
  }

  /** The values, copied: they stay when the message is popped. Throws ERR_CODEC for a message of another size. */
  decode(message: Message): Values<F> {
    if (message.size !== this.sizeBytes) throw this.#badSize(message);
    return this.take(message, 0);
  }

  /** The declaration in C, with the includes that it needs. Throws ERR_OPTION for a name that C has taken. */
  toC(name: string): string {
    checkIdentifier(name);
    return `#include <stdbool.h>\n#include <stdint.h>\n\nstruct ${name} {\n${this.#body()}};\n`;
  }

  /** @internal Throws ERR_CODEC unless all fields hold these values. */
  check(values: Values<F>): void {
    if (typeof values !== 'object' || values === null) {
      throw new TcpshmError('ERR_CODEC', `${this.name} carries an object, got ${String(values)}`);
    }
    for (const { name, slot } of this.#members) slot.check(values[name]);
  }

  /** @internal Writes what was checked. */
  put(message: Message, at: number, values: Values<F>): void {
    for (const { name, slot, offset } of this.#members) slot.put(message, at + offset, values[name]);
  }

  /** @internal */
  take(message: Message, at: number): Values<F> {
    const values: Record<string, unknown> = {};
    for (const { name, slot, offset } of this.#members) values[name] = slot.take(message, at + offset);
    return values as Values<F>;
  }

  /** @internal As a field of another one. */
  slot(name: string): Slot {
    const classes = new Map<number, CursorClass>();
    return {
      bytes: this.sizeBytes,
      alignment: this.alignment,
      c: `struct {\n${this.#body()}} ${name};`,
      check: (value) => this.check(value as Values<F>),
      put: (message, at, value) => this.put(message, at, value as Values<F>),
      take: (message, at) => this.take(message, at),
      part: (message, offset) => {
        const known = classes.get(offset) ?? cursorClass(this.#members, offset);
        classes.set(offset, known);
        return new known(message);
      },
    };
  }

  /** The fields in C, a line each. */
  #body(): string {
    return this.#members.map(({ slot }) => `  ${slot.c.replaceAll('\n', '\n  ')}\n`).join('');
  }

  /** Room for one, cleared: `alloc` of the sink does that for small messages alone. */
  #room(sink: MessageSink): Message | null {
    const message = sink.alloc(this.sizeBytes);
    if (message !== null && this.sizeBytes > ALWAYS_CLEAR_BYTES) message.bytes().fill(0);
    return message;
  }

  #badSize(message: Message): TcpshmError {
    return new TcpshmError(
      'ERR_CODEC',
      `${this.name} is a message of ${this.sizeBytes} bytes, got one of ${message.size}`,
    );
  }
}

/** Objects with the fields of a struct that is at `base` of a message. Made of closures: no text is compiled here. */
function cursorClass(members: readonly Member[], base: number): CursorClass {
  class StructCursor extends Place {
    constructor(message: Message) {
      super(message);
      for (const { name, slot, offset } of members) {
        if (slot.part === undefined) continue;
        Object.defineProperty(this, name, { value: slot.part(message, base + offset), enumerable: true });
      }
    }
  }
  for (const { name, slot, offset } of members) {
    if (slot.property === undefined) continue;
    Object.defineProperty(StructCursor.prototype, name, slot.property(base + offset));
  }
  return StructCursor;
}

function slotOf(name: string, field: Field): Slot {
  checkIdentifier(name);
  if (field instanceof Struct) return field.slot(name);
  if (typeof field === 'string' && Object.hasOwn(KINDS, field)) {
    return kindSlot(name, field as Kind);
  }
  const { kind } = (field ?? {}) as Partial<TextField | BytesField | ArrayField<Kind>>;
  if (kind === 'text') return textSlot(name, field as TextField);
  if (kind === 'bytes') return bytesSlot(name, field as BytesField);
  if (kind === 'array') return arraySlot(name, field as ArrayField<Kind>);
  throw new TcpshmError(
    'ERR_OPTION',
    `the field '${name}' must be one of ${Object.keys(KINDS).join(', ')}, text, bytes, array or a struct,` +
      ` got ${String(field)}`,
  );
}

function checkIdentifier(name: string): void {
  if (IDENTIFIER.test(name) && !RESERVED.has(name)) return;
  throw new TcpshmError('ERR_OPTION', `'${name}' is not a name that C takes for a field`);
}

function alignedTo(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
