/** What runs in a thread of a pool: begins as a task of its piscina, and goes on in the event loop after it. */
import { RingChannel } from '../channel/ringChannel.js';
import type { Connection } from '../connection/connection.js';
import { Inbox } from '../port/inbox.js';
import { Outbox } from '../port/outbox.js';
import { Scratch } from '../port/scratch.js';
import { structured } from '../port/structured.js';
import { type DrivenEnd, driveEnd, stirEnd, undriveEnd } from '../port/threadDriver.js';
import { plainError } from '../thread/plainError.js';
import { type Handler, loadHandler } from './handlers.js';
import {
  Claim,
  FromThread,
  type HandlerName,
  type PoolWork,
  slotOf,
  sortOf,
  ToThread,
  tagFor,
} from './protocol.js';

/** Tasks that it runs, if they return at once, before promises have their turn. */
const TASKS_PER_POLL = 64;

/** The task: resolves when the thread can be given tasks. */
export async function beginPool(work: PoolWork): Promise<void> {
  const runner = new Runner(work);
  await runner.preload();
  driveEnd(runner);
}

/** Runs the tasks that come over a channel, so many at a time, and sends back what they give. */
class Runner implements DrivenEnd {
  readonly connection: Connection;
  readonly refed = true;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #scratch = new Scratch();
  readonly #claims: Int32Array;
  readonly #concurrency: number;
  readonly #names: HandlerName[] = [];
  readonly #handlers: (Handler | Promise<Handler>)[] = [];
  #running = 0;
  /** Whether a task that did not return at once has come to its end since the last poll. */
  #settled = false;

  constructor({ handle, claims, handler, concurrency }: PoolWork) {
    this.connection = RingChannel.open(handle);
    this.#inbox = new Inbox(this.connection, structured, this.#scratch);
    this.#outbox = new Outbox(this.connection, structured, this.#scratch, []);
    this.#claims = claims;
    this.#concurrency = concurrency;
    // Number 0 is that of the pool.
    this.#names.push(handler ?? { filename: '', name: '' });
  }

  get delivers(): boolean {
    return this.#running < this.#concurrency;
  }

  /** Loads the pool's own handler. What goes wrong is told to each task. */
  async preload(): Promise<void> {
    if (this.#names[0]?.filename === '') return;
    await Promise.resolve(this.#handler(0)).catch(() => {});
  }

  poll(): boolean {
    let moved = this.#outbox.flush();
    if (this.#settled) {
      this.#settled = false;
      moved = true;
    }
    for (let i = 0; i < TASKS_PER_POLL && this.#running < this.#concurrency && this.#inbox.next(); i++) {
      this.#receive();
      moved = true;
    }
    if (!moved && !this.connection.side.pollLink(0)) {
      // The pool has let go of it, and is about to end it.
      undriveEnd(this);
      this.connection.close();
    }
    return moved;
  }

  #receive(): void {
    const { tag, value, error } = this.#inbox;
    const slot = slotOf(tag);
    const sort = sortOf(tag);
    this.#inbox.value = undefined;
    if (sort === ToThread.handler) {
      this.#names.push(value as HandlerName);
      return;
    }
    // CLAIM it; the pool may take it back up to then.
    if (Atomics.compareExchange(this.#claims, slot, Claim.given, Claim.started) !== Claim.given) {
      Atomics.store(this.#claims, slot, Claim.free);
      return;
    }
    if (error !== null) this.#fail(slot, error);
    else if (sort === ToThread.task) this.#begin(slot, 0, value);
    else this.#begin(slot, (value as [number, unknown])[0], (value as [number, unknown])[1]);
  }

  #begin(slot: number, number: number, task: unknown): void {
    let result: unknown;
    try {
      const handler = this.#handler(number);
      result = typeof handler === 'function' ? handler(task) : handler.then((loaded) => loaded(task));
    } catch (error) {
      this.#fail(slot, error);
      return;
    }
    if (typeof (result as PromiseLike<unknown> | null | undefined)?.then !== 'function') {
      this.#succeed(slot, result);
      return;
    }
    this.#running++;
    Promise.resolve(result).then(
      (value) => {
        this.#end();
        this.#succeed(slot, value);
      },
      (error: unknown) => {
        this.#end();
        this.#fail(slot, error);
      },
    );
  }

  /** A task that did not return at once is over: there may be room for the next one. */
  #end(): void {
    this.#running--;
    this.#settled = true;
    stirEnd(this);
  }

  /** The function, or the promise of it while it is loaded. */
  #handler(number: number): Handler | Promise<Handler> {
    const known = this.#handlers[number];
    if (known !== undefined) return known;
    const loading = loadHandler(this.#names[number] as HandlerName);
    this.#handlers[number] = loading;
    loading.then(
      (handler) => {
        this.#handlers[number] = handler;
      },
      () => {
        // The next task tries again.
        delete this.#handlers[number];
      },
    );
    return loading;
  }

  #succeed(slot: number, result: unknown): void {
    if (this.connection.state === 'closed') return;
    try {
      this.#outbox.post(unwrapped(result), tagFor(FromThread.result, slot));
    } catch (error) {
      this.#fail(slot, error);
    }
  }

  #fail(slot: number, error: unknown): void {
    if (this.connection.state === 'closed') return;
    if (error instanceof Error) {
      this.#outbox.post(plainError(error, this.#carries), tagFor(FromThread.error, slot));
      return;
    }
    const thrown = this.#carries(error) ? error : String(error);
    this.#outbox.post(thrown, tagFor(FromThread.thrown, slot));
  }

  readonly #carries = (value: unknown): boolean => {
    try {
      this.#scratch.encode(structured, value);
      return true;
    } catch {
      return false;
    }
  };
}

const TRANSFERABLE = Symbol.for('Piscina.transferable');
const VALUE = Symbol.for('Piscina.valueOf');

/** What `Piscina.move` has wrapped. */
function unwrapped(result: unknown): unknown {
  if (typeof result !== 'object' || result === null || !(TRANSFERABLE in result)) return result;
  return (result as unknown as Record<symbol, unknown>)[VALUE];
}
