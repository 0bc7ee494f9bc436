import type { Assembler } from './assembler.js';
import { type Call, PRIORITIES, type RequestOptions } from './call.js';
import type { Timed } from './deadlines.js';
import { Exchange } from './exchange.js';
import type { MethodName } from './packet.js';
import type { IncomingParts } from './parts.js';
import type { SentFlow } from './sender.js';

/** Who ends requests of this side. */
export interface Canceller {
  withdraw(request: OwnRequest): boolean;
  cancel(request: OwnRequest, reason: unknown): void;
}

/** A request of this side, or a notification: from its start until it is settled. */
export class OwnRequest extends Exchange implements Call, Timed {
  readonly name: MethodName;
  readonly value: unknown;
  readonly options: RequestOptions;
  readonly notice: boolean;
  /** Where the answers of a `stream` go. */
  parts: IncomingParts | null = null;
  /** Puts the answer together, if it has several fragments. */
  assembler: Assembler | null = null;
  /** What of it is still to go out, if that is not done at once. */
  flow: SentFlow | null = null;
  /** Its value, if it was encoded and has not gone out. */
  bytes: Uint8Array | null = null;
  deadlineMs = 0;
  slot = -1;
  earlier: Timed | null = null;
  later: Timed | null = null;
  readonly response: Promise<never>;
  readonly #canceller: Canceller;
  #resolve!: (value: never) => void;
  #reject!: (reason: unknown) => void;
  /** What listens to its signal, if it has one. */
  #onAbort: (() => void) | null = null;

  constructor(
    canceller: Canceller,
    name: MethodName,
    value: unknown,
    options: RequestOptions,
    notice: boolean,
  ) {
    super(
      options.priority === undefined ? 1 : PRIORITIES.indexOf(options.priority),
      options.idempotent === true,
      options.synchronous === true,
    );
    this.#canceller = canceller;
    this.name = name;
    this.value = value;
    this.options = options;
    this.notice = notice;
    this.response = new Promise<never>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { signal } = options;
    if (signal === undefined) return;
    this.#onAbort = () => canceller.cancel(this, signal.reason);
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  withdraw(): boolean {
    return this.#canceller.withdraw(this);
  }

  cancel(reason: unknown): void {
    this.#canceller.cancel(this, reason);
  }

  /** @internal Its end: once, which its `stage` tells. */
  resolve(value: unknown): void {
    if (this.#onAbort !== null) this.options.signal?.removeEventListener('abort', this.#onAbort);
    this.#resolve(value as never);
  }

  /** @internal The same with an error. */
  reject(error: unknown): void {
    if (this.#onAbort !== null) this.options.signal?.removeEventListener('abort', this.#onAbort);
    this.#reject(error);
  }
}
