import type { HandlerName } from './protocol.js';

/** The handlers of a pool and their numbers, the same in all of its threads. Number 0 is that of the pool itself. */
export class HandlerNumbers {
  readonly main: HandlerName | null;
  readonly #names: HandlerName[];
  readonly #numbers = new Map<string, number>();

  constructor(main: HandlerName | null) {
    this.main = main;
    this.#names = [main ?? { filename: '', name: '' }];
    if (main !== null) this.#numbers.set(keyOf(main), 0);
  }

  of(handler: HandlerName): number {
    const { main } = this;
    if (main !== null && handler.filename === main.filename && handler.name === main.name) return 0;
    const key = keyOf(handler);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#names.length);
    return this.#names.push(handler) - 1;
  }

  at(number: number): HandlerName {
    return this.#names[number] as HandlerName;
  }
}

function keyOf({ filename, name }: HandlerName): string {
  return `${filename}\0${name}`;
}
