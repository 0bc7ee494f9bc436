import { ERROR_CODES, type ErrorCode, TcpshmError } from '../errors.js';

/**
 * An error as threads can pass it, where a structured clone would lose its class and properties: with its stack, its
 * class where that is one of the language or ours, and its properties.
 */
export interface PlainError {
  readonly type: string;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly own: Record<string, unknown> & { readonly code?: unknown };
}

const TYPES = new Map<string, new (message: string) => Error>(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [type.name, type]),
);
/** What is not among the properties that the error itself has. */
const INHERENT = new Set(['message', 'name', 'stack']);
/** So many causes behind each other are told. */
const MOST_CAUSES = 8;
/** In what a property of an error is told that is an error itself. */
const ERROR_KEY = 'tcpshm.error';

/** `carries` tells whether a value can be sent: properties that cannot be are left out. */
export function plainError(
  error: unknown,
  carries: (value: unknown) => boolean = isCloneable,
  depth = 0,
): PlainError {
  if (!(error instanceof Error)) {
    return { type: 'Error', name: 'Error', message: String(error), stack: undefined, own: {} };
  }
  const own: Record<string, unknown> = {};
  for (const key of Object.getOwnPropertyNames(error)) {
    if (INHERENT.has(key)) continue;
    const property = (error as unknown as Record<string, unknown>)[key];
    // What a handler threw is the cause of an error of ours, which is an error there whatever it was.
    const isThrown = key === 'cause' && error instanceof TcpshmError && !(property instanceof Error);
    const value = isThrown ? { [ERROR_KEY]: plainError(property) } : flat(property, carries, depth);
    if (carries(value)) own[key] = value;
  }
  let type: object | null = error;
  while (type !== null && !TYPES.has(type.constructor?.name)) type = Object.getPrototypeOf(type);
  const { name, message, stack } = error;
  return {
    type:
      error instanceof AggregateError ? 'AggregateError' : ((type?.constructor.name as string) ?? 'Error'),
    name: String(name),
    message: String(message),
    stack: typeof stack === 'string' ? stack : undefined,
    own,
  };
}

/** The error again: of this library's class where it was. */
export function revivedError({ type, name, message, stack, own }: PlainError): Error {
  const error = make(type, name, message, own.code);
  if (error.name !== name) {
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  }
  if (stack !== undefined) {
    Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
  }
  for (const [key, value] of Object.entries(own)) {
    const hidden = key === 'cause' || key === 'errors';
    if (key === 'code' && error instanceof TcpshmError) continue;
    Object.defineProperty(error, key, {
      value: unflat(value),
      enumerable: !hidden,
      configurable: true,
      writable: true,
    });
  }
  return error;
}

/** The same for what is of this library's class in any case. */
export function revivedOwn(plain: PlainError): TcpshmError {
  const error = revivedError(plain);
  return error instanceof TcpshmError ? error : new TcpshmError('ERR_SYSTEM', error.message, error);
}

/** Whether a MessagePort can carry it. */
function isCloneable(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

function make(type: string, name: string, message: string, code: unknown): Error {
  if (name === 'TcpshmError' && (ERROR_CODES as readonly unknown[]).includes(code)) {
    return new TcpshmError(code as ErrorCode, message);
  }
  if (type === 'AggregateError') return new AggregateError([], message);
  return new (TYPES.get(type) ?? Error)(message);
}

/** A property, with the errors in it as plain data. */
function flat(value: unknown, carries: (value: unknown) => boolean, depth: number): unknown {
  if (depth === MOST_CAUSES) return undefined;
  if (value instanceof Error) return { [ERROR_KEY]: plainError(value, carries, depth + 1) };
  if (Array.isArray(value) && value.some((one) => one instanceof Error))
    return value.map((one) => flat(one, carries, depth));
  return value;
}

function unflat(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unflat);
  const plain = (value as Record<string, unknown> | null)?.[ERROR_KEY];
  return plain === undefined ? value : revivedError(plain as PlainError);
}
