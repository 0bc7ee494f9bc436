/**
 * One run of the echo client over a connection: sends numbered messages and checks that each of them comes back.
 *
 * Nothing is written down anywhere: the session itself knows how many messages were pushed and popped since it
 * began, so a client that was killed goes on with the right number, and knows which one must come back next.
 */
import type { Connection, Message } from 'tcpshm';
import { fill, payloadBytes, verifiedNumber } from './content.js';
import { Replies } from './replies.js';
import { RoundTrips, type RoundTripTimes } from './roundTrips.js';

export interface ExchangeOptions {
  /** Messages to send. */
  readonly count: number;
  /** How many may be in flight. */
  readonly window: number;
  /** Of each message with its header; 0 for the four sizes in turn. */
  readonly size: number;
}

export interface EchoReport extends RoundTripTimes {
  readonly transport: string;
  /** Number of the first message of this run. */
  readonly first: number;
  /** Messages sent in this run, and how many of them came back. */
  readonly sent: number;
  readonly received: number;
  /** Replies to what earlier runs had sent. */
  readonly resumed: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly messagesPerSecond: number;
}

export class Exchange {
  readonly #connection: Connection;
  readonly #options: ExchangeOptions;
  readonly #first: number;
  /** Behind the last number to send. */
  #end: number;
  readonly #replies: Replies;
  readonly #roundTrips: RoundTrips;
  #received = 0;
  #resumed = 0;
  readonly #startMs = performance.now();

  constructor(connection: Connection, options: ExchangeOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#first = connection.pushed;
    this.#end = this.#first + options.count;
    this.#replies = new Replies(connection.popped);
    this.#roundTrips = new RoundTrips(options.window);
  }

  get finished(): boolean {
    return this.#replies.expected >= this.#end;
  }

  /** Replies so far, to whichever run's messages. */
  get replies(): number {
    return this.#received + this.#resumed;
  }

  /** Sends as many messages as may be in flight. */
  send(): void {
    const connection = this.#connection;
    const { window, size } = this.#options;
    for (;;) {
      const number = connection.pushed;
      if (number >= this.#end || number - this.#replies.expected >= window) return;
      const message = connection.alloc(payloadBytes(number, size));
      // The queue is full: replies that are on their way make room.
      if (message === null) return;
      fill(message, number);
      this.#roundTrips.began(number);
      connection.push();
    }
  }

  /** Checks the reply at the front, pops it, and sends what may go out now. */
  take(message: Message): void {
    const number = verifiedNumber(message);
    if (number >= this.#first) {
      const sent = payloadBytes(number, this.#options.size);
      if (message.size !== sent) {
        throw new Error(`message ${number} came back with ${message.size} bytes, it was sent with ${sent}`);
      }
      this.#roundTrips.ended(number);
      this.#received++;
    } else this.#resumed++;
    this.#replies.take(number);
    this.#connection.pop();
    this.send();
  }

  /** Sends no more: finished once what is in flight has come back. */
  stop(): void {
    this.#end = Math.min(this.#end, this.#connection.pushed);
  }

  report(): EchoReport {
    this.stop();
    const seconds = (performance.now() - this.#startMs) / 1000;
    return {
      transport: this.#connection.transport,
      first: this.#first,
      sent: this.#end - this.#first,
      received: this.#received,
      resumed: this.#resumed,
      lost: this.#replies.lostUpTo(this.#end),
      duplicated: this.#replies.duplicated,
      reordered: this.#replies.reordered,
      ...this.#roundTrips.times(),
      messagesPerSecond: Math.round(this.replies / seconds),
    };
  }
}
