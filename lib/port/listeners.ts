import type { EventEmitter } from 'node:events';

/** An event as EventTarget's listeners get it. */
export interface PortEvent {
  readonly type: string;
  /** The message, or what is wrong with it. */
  readonly data: unknown;
  readonly target: unknown;
  readonly currentTarget: unknown;
  readonly ports: readonly never[];
}
/** Gets events in the manner of browsers, as `onmessage` and `addEventListener` take it. */
export type Listener = (event: PortEvent) => void;
type Given = Listener | { handleEvent: Listener };

/** The listeners of an emitter that want events in the manner of EventTarget: each once, whatever they are. */
export class Listeners {
  readonly #emitter: EventEmitter;
  readonly #byType = new Map<string, Map<Given, (data: unknown) => void>>();
  readonly #handlers = new Map<string, { readonly given: Listener; readonly own: Listener }>();

  constructor(emitter: EventEmitter) {
    this.#emitter = emitter;
  }

  add(type: string, listener: Given, once: boolean): void {
    const those = this.#byType.get(type) ?? new Map<Given, (data: unknown) => void>();
    this.#byType.set(type, those);
    if (those.has(listener)) return;
    const wrapped = (data: unknown): void => {
      if (once) this.remove(type, listener);
      const event = { type, data, target: this.#emitter, currentTarget: this.#emitter, ports: [] };
      if (typeof listener === 'function') listener.call(this.#emitter, event);
      else listener.handleEvent(event);
    };
    those.set(listener, wrapped);
    this.#emitter.on(type, wrapped);
  }

  remove(type: string, listener: Given): void {
    const wrapped = this.#byType.get(type)?.get(listener);
    if (wrapped === undefined) return;
    this.#byType.get(type)?.delete(listener);
    this.#emitter.off(type, wrapped);
  }

  handler(type: string): Listener | null {
    return this.#handlers.get(type)?.given ?? null;
  }

  /** Replaces the one handler of a type. */
  handle(type: string, listener: Listener | null): void {
    const former = this.#handlers.get(type);
    if (former !== undefined) this.remove(type, former.own);
    this.#handlers.delete(type);
    if (typeof listener !== 'function') return;
    // A function of its own, so that it does not count as one that was added.
    const own: Listener = (event) => listener.call(this.#emitter, event);
    this.#handlers.set(type, { given: listener, own });
    this.add(type, own, false);
  }
}
