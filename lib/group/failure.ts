import { ERROR_CODES, type ErrorCode, TcpshmError } from '../errors.js';

/** An error as threads can pass it: a structured clone would lose its class and code. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | null;
  readonly code: string | null;
  readonly cause: PlainError | null;
}

/** So many causes behind each other are told. */
const MOST_CAUSES = 8;

export function plainError(error: unknown, depth = 0): PlainError {
  if (!(error instanceof Error)) {
    return { name: '', message: String(error), stack: null, code: null, cause: null };
  }
  const { name, message, stack, cause } = error;
  const { code } = error as { readonly code?: unknown };
  return {
    name,
    message,
    stack: stack ?? null,
    code: typeof code === 'string' ? code : null,
    cause: cause === undefined || depth === MOST_CAUSES ? null : plainError(cause, depth + 1),
  };
}

/** The error again: of this library's class where it was. */
export function revivedError(plain: PlainError): Error {
  const { name, message, stack, code } = plain;
  const cause = plain.cause === null ? undefined : revivedError(plain.cause);
  const error = isOurs(plain)
    ? new TcpshmError(code as ErrorCode, message, cause)
    : new Error(message, cause === undefined ? undefined : { cause });
  if (stack !== null) error.stack = stack;
  if (error instanceof TcpshmError) return error;
  if (name !== '') error.name = name;
  return code === null ? error : Object.assign(error, { code });
}

/** The same for what is of this library's class in any case. */
export function revivedOwn(plain: PlainError): TcpshmError {
  const error = revivedError(plain);
  return error instanceof TcpshmError ? error : new TcpshmError('ERR_SYSTEM', error.message, error);
}

function isOurs({ name, code }: PlainError): boolean {
  return name === 'TcpshmError' && (ERROR_CODES as readonly (string | null)[]).includes(code);
}
