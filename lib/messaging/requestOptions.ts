import { TcpshmError } from '../errors.js';
import { checkOptions, choice, duration, flag } from '../options.js';
import { PRIORITIES, type RequestOptions } from './call.js';

/** Whether requests can be made with these options. Throws ERR_OPTION. */
export function checkRequest(options: RequestOptions): void {
  checkOptions(options);
  const { body, signal } = options;
  duration(options.timeoutMs, 'timeoutMs', 1);
  choice(options.priority, 'priority', PRIORITIES);
  const idempotent = flag(options.idempotent, 'idempotent', false);
  const oneShot = flag(options.oneShot, 'oneShot', false);
  flag(options.synchronous, 'synchronous', false);
  if (idempotent && oneShot) {
    throw new TcpshmError('ERR_OPTION', 'what is sent once cannot be idempotent, which is sent again');
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TcpshmError('ERR_OPTION', `signal must be an AbortSignal, got ${typeof signal}`);
  }
  if (body === undefined) return;
  const isFunction = typeof body === 'function';
  if (idempotent && !isFunction) {
    throw new TcpshmError(
      'ERR_OPTION',
      'the body of an idempotent request must be a function that gives it anew',
    );
  }
  const isIterable =
    typeof body === 'object' && body !== null && (Symbol.asyncIterator in body || Symbol.iterator in body);
  if (!isFunction && !isIterable) {
    throw new TcpshmError(
      'ERR_OPTION',
      `body must be iterable, or a function that gives such, got ${String(body)}`,
    );
  }
}
