import type { Connection, Message } from '../../lib/index.js';

/** Spreads a number over 32 bits (the finalizer of lowbias32, by Chris Wellons). */
export function mix(n: number): number {
  let hash = n | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Size of message `n`: mostly small, each 64th of any size that there is. */
export function sizeOf(n: number, largest: number): number {
  return mix(n) % (n % 64 === 0 ? largest + 1 : Math.min(largest, 256) + 1);
}

export function typeOf(n: number): number {
  return (mix(n ^ 0x5bd1e995) % 0xffff) + 1;
}

/** Fills a message with words that follow from `n`, and sets its type. */
export function fill(message: Message, n: number): void {
  const { view, offset, size } = message;
  let value = mix(n);
  let at = offset;
  const end = offset + size;
  for (; at + 4 <= end; at += 4) {
    view.setInt32(at, value);
    value = (value + 0x9e3779b9) | 0;
  }
  for (; at < end; at++) view.setUint8(at, value++);
  message.type = typeOf(n);
}

/** What is wrong with a message that should be message `n`, or null. */
export function fault(message: Message, n: number, size: number): string | null {
  if (message.size !== size) return `message ${n} should have ${size} bytes, has ${message.size}`;
  if (message.type !== typeOf(n)) return `message ${n} should be of type ${typeOf(n)}, is ${message.type}`;
  const { view, offset } = message;
  let value = mix(n);
  let at = offset;
  const end = offset + size;
  for (; at + 4 <= end; at += 4) {
    const got = view.getInt32(at);
    if (got !== (value | 0)) return `message ${n} has ${got} at ${at - offset}, should have ${value | 0}`;
    value = (value + 0x9e3779b9) | 0;
  }
  for (; at < end; at++) {
    const got = view.getUint8(at);
    if (got !== (value++ & 0xff)) return `message ${n} has byte ${got} at ${at - offset}`;
  }
  return null;
}

/** Most messages that one step moves in each direction. */
const BURST = 50;

/**
 * One side of an exchange in which every message follows from its number, and the number from what the connection
 * says of itself: so it goes on over disconnects and deaths, and notices whatever is lost, repeated, swapped or torn.
 */
export class Traffic {
  readonly #connection: Connection;
  readonly #outgoing: number;
  readonly #incoming: number;
  readonly #send: number;
  readonly #receive: number;
  readonly #leavesRest: boolean;
  #batched = 0;

  /**
   * Sends until `send` messages were pushed in all, receives until `receive` were popped in all. What comes then is
   * wrong, or with `leavesRest` left for somebody else.
   */
  constructor(connection: Connection, side: 0 | 1, send: number, receive: number, leavesRest = false) {
    this.#connection = connection;
    this.#outgoing = side === 0 ? 0 : 0x40000000;
    this.#incoming = side === 0 ? 0x40000000 : 0;
    this.#send = send;
    this.#receive = receive;
    this.#leavesRest = leavesRest;
  }

  /** How many messages it receives in all. */
  get receives(): number {
    return this.#receive;
  }

  get done(): boolean {
    return this.#connection.pushed >= this.#send && this.#connection.popped >= this.#receive;
  }

  /** Sends and receives some. False when nothing moved; throws what is wrong with a message. */
  step(): boolean {
    const sent = this.#sendSome();
    const received = this.#receiveSome();
    return sent || received;
  }

  #sendSome(): boolean {
    const connection = this.#connection;
    let any = false;
    for (let i = 0; i < BURST; i++) {
      const n = connection.pushed + this.#batched;
      if (n >= this.#send) break;
      const message = connection.alloc(sizeOf(this.#outgoing + n, connection.maxMessageBytes));
      if (message === null) {
        connection.publish();
        this.#batched = 0;
        return any;
      }
      any = true;
      fill(message, this.#outgoing + n);
      if (mix(n ^ 0x2545f491) % 4 === 0) {
        connection.pushMore();
        this.#batched++;
      } else {
        connection.push();
        this.#batched = 0;
      }
    }
    if (this.#batched > 0) connection.publish();
    this.#batched = 0;
    return any;
  }

  #receiveSome(): boolean {
    const connection = this.#connection;
    let any = false;
    for (let i = 0; i < BURST; i++) {
      if (this.#leavesRest && connection.popped >= this.#receive) break;
      const message = connection.front();
      if (message === null) break;
      const n = this.#incoming + connection.popped;
      const wrong =
        connection.popped >= this.#receive
          ? `message ${connection.popped} came, of ${this.#receive}`
          : fault(message, n, sizeOf(n, connection.maxMessageBytes));
      if (wrong !== null) throw new Error(wrong);
      connection.pop();
      any = true;
    }
    return any;
  }
}
