import type { Assembler } from './assembler.js';
import type { PartsReader } from './call.js';
import type { Timed } from './deadlines.js';
import type { IncomingParts } from './parts.js';
import type { SentFlow } from './sender.js';

/** What a handler knows beside the value. */
export interface HandlerContext {
  /**
   * Aborts when the requester gives up, its process has ended, or the connection is closed. What the handler does after
   * that is told nobody.
   */
  readonly signal: AbortSignal;
  /** What follows the value: values, or bytes. Ends at once if there is nothing. What is left unread is dropped. */
  readonly body: PartsReader<unknown>;
  /** Whether somebody waits for an answer, and may get it in parts. */
  readonly expects: 'nothing' | 'one' | 'many';
}

/** Answers a request: with a value, a promise of one, or, where many are expected, an async iterable. */
// biome-ignore lint/suspicious/noExplicitAny: the values of each method are its own.
export type Handler<V = any, R = unknown> = (value: V, context: HandlerContext) => R;

/** A request of the peer, while it is under way here. */
export class Served implements HandlerContext, Timed {
  readonly id: number;
  readonly expects: 'nothing' | 'one' | 'many';
  /** Its priority, which its answer has too. */
  readonly level: number;
  /** Of what is not there with the first packet. */
  assembler: Assembler | null = null;
  parts: IncomingParts | null = null;
  /** Called once its value is there. */
  handler: Handler | null;
  /** What of the answer is still to go out. */
  flow: SentFlow | null = null;
  /** Whether the answer is nobody's any more. */
  over = false;
  deadlineMs = 0;
  slot = -1;
  earlier: Timed | null = null;
  later: Timed | null = null;
  #controller: AbortController | null = null;
  #aborted: { readonly reason: unknown } | null = null;

  constructor(id: number, expects: 'nothing' | 'one' | 'many', level: number, handler: Handler) {
    this.id = id;
    this.expects = expects;
    this.level = level;
    this.handler = handler;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#aborted !== null) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  get body(): PartsReader<unknown> {
    return this.parts ?? NO_PARTS;
  }

  /** Its answer is nobody's any more: the handler is told why, and its body ends so. */
  abort(reason: unknown): void {
    this.over = true;
    this.#aborted = { reason };
    this.parts?.end(reason);
    this.#controller?.abort(reason);
  }
}

const NO_PARTS: PartsReader<unknown> = {
  next: () => Promise.resolve({ done: true, value: undefined }),
  reusing: () => NO_PARTS,
  [Symbol.asyncIterator]: () => NO_PARTS,
};
