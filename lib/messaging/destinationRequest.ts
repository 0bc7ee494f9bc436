import { TcpshmError } from '../errors.js';
import type { Call, Method, RequestOptions, Shape, Started } from './call.js';
import { PoolParts } from './destinationParts.js';
import type { Ticket } from './destinationQueue.js';

/** Who gives requests up. */
export interface PoolRequestHost {
  giveUp(request: PoolRequest, reason: unknown): void;
}

/** A request, stream or notification over a pool, from its start until it is settled. */
export class PoolRequest implements Call {
  readonly shape: Shape;
  readonly method: Method;
  readonly value: unknown;
  readonly options: RequestOptions;
  readonly response: Promise<never>;
  /** What is read of a stream. */
  readonly parts: PoolParts | null;
  /** Its place in the pool, from when it has one. */
  ticket: Ticket<PoolRequest> | null = null;
  /** While it is in flight. */
  call: Started | null = null;
  readonly #host: PoolRequestHost;
  #resolve!: (value: never) => void;
  #reject!: (reason: unknown) => void;
  #onAbort: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #left = false;

  constructor(host: PoolRequestHost, shape: Shape, method: Method, value: unknown, options: RequestOptions) {
    this.#host = host;
    this.shape = shape;
    this.method = method;
    this.value = value;
    this.options = options;
    this.response = new Promise<never>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.parts =
      shape === 'many'
        ? new PoolParts(() => this.cancel(new TcpshmError('ERR_CLOSED', 'its loop was left')))
        : null;
  }

  /** Whether any byte of it has left, over any connection. */
  get left(): boolean {
    this.#left ||= this.call?.left ?? false;
    return this.#left;
  }

  withdraw(): boolean {
    if (this.left || this.ticket?.state === 'settled') return false;
    this.cancel(new TcpshmError('ERR_NOT_SENT', `'${this.method}' was taken back before any of it had left`));
    return true;
  }

  cancel(reason: unknown): void {
    this.#host.giveUp(this, reason);
  }

  /** Its time begins, and its signal is listened to. */
  begin(): void {
    const { signal, timeoutMs } = this.options;
    if (signal !== undefined) {
      this.#onAbort = () => this.cancel(signal.reason);
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => this.cancel(timedOut(timeoutMs, this.left)), timeoutMs);
    }
  }

  /** A connection has it. */
  flies(call: Started): void {
    this.call = call;
    if (call.parts !== null) this.parts?.attach(call.parts);
  }

  /** No connection has it any more. Gives what had it. */
  lands(): Started | null {
    this.#left = this.left;
    const { call } = this;
    this.call = null;
    return call;
  }

  /** Its end: once, which its ticket tells. */
  resolve(answer: unknown): void {
    this.#end();
    this.#resolve(answer as never);
  }

  /** The same with an error. */
  reject(reason: unknown): void {
    this.#end();
    this.parts?.fail(reason);
    this.#reject(reason);
  }

  #end(): void {
    this.lands();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#onAbort !== null) this.options.signal?.removeEventListener('abort', this.#onAbort);
  }
}

function timedOut(timeoutMs: number, left: boolean): TcpshmError {
  const cause = left
    ? new TcpshmError('ERR_UNANSWERED', 'it had begun to leave: it may have run')
    : new TcpshmError('ERR_NOT_SENT', 'no byte of it had left by then');
  return new TcpshmError('ERR_TIMEOUT', `no answer within ${timeoutMs} ms`, cause);
}
