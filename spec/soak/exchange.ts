import type { Connection, Message } from '../../lib/index.js';
import { mix, sizeOf } from '../support/traffic.js';
import { type Board, otherRole, type Role, sendersOf } from './board.js';

/** Most messages that one step moves in each direction. */
const BURST = 50;
const NUMBER_BYTES = 8;

/**
 * Numbered messages in both directions, as fast as they go. The number of the next one follows from `pushed`, and what
 * a message contains from its number and its sender; each that comes is noted on the board before its `pop`.
 */
export class Exchange {
  readonly #board: Board;
  readonly #role: Role;

  constructor(board: Board, role: Role) {
    this.#board = board;
    this.#role = role;
  }

  /** Sends and receives some. Throws when a message contains what was never sent. */
  step(connection: Connection): void {
    const board = this.#board;
    const { flow } = board;
    if (board.stopping) board.setPushed(this.#role, connection.pushed);
    else if (sendersOf(flow).includes(this.#role)) this.#send(connection, flow === 'largest');
    if (!board.paused) this.#receive(connection);
  }

  #send(connection: Connection, largest: boolean): void {
    let batched = 0;
    for (let i = 0; i < BURST; i++) {
      const number = connection.pushed + batched;
      const message = connection.alloc(bytesOf(number, connection, largest));
      if (message === null) {
        if (this.#board.paused) this.#board.setFull(this.#role, true);
        break;
      }
      fill(message, number, this.#role, largest);
      if (mix(number ^ 0x2545f491) % 4 === 0) {
        connection.pushMore();
        batched++;
      } else {
        connection.push();
        batched = 0;
      }
    }
    if (batched > 0) connection.publish();
  }

  #receive(connection: Connection): void {
    for (let i = 0; i < BURST && this.#board.hasRoom(this.#role); i++) {
      const message = connection.front();
      if (message === null) return;
      const number = verifiedNumber(message, otherRole(this.#role), connection);
      if (number !== connection.popped) this.#board.miscounted(this.#role);
      this.#board.note(this.#role, number);
      connection.pop();
    }
  }
}

function bytesOf(number: number, connection: Connection, largest: boolean): number {
  if (largest) return connection.maxMessageBytes;
  return NUMBER_BYTES + sizeOf(number, connection.maxMessageBytes - NUMBER_BYTES);
}

/** The word that the content of a message begins with, after the number. */
function firstWord(number: number, sender: Role): number {
  return mix(number ^ (sender === 'server' ? 0 : 0x5bd1e995)) | 0;
}

/** Tells who has sent a message, and whether it has the largest size or one that follows from its number. */
function typeOf(sender: Role, largest: boolean): number {
  return (sender === 'server' ? 1 : 2) + (largest ? 2 : 0);
}

function fill(message: Message, number: number, sender: Role, largest: boolean): void {
  const { size } = message;
  message.type = typeOf(sender, largest);
  message.setFloat64(0, number);
  let word = firstWord(number, sender);
  let at = NUMBER_BYTES;
  for (; at + 4 <= size; at += 4) {
    message.setInt32(at, word);
    word = (word + 0x9e3779b9) | 0;
  }
  for (; at < size; at++) message.setUint8(at, word++ & 0xff);
}

/** The number of a message that was not changed on its way. */
function verifiedNumber(message: Message, sender: Role, connection: Connection): number {
  const { size, type } = message;
  const number = size < NUMBER_BYTES ? Number.NaN : message.getFloat64(0);
  const largest = type === typeOf(sender, true);
  if (
    !Number.isSafeInteger(number) ||
    size !== bytesOf(number, connection, largest) ||
    type !== typeOf(sender, largest)
  ) {
    throw new Error(`a message of ${size} bytes, type ${type} and number ${number} came from the ${sender}`);
  }
  let word = firstWord(number, sender);
  let at = NUMBER_BYTES;
  for (; at + 4 <= size; at += 4) {
    if (message.getInt32(at) !== word) throw new Error(`message ${number} of the ${sender} is torn at ${at}`);
    word = (word + 0x9e3779b9) | 0;
  }
  for (; at < size; at++) {
    if (message.getUint8(at) !== (word++ & 0xff)) {
      throw new Error(`message ${number} of the ${sender} is torn at ${at}`);
    }
  }
  return number;
}
