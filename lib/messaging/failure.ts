import { type ErrorCode, TcpshmError } from '../errors.js';

/** What of an error goes to the other side. */
interface PlainError {
  readonly name: string;
  readonly code?: string | number;
  readonly message: string;
}

/** So much of a message is told. */
const MOST_CHARACTERS = 1000;

/** An error as the payload of a `fail`, of at most so many bytes. */
export function failureBytes(error: unknown, mostBytes: number): Uint8Array {
  const { name, code, message } = plain(error);
  const told = { name: name.slice(0, 64), ...(code !== undefined && { code: shortened(code) }), message };
  for (let characters = MOST_CHARACTERS; ; characters = Math.floor(characters / 2)) {
    const bytes = Buffer.from(JSON.stringify({ ...told, message: message.slice(0, characters) }));
    if (bytes.length <= mostBytes) return bytes;
    if (characters === 0) return new Uint8Array(0);
  }
}

/** The error of a `fail`, whatever its payload is. */
export function failureOf(payload: Uint8Array): Error {
  const { name, code, message } = told(payload);
  const error: Error & { code?: string | number } = new Error(
    typeof message === 'string' ? message : 'an error that was not told',
  );
  if (typeof name === 'string' && name !== error.name) {
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  }
  if (typeof code === 'string' || typeof code === 'number') error.code = code;
  // Where it was thrown is in another process.
  error.stack = `${error.name}: ${error.message}`;
  return error;
}

function told(payload: Uint8Array): Partial<Record<keyof PlainError, unknown>> {
  try {
    return (JSON.parse(Buffer.from(payload).toString()) as Partial<Record<keyof PlainError, unknown>>) ?? {};
  } catch {
    return {};
  }
}

/** What a requester is told of it. */
export function answered(method: string, error: Error): TcpshmError {
  return new TcpshmError('ERR_ANSWER', `'${method}' was answered with an error: ${error.message}`, error);
}

export function refusal(code: ErrorCode, message: string): TcpshmError {
  return new TcpshmError(code, message);
}

function plain(error: unknown): PlainError {
  try {
    if (error instanceof Error) {
      const { code } = error as { code?: unknown };
      return {
        name: String(error.name),
        message: String(error.message),
        ...((typeof code === 'string' || typeof code === 'number') && { code }),
      };
    }
    return { name: 'Error', message: String(error) };
  } catch {
    return { name: 'Error', message: 'an error that cannot be shown' };
  }
}

function shortened(code: string | number): string | number {
  return typeof code === 'string' ? code.slice(0, 64) : code;
}
