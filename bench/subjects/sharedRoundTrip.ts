import type { Connection } from '../../lib/index.js';
import { noAnswer, send, take } from './exchange.js';

/** Some seconds of looking at memory. */
const MAX_POLLS = 2 ** 30;

/** Round trips through shared memory: an answer is there as soon as `front` sees it, nothing else needs a poll. */
export abstract class SharedRoundTrip {
  readonly asynchronous = false;
  protected readonly connection: Connection;
  #sequence = 0;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  roundTrips(count: number): void {
    const { connection } = this;
    const end = this.#sequence + count;
    for (let sequence = this.#sequence; sequence < end; sequence++) {
      send(connection, sequence);
      let message = connection.front();
      for (let polls = 0; message === null; polls++) {
        if (polls > MAX_POLLS) throw noAnswer(sequence);
        message = connection.front();
      }
      take(connection, message, sequence);
    }
    this.#sequence = end;
  }

  abstract stop(): Promise<void>;
}
