import { TcpshmError } from '../errors.js';

/** What each kind of number is in JavaScript. */
export interface KindTypes {
  i8: number;
  u8: number;
  i16: number;
  u16: number;
  i32: number;
  u32: number;
  i64: bigint;
  u64: bigint;
  f32: number;
  f64: number;
  bool: boolean;
}

/** A number of fixed size, by its name. */
export type Kind = keyof KindTypes;

/** A number of fixed size in a struct, little-endian. Its alignment is its size, as in C. */
export interface KindOf<T> {
  readonly bytes: number;
  /** Its name in C. */
  readonly c: string;
  readonly get: (view: DataView, at: number) => T;
  readonly put: (view: DataView, at: number, value: T) => void;
  /** Whether it can hold a value. */
  readonly holds: (value: unknown) => boolean;
}

const MOST_U64 = 2n ** 64n - 1n;
const LEAST_I64 = -(2n ** 63n);
const MOST_I64 = 2n ** 63n - 1n;

export const KINDS: { readonly [K in Kind]: KindOf<KindTypes[K]> } = {
  i8: {
    bytes: 1,
    c: 'int8_t',
    get: (view, at) => view.getInt8(at),
    put: (view, at, value) => view.setInt8(at, value),
    holds: (value) => typeof value === 'number' && (value << 24) >> 24 === value,
  },
  u8: {
    bytes: 1,
    c: 'uint8_t',
    get: (view, at) => view.getUint8(at),
    put: (view, at, value) => view.setUint8(at, value),
    holds: (value) => typeof value === 'number' && (value & 0xff) === value,
  },
  i16: {
    bytes: 2,
    c: 'int16_t',
    get: (view, at) => view.getInt16(at, true),
    put: (view, at, value) => view.setInt16(at, value, true),
    holds: (value) => typeof value === 'number' && (value << 16) >> 16 === value,
  },
  u16: {
    bytes: 2,
    c: 'uint16_t',
    get: (view, at) => view.getUint16(at, true),
    put: (view, at, value) => view.setUint16(at, value, true),
    holds: (value) => typeof value === 'number' && (value & 0xffff) === value,
  },
  i32: {
    bytes: 4,
    c: 'int32_t',
    get: (view, at) => view.getInt32(at, true),
    put: (view, at, value) => view.setInt32(at, value, true),
    holds: (value) => typeof value === 'number' && (value | 0) === value,
  },
  u32: {
    bytes: 4,
    c: 'uint32_t',
    get: (view, at) => view.getUint32(at, true),
    put: (view, at, value) => view.setUint32(at, value, true),
    holds: (value) => typeof value === 'number' && value >>> 0 === value,
  },
  i64: {
    bytes: 8,
    c: 'int64_t',
    get: (view, at) => view.getBigInt64(at, true),
    put: (view, at, value) => view.setBigInt64(at, value, true),
    holds: (value) => typeof value === 'bigint' && value >= LEAST_I64 && value <= MOST_I64,
  },
  u64: {
    bytes: 8,
    c: 'uint64_t',
    get: (view, at) => view.getBigUint64(at, true),
    put: (view, at, value) => view.setBigUint64(at, value, true),
    holds: (value) => typeof value === 'bigint' && value >= 0n && value <= MOST_U64,
  },
  f32: {
    bytes: 4,
    c: 'float',
    get: (view, at) => view.getFloat32(at, true),
    put: (view, at, value) => view.setFloat32(at, value, true),
    // Rounded, but not to infinity.
    holds: (value) =>
      typeof value === 'number' && Number.isFinite(Math.fround(value)) === Number.isFinite(value),
  },
  f64: {
    bytes: 8,
    c: 'double',
    get: (view, at) => view.getFloat64(at, true),
    put: (view, at, value) => view.setFloat64(at, value, true),
    holds: (value) => typeof value === 'number',
  },
  bool: {
    bytes: 1,
    c: 'bool',
    get: (view, at) => view.getUint8(at) !== 0,
    put: (view, at, value) => view.setUint8(at, value ? 1 : 0),
    holds: (value) => typeof value === 'boolean',
  },
};

export function notHeld(what: string, name: string, value: unknown): TcpshmError {
  const shown =
    typeof value === 'bigint' ? `${value}n` : typeof value === 'object' ? 'an object' : String(value);
  return new TcpshmError('ERR_CODEC', `the field '${name}' is ${what}, which cannot hold ${shown}`);
}
